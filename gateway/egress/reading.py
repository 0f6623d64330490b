"""A record of an outbound topic, read: an event for some endpoints, or one reason why not.

Pure. What goes out was checked against the contract's schema.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

from gateway import operational
from gateway.broker.port import Read
from gateway.catalog import Snapshot
from gateway.egress.addressees import own_endpoints
from gateway.egress.content import content_of
from gateway.egress.delivery import Delivery, Provenance
from gateway.egress.intake import Carried, NoEvent, Unasked, take_in
from gateway.egress.match import group_of, match
from gateway.egress.webhook import encode_body
from gateway.event import EventKey
from partners.endpoint import Endpoint
from schemas.fault import Fault

ID_BYTES: Final = 1024
"""Longer ids, which only a contract's pointers can make, would not fit evidence."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """No event at all. `sha256` of the record's value."""

    code: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that the contract does not allow, and what is known of it. `sha256` of the record's value."""

    code: str
    sha256: bytes
    key: EventKey | None
    event_type: str | None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Routed:
    """An event that the contract allows, and the endpoints that listen to it (none: unrouted).

    `body` is the event as CloudEvents JSON, from which each gets what its format says; `sha256` is of the
    data as the record holds it. `data`: gives the data as values. `search`: what the event is found by.
    `provenance`: by what it goes out.
    """

    key: EventKey
    ref: bytes
    event_type: str
    schema_id: int
    sha256: bytes
    body: bytes = field(repr=False)
    endpoints: tuple[Endpoint, ...]
    data: Callable[[], object] = field(default=dict, repr=False, compare=False)
    search: bytes | None = field(default=None, repr=False)
    provenance: Provenance | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Passed:
    """Of no concern to whom it was read for; nothing is said of it."""


Reading = Routed | Refused | Unreadable | Passed


class Today(Protocol):
    """Today's contracts; `gateway.catalog.Catalog` fits."""

    current: Snapshot

    async def follow(self) -> None:
        """Take over what changed since the last look. Raises AwayError: the database is away."""
        ...

    def topic_changed(self, topic: str, topic_id: str | None, *, was: str | None) -> None:
        """Take note that the topic `was` was deleted (None) or made again; nothing where it is not known."""
        ...


def read_event(read: Read, partner: str, snapshot: Snapshot, *, origin: str) -> Reading | Unasked:
    """Read one record of a partner's outbound topic: check it, write its body, find its endpoints.

    `Unasked`: nothing can be said of it yet, and nothing behind it may be read before.
    """
    found = take_in(read, snapshot, partner, "outbound")
    if isinstance(found, Unasked):
        return found
    if isinstance(found, NoEvent):
        if found.is_erased:
            return Passed()
        digest = hashlib.sha256(read.record.value or b"").digest()
        if not found.is_refused:
            return Unreadable(found.code, digest)
        key = None if found.key is None or _is_long(found.key) else found.key
        return Refused(found.code, digest, key, found.type, found.faults)
    if _is_long(found.key):
        digest = hashlib.sha256(read.record.value or b"").digest()
        return Refused("event_attribute_invalid", digest, None, found.type)
    account = snapshot.directory.partner(partner)
    there = () if account is None else own_endpoints(snapshot, account)
    if operational.is_operational(found.type):
        there = (*there, *snapshot.directory.house_endpoints(partner))
    return routed(found, there, origin)


def delivery_of(read: Read, routed: Routed, endpoint: Endpoint) -> Delivery:
    """The delivery of a routed event to one of its endpoints."""
    return Delivery(
        endpoint=endpoint.id,
        ref=routed.ref,
        partner=endpoint.owner,
        source=routed.key.source,
        event_id=routed.key.id,
        event_type=routed.event_type,
        topic=read.record.topic,
        position=read.position,
        schema_id=routed.schema_id,
        group=group_of(endpoint, read.record.key),
        body=routed.body,
        search=routed.search,
        provenance=routed.provenance,
    )


def routed(carried: Carried, there: tuple[Endpoint, ...], origin: str) -> Routed:
    """The event, those of these endpoints that want it, and the body that they get."""
    key, version, schema_id = carried.key, carried.version, carried.version.schema_id
    data = content_of(carried)
    endpoints = match(there, carried.type, data)
    body = b""
    if endpoints:
        body = encode_body(
            carried.attributes,
            (key.id, key.source, carried.type),
            data_schema=f"{origin}/v1/schemas/{schema_id}",
            data=carried.json,
        )
    digest = hashlib.sha256(carried.data).digest()
    channel, fingerprint = carried.channel, version.schema.fingerprint
    schema = _named(channel.subject_of(version), version.number, schema_id, fingerprint)
    provenance = Provenance(channel.contract, schema, digest)
    return Routed(
        key=key,
        ref=key.ref(),
        event_type=carried.type,
        schema_id=schema_id,
        sha256=digest,
        body=body,
        endpoints=endpoints,
        data=data,
        search=carried.search,
        provenance=provenance,
    )


@lru_cache(1_024)
def _named(subject: str, number: int, schema_id: int, fingerprint: bytes) -> Mapping[str, str | int]:
    """One object for all events of a schema, of which many may wait."""
    return {"subject": subject, "version": number, "id": schema_id, "fingerprint": fingerprint.hex()}


def _is_long(key: EventKey) -> bool:
    return len(key.id.encode()) > ID_BYTES
