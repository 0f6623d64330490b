"""A record of a partner's inbound topic, read for somebody whom the event goes on to.

That is the house, whose endpoints get what the partner sends, or another partner, to which the contract
forwards a type, from when on it says so. Only what the gateway accepted counts: a record whose receipt does
not vouch for it is passed over, as consumers do. Pure.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

import structlog

from audit.ref import format_ref
from gateway.broker.port import Read
from gateway.catalog import Snapshot
from gateway.channels import Channel
from gateway.egress.addressees import own_endpoints
from gateway.egress.delivery import Delivery
from gateway.egress.intake import Carried, NoEvent, Unasked, take_in
from gateway.egress.reading import Passed, Reading, Refused, Routed, routed
from gateway.errors import BugError
from gateway.event import EventKey
from gateway.positions import share
from gateway.tombstones import received_ref
from partners.contract import Forward
from partners.endpoint import Endpoint, party_of
from partners.forwarding import Agreed
from schemas.errors import DatumError, SchemaError
from schemas.resolution import avro_reader_for
from schemas.schema import Schema

Vouch = Callable[[Read, str], int | None]
"""When the gateway accepted a partner's record, in Unix milliseconds; None: it did not accept this record."""

Vouching = Callable[[Iterable[tuple[Read, str]]], Awaitable[Vouch]]
"""Looks at records with their partners, and gives what vouches for them; AwayError: that is not known now."""

Why = Literal["sent", "owed", "replayed"]

_TYPE: Final = "ce_type"
_PAIRS: Final = 1_024

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """Where records come from and what vouches for them. `url`: our origin."""

    origin: str
    url: str
    vouch: Vouch


@dataclass(frozen=True, slots=True)
class Onward:
    """What is to be told of an event in the log of the partner that sent it; `code`: why it did not go on."""

    ref: str
    source: str
    id: str
    event_type: str
    to: str
    becomes: str
    code: str | None


def read_shared(
    read: Read,
    owner: str,
    snapshot: Snapshot,
    source: Source,
    *,
    gone: tuple[Endpoint, ...] = (),
    why: Why = "sent",
) -> Reading:
    """Read one record of `source.origin`'s inbound topic for an owner of endpoints.

    `gone`: endpoints that are no more, and that something is still owed to. `why` it is read: it was just
    `sent`; it is `owed`, having been given to the owner before, so that a contract that no longer forwards it
    makes it refused; or it is `replayed`, and the house has what came before its endpoint, too, but another
    partner nothing of before this line of the contract.
    """
    partner, side = party_of(owner)
    if side == "house":
        return _for_house(read, partner, snapshot, source, gone, is_of_any_age=why == "replayed")
    return _for_partner(read, partner, snapshot, source, gone, why)


def onward_of(reading: Reading, event_type: str, forward: Forward) -> Onward | None:
    """What the sender's log is to say of an event that was read for another partner; None: nothing."""
    if isinstance(reading, Routed):
        key, code = reading.key, None
    elif isinstance(reading, Refused) and reading.key is not None:
        key, code = reading.key, reading.code
    else:
        return None
    ref = format_ref(key.ref())
    return Onward(ref, key.source, key.id, event_type, forward.to, forward.event_type, code)


def forward_of(read: Read, snapshot: Snapshot, origin: str) -> tuple[str, Forward] | None:
    """The type of a record, and where the contract forwards it; None: nowhere."""
    event_type = _type_of(read)
    channel = None if event_type is None else snapshot.channel(origin, event_type, "inbound")
    if event_type is None or channel is None or channel.line.terms.forward is None:
        return None
    return event_type, channel.line.terms.forward


def is_erased(delivery: Delivery, erased: AbstractSet[bytes]) -> bool:
    """Whether the event of a delivery was erased, for everybody or for the one that it goes to."""
    if not erased:
        return False
    return delivery.ref in erased or received_ref(delivery.partner, delivery.ref) in erased


def sender_on(snapshot: Snapshot, topic: str) -> str | None:
    """Whose inbound topic it is."""
    found = (one.slug for one in snapshot.directory.partners() if one.topics.inbound == topic)
    return next(found, None)


def seen_by(read: Read, owner: str | None) -> Read:
    """The record at the place where it stands for the owner that the topic is read for, among others."""
    if owner is None:
        return read
    at = read.position
    return replace(read, position=replace(at, topic_id=share(at.topic_id, owner)))


def _for_house(
    read: Read,
    partner: str,
    snapshot: Snapshot,
    source: Source,
    gone: tuple[Endpoint, ...],
    *,
    is_of_any_age: bool,
) -> Reading:
    event_type = _type_of(read)
    there = (*snapshot.directory.house_endpoints(partner), *gone)
    if event_type is None or not _is_listened_to(there, event_type):
        return Passed()
    at = _accepted_at(read, source)
    if at is None:
        return Passed()
    there = tuple(each for each in there if is_of_any_age or each.created_at <= at)
    found = _take_in(read, snapshot, source)
    if isinstance(found, NoEvent):
        return _refused(found, read) if _is_listened_to(there, event_type) else Passed()
    reading = routed(found, there, source.url)
    return reading if reading.endpoints else Passed()


def _for_partner(
    read: Read,
    partner: str,
    snapshot: Snapshot,
    source: Source,
    gone: tuple[Endpoint, ...],
    why: Why,
) -> Reading:
    way = forward_of(read, snapshot, source.origin)
    if way is None or way[1].to != partner:
        if why != "owed" or _accepted_at(read, source) is None:
            return Passed()
        found = _take_in(read, snapshot, source)
        if (isinstance(found, NoEvent) and found.is_erased) or _is_erased_for(partner, found.key, snapshot):
            return Passed()
        key = found.key
        return _refused(NoEvent("event_type_unknown", key, None if way is None else way[1].event_type), read)
    at = _accepted_at(read, source)
    if at is None or not _is_agreed(snapshot.directory.forwards(source.origin).get(way[0]), at, why):
        return Passed()
    found = _take_in(read, snapshot, source)
    becomes = way[1].event_type
    if _is_erased_for(partner, found.key, snapshot):
        return Passed()
    if isinstance(found, NoEvent):
        return _refused(replace(found, type=becomes), read)
    channel = snapshot.channel(partner, becomes, "outbound")
    if channel is None:
        return _refused(NoEvent("event_type_unknown", found.key, becomes), read)
    account = snapshot.directory.partner(partner)
    there = (*(() if account is None else own_endpoints(snapshot, account)), *gone)
    return _as_received(found, becomes, channel, there, source.url)


def _is_agreed(line: Agreed | None, at: int, why: Why) -> bool:
    """Whether a line of today's contract is for an event that was accepted at this time.

    A new name for the type loses nothing that is on its way, and hands over nothing of before once more.
    """
    if line is None:
        return False
    if why == "owed":
        return line.was_at(at)
    return at >= (line.since if why == "replayed" else line.unbroken_since)


def _is_erased_for(partner: str, key: EventKey | None, snapshot: Snapshot) -> bool:
    """Whether the event was erased for the partner that it goes on to, and for that one alone."""
    return bool(snapshot.erased) and key is not None and received_ref(partner, key.ref()) in snapshot.erased


def _as_received(
    sent: Carried, becomes: str, channel: Channel, endpoints: tuple[Endpoint, ...], url: str
) -> Reading:
    """The event in the form of the schema under which the other partner receives it."""
    wanted = channel.versions[0]
    digest = hashlib.sha256(sent.data).digest()
    try:
        decoded = wanted.codec.decode(_reader_for(sent.version.schema, wanted.schema)(sent.data))
    except DatumError as error:
        return Refused("event_invalid", digest, sent.key, becomes, error.faults)
    except SchemaError:
        return Refused("schema_incompatible", digest, sent.key, becomes)
    search = channel.search_of(decoded.values)
    taken = replace(sent, type=becomes, version=wanted, json=decoded.json, search=search)
    return routed(taken, endpoints, url)


@lru_cache(_PAIRS)
def _reader_for(writer: Schema, reader: Schema) -> Callable[[bytes], bytes]:
    return avro_reader_for(writer.root, reader.root)


def _is_listened_to(there: tuple[Endpoint, ...], event_type: str) -> bool:
    return any(each.listens_to(event_type) for each in there)


def _accepted_at(read: Read, source: Source) -> int | None:
    at = source.vouch(read, source.origin)
    if at is None:
        place = {"topic": read.record.topic, "offset": read.position.offset}
        _log.warning("relay.record_not_ours", **place)
    return at


def _take_in(read: Read, snapshot: Snapshot, source: Source) -> Carried | NoEvent:
    found = take_in(read, snapshot, source.origin, "inbound")
    if isinstance(found, Unasked):
        raise BugError("what is inbound the gateway itself has written, under schemas that it holds")
    return found


def _refused(found: NoEvent, read: Read) -> Refused | Passed:
    if found.is_erased:
        return Passed()
    digest = hashlib.sha256(read.record.value or b"").digest()
    return Refused(found.code, digest, found.key, found.type, found.faults)


def _type_of(read: Read) -> str | None:
    named = [value for name, value in read.record.headers if name == _TYPE and value is not None]
    return named[0].decode("utf-8", "replace") if len(named) == 1 else None
