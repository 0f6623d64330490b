"""Event to Kafka record and back: CloudEvents binding, framing, receipt header.

Nothing here knows schemas: a record's data is bytes. What we write is binary mode with Avro data; what a
stock producer writes may also be structured mode in JSON, or binary mode with JSON data.
Source: docs/formats.md, section 7; CloudEvents Kafka protocol binding 1.0.2, section 3 (headers with an
underscore, no percent-encoding).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from gateway.attributes import (
    APART,
    NEVER_EMPTY,
    SPEC_VERSION,
    attribute_faults,
    is_json_type,
    is_name,
    is_utf8,
)
from gateway.broker.port import UNREADABLE_HEADERS, Record
from gateway.event import MAX_BYTES, EventKey, has_control, is_time
from gateway.event_json import read_event_json
from schemas.errors import DatumError, JsonTextError, SchemasError
from schemas.framing import decode_guid, decode_prefix, encode_guid, encode_prefix

RECEIPT_HEADER = "gateway_receipt"
GUID_HEADER = "__value_schema_id"
PREFIX_TYPE = "application/vnd.confluent.avro"
DATUM_TYPE = "application/avro"
STRUCTURED_TYPE = "application/cloudevents+json"

Framing = Literal["prefix", "header"]

_PREFIX = "application/cloudevents"
"""Content types that begin so are structured mode, in whichever format."""
_HOW = APART - {"id", "source", "type"}
"""Attributes that say how the data stands, not which event it is."""
_USUAL = frozenset({"id", "source", "type", "specversion", "dataschema", "time", "subject"})
"""Names that need no look at their letters."""
_BESIDE = frozenset({"content-type", RECEIPT_HEADER})
"""Headers that say something beside the attributes."""
_MAX_ATTRIBUTES = 40
_MAX_TEXT_BYTES = 2048


@dataclass(frozen=True, slots=True)
class SchemaRef:
    """A schema as a record names it: by the registry's id, or by GUID."""

    id: int
    guid: UUID


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record goes: topic, partition, record key and time (Unix milliseconds)."""

    topic: str
    partition: int
    key: bytes | None
    at: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a record says of itself, before any schema is asked.

    `attributes`: the `ce_` headers by name (in structured mode: the members), `type`, `id` and `source` among
    them where given. `schema`: the registry id (prefix framing) or the GUID (header framing) of an Avro
    datum; None: `data` is JSON text.
    """

    attributes: Mapping[str, str]
    schema: int | UUID | None
    data: bytes = field(repr=False)
    receipt: str | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The record is no event; `code` is for evidence and metrics."""

    code: Literal[
        "no_value",
        "framing",
        "header_invalid",
        "structured_mode",
        "body_malformed",
        "event_attribute_invalid",
    ]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A signed event, ready for a record. `attributes`: those beside id, source and type."""

    type: str
    key: EventKey
    attributes: Mapping[str, str]
    datum: bytes = field(repr=False)
    schema: SchemaRef
    framing: Framing
    receipt: str = field(repr=False)


def encode_record(event: Encoded, place: Place, *, origin: str) -> Record:
    """The record of an event. `origin`: the gateway's URL, for `dataschema`."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.key.id.encode()),
        ("ce_source", event.key.source.encode()),
        ("ce_type", event.type.encode()),
    ]
    headers += [(f"ce_{name}", event.attributes[name].encode()) for name in sorted(event.attributes)]
    headers.append(("ce_dataschema", f"{origin}/v1/schemas/{event.schema.id}".encode()))
    if event.framing == "prefix":
        value = encode_prefix(event.schema.id, event.datum)
        headers.append(("content-type", PREFIX_TYPE.encode()))
    else:
        value = event.datum
        headers.append(("content-type", DATUM_TYPE.encode()))
        headers.append((GUID_HEADER, encode_guid(event.schema.guid)))
    headers.append((RECEIPT_HEADER, event.receipt.encode()))
    return Record(place.topic, place.partition, place.key, value, tuple(headers), place.at)


def decode_record(record: Record) -> Envelope | Unreadable:
    """Read headers and framing of any record, ours or a stock producer's.

    Checks no schema and no signature.
    """
    if record.value is None:
        return Unreadable("no_value")
    headers = _headers(record)
    if headers is None:
        return Unreadable("header_invalid")
    media_type = headers.get("content-type", "")
    if media_type.lower().startswith(_PREFIX):
        return _structured(record.value, media_type, headers.get(RECEIPT_HEADER))
    attributes = _attributes(headers)
    if attributes is None:
        return Unreadable("header_invalid")
    guid = next((value for name, value in record.headers if name == GUID_HEADER), None)
    # A zero byte begins framed Avro, and no JSON text: a producer's wrong content type does no harm.
    is_bare = "ce_specversion" in headers and guid is None and not record.value.startswith(b"\x00")
    if is_bare and (not media_type or (is_json_type(media_type) and is_utf8(media_type))):
        return Envelope(attributes, None, record.value, headers.get(RECEIPT_HEADER))
    try:
        schema, datum = _unframe(record.value, guid)
    except SchemasError:
        return Unreadable("framing")
    return Envelope(attributes, schema, datum, headers.get(RECEIPT_HEADER))


def _structured(value: bytes, media_type: str, receipt: str | None) -> Envelope | Unreadable:
    """An event that is the record's value; `ce_` headers beside it say nothing."""
    if media_type.split(";", 1)[0].strip().lower() != STRUCTURED_TYPE or not is_utf8(media_type):
        return Unreadable("structured_mode")
    try:
        event = read_event_json(value)
    except JsonTextError:
        return Unreadable("body_malformed")
    except DatumError:
        return Unreadable("event_attribute_invalid")
    if attribute_faults(event.attributes):
        return Unreadable("event_attribute_invalid")
    attributes = {name: text for name, text in event.attributes.items() if name not in _HOW}
    return Envelope(attributes, None, event.data, receipt)


def _headers(record: Record) -> Mapping[str, str] | None:
    """The headers that make an event. Others are not ours to judge: tracing libraries add binary ones."""
    if record.headers == UNREADABLE_HEADERS:
        return None
    found: dict[str, str] = {}
    for name, value in record.headers:
        if name[:3] != "ce_" and name not in _BESIDE:
            continue
        if name in found:
            return None  # readers differ in which of two they take: it would be two events
        try:
            found[name] = value.decode()
        except UnicodeDecodeError:
            return None
    return found


def _unframe(value: bytes, guid: bytes | None) -> tuple[int | UUID, bytes]:
    return decode_prefix(value) if guid is None else (decode_guid(guid), value)


def _attributes(headers: Mapping[str, str]) -> Mapping[str, str] | None:
    found = {name[3:]: text for name, text in headers.items() if name[:3] == "ce_"}
    if len(found) > _MAX_ATTRIBUTES or has_control("".join(found.values())):
        return None
    if not all(map(_is_attribute, found, found.values())):
        return None
    return {name: text for name, text in found.items() if name not in _HOW}


def _is_attribute(name: str, text: str) -> bool:
    """Whether a `ce_` header may be so, once it is known to be printable.

    Foreign ones may be longer than what a request may bring.
    """
    if name not in _USUAL and (not is_name(name) or name == "datacontenttype"):
        return False
    if name == "specversion":
        return text == SPEC_VERSION
    if name == "time":
        return is_time(text)
    most = MAX_BYTES.get(name, _MAX_TEXT_BYTES)
    # A character is four bytes at most.
    is_short = len(text) * 4 <= most or len(text.encode()) <= most
    return is_short and (bool(text) or name not in NEVER_EMPTY)
