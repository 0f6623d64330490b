"""What event does a record carry? For records of ours and of stock producers alike.

Type: `ce_type`, else the contract's type whose schema has the record's full name. Id: `ce_id`, else the
contract's pointers, else topic/partition/offset. The data is checked before anything else reads it: Avro
under the version that the record names, JSON under the newest accepted one that takes it.

What was accepted by an earlier contract is read by that one: a type that goes, or that has its schemas under
another name, takes no event with it. Accepted is what has a receipt; a producer's own record, which has none,
counts if it came while its type was there, by the broker's time of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final
from uuid import UUID

from gateway import operational
from gateway.broker.port import Read
from gateway.catalog import Snapshot
from gateway.channels import Channel, Gone, Version
from gateway.event import MAX_BYTES, Direction, EventKey, default_source, has_control
from gateway.event_json import NO_DATA
from gateway.external_registry import ExternalRegistry
from gateway.record import Envelope, Unreadable, decode_record
from schemas.errors import DatumError, JsonTextError
from schemas.fault import Fault
from schemas.likeness import likeness
from schemas.schema import Schema


@dataclass(frozen=True, slots=True)
class Carried:
    """An event read from a topic, its data checked.

    `data` as the record holds it: an Avro datum, or a producer's JSON; `json`: as JSON text of ours. A
    receipt, where there is one, is not verified. `search`: what the event is found by.
    """

    key: EventKey
    type: str
    attributes: Mapping[str, str]
    channel: Channel
    version: Version
    data: bytes = field(repr=False)
    json: bytes = field(repr=False)
    has_receipt: bool
    search: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NoEvent:
    """The record is no event of the contract; `code` and `faults` are for evidence.

    `key` and `type` as far as the record names them. `is_refused`: it was readable, and does not fit.
    `is_erased`: it was an event, and is none any more; nothing is said of it again.
    """

    code: str
    key: EventKey | None = None
    type: str | None = None
    faults: tuple[Fault, ...] = ()
    is_refused: bool = True
    is_erased: bool = False


@dataclass(frozen=True, slots=True)
class Unasked:
    """The record names a schema that only the external registry knows, and it has not answered yet.

    To be taken in again, and nothing behind it before: it may be an event or none.
    """

    schema: int | UUID


def take_in(
    read: Read, snapshot: Snapshot, partner: str, direction: Direction
) -> Carried | NoEvent | Unasked:
    """Find the channel of a record and check its data, under the version it names if it is Avro."""
    envelope = decode_record(read.record)
    if isinstance(envelope, Unreadable):
        return NoEvent(envelope.code, is_refused=False)
    found = _channel(envelope, snapshot, partner, direction, read.at)
    if isinstance(found, NoEvent):
        named = _claimed(envelope, partner, direction)
        return _ERASED if named is not None and _is_erased(named, snapshot) else replace(found, key=named)
    if isinstance(found, Unasked):
        return found
    channel, versions = found
    key = _named(envelope, channel, read)
    if _is_erased(key, snapshot):
        return _ERASED
    checked = _check(envelope, channel, versions, key)
    if isinstance(checked, NoEvent):
        return checked
    event_id = envelope.attributes.get("id") or channel.id_of(checked.values) or _place(read)
    if len(event_id.encode()) > MAX_BYTES["id"] or has_control(event_id):
        return NoEvent("event_attribute_invalid", None, channel.event_type)
    named = EventKey(partner, direction, key.source, event_id)
    if named != key and _is_erased(named, snapshot):
        return _ERASED
    rest = {name: text for name, text in envelope.attributes.items() if name not in {"id", "source", "type"}}
    time = channel.time_of(checked.values)
    if "time" not in rest and time is not None:
        rest["time"] = time
    return Carried(
        key=named,
        type=channel.event_type,
        attributes=rest,
        channel=channel,
        version=checked.version,
        data=envelope.data,
        json=checked.json,
        has_receipt=envelope.receipt is not None,
        search=channel.search_of(checked.values),
    )


_ERASED: Final = NoEvent("content_erased", is_erased=True)


def _is_erased(key: EventKey, snapshot: Snapshot) -> bool:
    return bool(snapshot.erased) and key.ref() in snapshot.erased


@dataclass(frozen=True, slots=True)
class _Checked:
    version: Version
    json: bytes
    values: Mapping[str, str | None]


def _check(
    envelope: Envelope, channel: Channel, versions: Sequence[Version], key: EventKey
) -> _Checked | NoEvent:
    """The data under the first version that takes it; faults are told against the first of all."""
    named = channel.event_type
    if envelope.schema is None and len(envelope.data) > channel.event_bytes:
        return NoEvent("event_too_large", key, named)
    if not envelope.data and envelope.schema is None:
        return NoEvent("event_invalid", key, named, (NO_DATA,))
    faults: tuple[Fault, ...] = ()
    for version in versions:
        try:
            datum = envelope.data
            if envelope.schema is None:
                datum = version.codec.avro_from_json(datum).avro
            decoded = version.codec.decode(datum)
        except DatumError as error:
            faults = faults or error.faults
        except JsonTextError:
            return NoEvent("body_malformed", key, named)
        else:
            return _Checked(version, decoded.json, decoded.values)
    return NoEvent("event_invalid", key, named, faults)


def _channel(
    envelope: Envelope, snapshot: Snapshot, partner: str, direction: Direction, at: int
) -> tuple[Channel, Sequence[Version]] | NoEvent | Unasked:
    named = envelope.attributes.get("type")
    wanted = envelope.schema
    # What is inbound the gateway itself has written, under schemas that it holds.
    outside = snapshot.outside if direction == "outbound" else None
    if named is not None and operational.is_operational(named):
        return _operational(envelope, snapshot, partner, direction) or NoEvent(
            "event_type_unknown", None, named
        )
    if named is not None:
        channel = snapshot.channel(partner, named, direction) or _gone(
            envelope, snapshot.gone_by(partner, named, direction), at
        )
        if channel is None:
            return NoEvent("event_type_unknown", None, named)
        if wanted is None:
            return channel, channel.versions
        found = _version([channel], wanted, outside)
        return found or NoEvent("schema_version_unknown", None, named)
    if wanted is None:
        return NoEvent("event_type_missing")
    former = (_gone(envelope, one, at) for one in snapshot.gone_from(partner, direction))
    lines = [*snapshot.channels(partner, direction), *(one for one in former if one is not None)]
    return _version(lines, wanted, outside) or NoEvent("event_type_unknown")


def _gone(envelope: Envelope, gone: Gone | None, at: int) -> Channel | None:
    """What a record of a type is read with that the contract has no more; None: it was never accepted.

    `at`: the broker's time of the record.
    """
    if gone is None:
        return None
    return gone.channel if envelope.receipt is not None or at < gone.until else None


def _operational(
    envelope: Envelope, snapshot: Snapshot, partner: str, direction: Direction
) -> tuple[Channel, Sequence[Version]] | None:
    """What an event of the gateway's own is read with; None where it is none, or somebody else's.

    Its receipt says which schema it has: this process need not have heard that it is registered.
    """
    kind = operational.kind_of(envelope.attributes["type"])
    account = snapshot.directory.account(partner)
    if kind is None or account is None or direction != "outbound" or envelope.receipt is None:
        return None
    found = operational.registration_in(envelope.receipt, kind)
    is_other = isinstance(envelope.schema, int) and found is not None and envelope.schema != found.id
    if found is None or envelope.schema is None or is_other:
        return None
    channel = operational.channel(account, kind, found)
    return None if channel is None else (channel, channel.versions)


def _version(
    channels: Sequence[Channel], wanted: int | UUID, outside: ExternalRegistry | None
) -> tuple[Channel, Sequence[Version]] | Unasked | None:
    """The version that a record names; of a name that is not ours, the one that means the same.

    Of the first channel that has it: those of today's contract stand before those of earlier ones.
    """
    for channel in channels:
        for one in channel.readable():
            if wanted == (one.schema.guid if isinstance(wanted, UUID) else one.schema_id):
                return channel, (one,)
    if outside is None or not channels:
        return None
    found = outside.find(wanted)
    if found is None:
        return Unasked(wanted)
    if found.schema is None:
        return None
    for channel in channels:
        for one in channel.readable():
            if _is_alike(one.schema, found.schema):
                return channel, (one,)
    return None


def _is_alike(one: Schema, other: Schema) -> bool:
    return one.fingerprint == other.fingerprint and _likeness(one) == _likeness(other)


@lru_cache(1_024)
def _likeness(schema: Schema) -> str:
    return likeness(schema.root)


def _claimed(envelope: Envelope, partner: str, direction: Direction) -> EventKey | None:
    """Which event a record says that it is, of whatever type; None: it names no id."""
    named = envelope.attributes
    source = named.get("source") or default_source(partner, direction)
    return EventKey(partner, direction, source, named["id"]) if "id" in named else None


def _named(envelope: Envelope, channel: Channel, read: Read) -> EventKey:
    source = envelope.attributes.get("source") or channel.source
    return EventKey(channel.partner, channel.direction, source, envelope.attributes.get("id") or _place(read))


def _place(read: Read) -> str:
    return f"{read.record.topic}/{read.position.partition}/{read.position.offset}"
