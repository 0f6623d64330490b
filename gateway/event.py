"""An event as the gateway holds it: a CloudEvent without transport, and its identity.

Source: docs/formats.md, sections 1 and 2.
"""

import hashlib
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal

Direction = Literal["inbound", "outbound"]

UNCOMPARED = frozenset(
    {"id", "source", "specversion", "datacontenttype", "dataschema", "traceparent", "tracestate"}
)
"""Attributes that two requests for the same event may differ in (or that are compared by other means)."""


MAX_BYTES: Final[Mapping[str, int]] = {"id": 256, "source": 512, "type": 128}
"""How long these may be, whoever sends them: they stand in evidence, which has a limit of its own."""

MAX_ATTRIBUTES: Final = 32
"""How many attributes a sender may give; records carry a few more, see `gateway.record`."""

MAX_POINTER_BYTES: Final = 300

_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane | 0xFFFE)}{chr(plane | 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
_CONTROL = re.compile(f"[\x00-\x1f\x7f-\x9f{_NONCHARACTERS}]")
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)\Z", re.ASCII
)


@dataclass(frozen=True, slots=True)
class EventKey:
    """What makes an event one event: partner slug, direction, CloudEvents source and id."""

    partner: str
    direction: Direction
    source: str
    id: str

    def ref(self) -> bytes:
        """The 32-byte reference."""
        made = _begun(self.partner, self.direction).copy()
        made.update(_field(self.source) + _field(self.id))
        return made.digest()


@lru_cache(4_096)
def _begun(partner: str, direction: Direction) -> "hashlib._Hash":
    """The reference as far as all events of one topic share it."""
    return hashlib.sha256(b"gateway/ref/v1\x00" + _field(partner) + _field(direction))


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


def is_of_another(source: str, partner: str) -> bool:
    """Whether a source is the gateway's name of a party that is not this partner, or lies below one."""
    if source.startswith("/house"):
        return source.startswith("/house/") or source == "/house"
    own = default_source(partner, "inbound")
    return source.startswith("/partners/") and source != own and not source.startswith(f"{own}/")


def has_control(text: str) -> bool:
    """Whether a text holds control characters or noncharacters, which no attribute may.

    PostgreSQL would refuse NUL, too.

    Source: CloudEvents 1.0.2, section 3.1, "String".
    """
    # What is printable is none of them, and that is found in a tenth of the time.
    return not text.isprintable() and _CONTROL.search(text) is not None


def is_recordable(key: EventKey) -> bool:
    """Whether evidence can name an event so: its id and source within their limits, nothing unprintable."""
    return all(
        0 < len(text.encode()) <= MAX_BYTES[name] and not has_control(text)
        for name, text in (("id", key.id), ("source", key.source))
    )


def is_time(text: str) -> bool:
    """Whether a text is an RFC 3339 time with an offset: a date, or a local time, is none."""
    match = _TIME.match(text)
    if match is None:
        return False
    try:
        datetime.fromisoformat(f"{match[1]}T{match[2]}")
    except ValueError:
        return False
    return True


def short_pointer(pointer: str) -> str:
    """A JSON Pointer as evidence takes it: twenty of them fit, however their characters are escaped."""
    short = pointer[:MAX_POINTER_BYTES]
    while len(json.dumps(short, ensure_ascii=False).encode()) > MAX_POINTER_BYTES:
        short = short[: -1 - len(short) // 8]
    return short


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
