"""What event does a record carry? For records of ours and of stock producers alike.

Type: `ce_type`, else the contract's type whose schema has the record's full name. Id: `ce_id`, else the
contract's pointers, else topic/partition/offset. The datum is checked before anything else reads it.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from gateway.broker.port import Read
from gateway.catalog import Snapshot
from gateway.channels import Channel, Version
from gateway.event import MAX_BYTES, Direction, EventKey, has_control
from gateway.record import Envelope, Unreadable, decode_record
from schemas.errors import DatumError
from schemas.fault import Fault


@dataclass(frozen=True, slots=True)
class Carried:
    """An event read from a topic, its datum checked. `json`: its data as JSON text.

    A receipt, where there is one, is not verified.
    """

    key: EventKey
    type: str
    attributes: Mapping[str, str]
    channel: Channel
    version: Version
    datum: bytes = field(repr=False)
    json: bytes = field(repr=False)
    has_receipt: bool


@dataclass(frozen=True, slots=True)
class NoEvent:
    """The record is no event of the contract; `code` and `faults` are for evidence.

    `key` and `type` as far as the record names them. `is_refused`: it was readable, and does not fit.
    """

    code: str
    key: EventKey | None = None
    type: str | None = None
    faults: tuple[Fault, ...] = ()
    is_refused: bool = True


def take_in(read: Read, snapshot: Snapshot, partner: str, direction: Direction) -> Carried | NoEvent:
    """Find the channel of a record and check its datum under the version it names."""
    envelope = decode_record(read.record)
    if isinstance(envelope, Unreadable):
        return NoEvent(envelope.code, is_refused=False)
    found = _channel(envelope, snapshot, partner, direction)
    if isinstance(found, NoEvent):
        return found
    channel, version = found
    try:
        decoded = version.codec.decode(envelope.datum)
    except DatumError as error:
        key = _named(envelope, channel, read)
        return NoEvent("event_invalid", key, channel.event_type, error.faults)
    event_id = envelope.attributes.get("id") or channel.id_of(decoded.values) or _place(read)
    if len(event_id.encode()) > MAX_BYTES["id"] or has_control(event_id):
        return NoEvent("event_attribute_invalid", None, channel.event_type)
    key = EventKey(partner, direction, envelope.attributes.get("source") or channel.source, event_id)
    rest = {name: text for name, text in envelope.attributes.items() if name not in {"id", "source", "type"}}
    time = channel.time_of(decoded.values)
    if "time" not in rest and time is not None:
        rest["time"] = time
    has_receipt = envelope.receipt is not None
    return Carried(key, channel.event_type, rest, channel, version, envelope.datum, decoded.json, has_receipt)


def value_digest(read: Read) -> str:
    """SHA-256 in hex over the record's whole value."""
    return hashlib.sha256(read.record.value or b"").hexdigest()


def receipt_ref(receipt: str) -> str | None:
    """The ref that a receipt's evidence names; nothing is verified."""
    try:
        payload = receipt.split(".")[1]
        members = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        ref = members["ref"]
    except (ValueError, IndexError, KeyError, TypeError):
        return None
    return ref if isinstance(ref, str) else None


def _channel(
    envelope: Envelope, snapshot: Snapshot, partner: str, direction: Direction
) -> tuple[Channel, Version] | NoEvent:
    named = envelope.attributes.get("type")
    wanted = envelope.schema
    if named is not None:
        channel = snapshot.channel(partner, named, direction)
        if channel is None:
            return NoEvent("event_type_unknown", None, named)
        version = _version(channel, wanted)
        if version is None:
            return NoEvent("schema_version_unknown", None, named)
        return channel, version
    for channel in snapshot.channels(partner, direction):
        version = _version(channel, wanted)
        if version is not None:
            return channel, version
    return NoEvent("event_type_unknown")


def _version(channel: Channel, wanted: int | UUID) -> Version | None:
    if isinstance(wanted, UUID):
        return next((one for one in channel.readable() if one.schema.guid == wanted), None)
    return next((one for one in channel.readable() if one.schema_id == wanted), None)


def _named(envelope: Envelope, channel: Channel, read: Read) -> EventKey:
    source = envelope.attributes.get("source") or channel.source
    return EventKey(channel.partner, channel.direction, source, envelope.attributes.get("id") or _place(read))


def _place(read: Read) -> str:
    return f"{read.record.topic}/{read.position.partition}/{read.position.offset}"
