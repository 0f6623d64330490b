"""One event as a request words it, before contract and schema are asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.event import MAX_ATTRIBUTES, MAX_BYTES, Content, has_control, is_time
from gateway.ingress.outcome import Refused
from schemas.fault import Fault, FaultCode, format_pointer

MAX_ATTRIBUTE_BYTES = 1024
MAX_ATTRIBUTES_BYTES = 2048

_NAME = re.compile(r"[a-z0-9]{1,20}\Z")
_MOST_FAULTS = 100
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Draft:
    """What the sender says. `data` is the JSON text of the event's data; where that is absent, `null`."""

    type: str | None
    id: str | None
    source: str | None
    attributes: Mapping[str, str]
    data: bytes = field(repr=False)
    content: Content


@dataclass(frozen=True, slots=True)
class Unread:
    """An element of a batch that could not be read, and why."""

    refusal: Refused
    content: Content


def sort_attributes(found: Mapping[str, str], data: bytes, content: Content) -> Draft | Unread:
    """Make a draft of CloudEvents attributes (with `id`, `source`, `type` among them), checking each.

    Source: CloudEvents 1.0.2, sections 3.1 and 3.2.
    """
    faults = [fault for name, text in found.items() for fault in _faults(name, text)]
    if sum(len(text.encode()) for text in found.values()) > MAX_ATTRIBUTES_BYTES:
        faults.append(Fault("", "length", f"more than {MAX_ATTRIBUTES_BYTES} bytes of attributes", "fewer"))
    if len(found) > MAX_ATTRIBUTES:
        faults.append(Fault("", "length", f"more than {MAX_ATTRIBUTES} attributes", "fewer"))
    if faults:
        detail = "An attribute of the event is not allowed: see errors, pointers name the attribute."
        told = tuple(faults[:_MOST_FAULTS])
        return Unread(Refused("event_attribute_invalid", detail, told, len(faults)), content)
    rest = {name: text for name, text in found.items() if name not in _APART}
    return Draft(found.get("type"), found.get("id"), found.get("source"), rest, data, content)


_APART = {"id", "source", "type", "specversion", "datacontenttype", "dataschema"}


def _faults(name: str, text: str) -> list[Fault]:
    limit = MAX_BYTES.get(name, MAX_ATTRIBUTE_BYTES)
    if not _NAME.match(name):
        return _fault(name, "unknown_field", "attribute names are 1 to 20 of a-z and 0-9", "a name")
    if name == "specversion" and text != "1.0":
        return _fault(name, "enum", "this gateway speaks CloudEvents 1.0", "1.0")
    if name == "data" or not text or len(text.encode()) > limit:
        return _fault(name, "length", f"must be 1 to {limit} bytes", f"1 to {limit} bytes")
    if has_control(text):
        return _fault(name, "encoding", "holds a control character", "printable text")
    if name == "time" and not is_time(text):
        return _fault(name, "format", "is no RFC 3339 time with an offset", "2026-11-22T13:05:00Z")
    if name == "datacontenttype" and not is_json_type(text):
        return _fault(name, "enum", "data is taken as JSON", "application/json")
    return []


def _fault(name: str, code: FaultCode, text: str, expected: str) -> list[Fault]:
    return [Fault(pointer_of(name), code, text, expected)]


def is_json_type(media_type: str) -> bool:
    """Whether a media type (parameters allowed) is `application/json` or ends in `+json`."""
    essence = media_type.split(";", 1)[0].strip().lower()
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))


def pointer_of(name: str) -> str:
    """The JSON Pointer of an attribute; a name from outside is cut."""
    return format_pointer((None, name[:_LONGEST_NAME]))
