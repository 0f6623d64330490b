"""An event as the gateway holds it: a CloudEvent without transport, and its identity.

Source: docs/formats.md, sections 1 and 2.
"""

import base64
import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["inbound", "outbound"]

UNCOMPARED = frozenset(
    {"id", "source", "specversion", "datacontenttype", "dataschema", "traceparent", "tracestate"}
)
"""Attributes that two requests for the same event may differ in (or that are compared by other means)."""


REF_CHARACTERS = 56


@dataclass(frozen=True, slots=True)
class EventKey:
    """What makes an event one event: partner slug, direction, CloudEvents source and id."""

    partner: str
    direction: Direction
    source: str
    id: str

    def ref(self) -> bytes:
        """The 32-byte reference."""
        parts = (self.partner, self.direction, self.source, self.id)
        return hashlib.sha256(b"gateway/ref/v1\x00" + b"".join(map(_field, parts))).digest()


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes as received, before content decoding, and how the sender described them."""

    raw: bytes = field(repr=False)
    media_type: str
    encoding: Literal["identity", "gzip"] = "identity"


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvent.

    `attributes`: every optional attribute and extension given (`time`, `subject`, ...); `type`, `id` and
    `source` stand apart.
    """

    key: EventKey
    type: str
    attributes: Mapping[str, str]
    content: Content


def default_source(partner: str, direction: Direction) -> str:
    """The source of an event whose sender named none."""
    return f"/partners/{partner}" if direction == "inbound" else "/house"


def format_ref(ref: bytes) -> str:
    """`evt_` and lower-case base32 without padding."""
    return "evt_" + base64.b32encode(ref).decode("ascii").lower().rstrip("=")


def parse_ref(text: str) -> bytes | None:
    """The 32 bytes of a reference; None where the text is none (the caller answers as for an unknown one)."""
    if len(text) != REF_CHARACTERS or not text.startswith("evt_") or text != text.lower():
        return None
    try:
        ref = base64.b32decode(text[4:].upper() + "====")
    except ValueError:
        return None
    return ref if format_ref(ref) == text else None


def event_digest(fingerprint: bytes, event_type: str, attributes: Mapping[str, str], datum: bytes) -> bytes:
    """SHA-256 over what makes two requests the same event: schema, compared attributes, Avro datum."""
    compared = {name: text for name, text in attributes.items() if name not in UNCOMPARED}
    compared["type"] = event_type
    parts = [b"gateway/event/v1\x00", fingerprint, struct.pack(">I", len(compared))]
    for name in sorted(compared, key=str.encode):
        parts += (_field(name), _field(compared[name]))
    parts.append(datum)
    return hashlib.sha256(b"".join(parts)).digest()


def _field(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">I", len(raw)) + raw
