"""One event as a request words it, before contract and schema are asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.event import Content
from gateway.ingress.outcome import Refused
from schemas.fault import Fault

MAX_ID_BYTES = 256
MAX_SOURCE_BYTES = 512
MAX_ATTRIBUTE_BYTES = 1024
MAX_ATTRIBUTES_BYTES = 2048

_NAME = re.compile(r"[a-z0-9]{1,20}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Draft:
    """What the sender says. `data` is the JSON text of the event's data; None stands for absent."""

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
    if faults:
        detail = "An attribute of the event is not allowed: see errors, pointers name the attribute."
        return Unread(Refused("event_attribute_invalid", detail, tuple(faults), len(faults)), content)
    rest = {name: text for name, text in found.items() if name not in _APART}
    return Draft(found.get("type"), found.get("id"), found.get("source"), rest, data, content)


_APART = {"id", "source", "type", "specversion", "datacontenttype", "dataschema"}
_LIMITS = {"id": MAX_ID_BYTES, "source": MAX_SOURCE_BYTES, "type": 128}


def _faults(name: str, text: str) -> list[Fault]:
    pointer = f"/{name[:40]}"
    limit = _LIMITS.get(name, MAX_ATTRIBUTE_BYTES)
    if not _NAME.match(name):
        return [Fault(pointer, "unknown_field", "attribute names are 1 to 20 of a-z and 0-9", "a name")]
    if name == "specversion" and text != "1.0":
        return [Fault(pointer, "enum", "this gateway speaks CloudEvents 1.0", "1.0")]
    if name == "data" or not text or len(text.encode()) > limit:
        return [Fault(pointer, "length", f"must be 1 to {limit} bytes", f"1 to {limit} bytes")]
    if _CONTROL.search(text):
        return [Fault(pointer, "encoding", "holds a control character", "printable text")]
    if name == "time" and not _is_time(text):
        return [Fault(pointer, "format", "is no RFC 3339 time with an offset", "2026-11-22T13:05:00Z")]
    if name == "datacontenttype" and not is_json_type(text):
        return [Fault(pointer, "enum", "data is taken as JSON", "application/json")]
    return []


def is_json_type(media_type: str) -> bool:
    """Whether a media type (parameters allowed) is `application/json` or ends in `+json`."""
    essence = media_type.split(";", 1)[0].strip().lower()
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))


def _is_time(text: str) -> bool:
    if not _TIME.match(text):
        return False
    try:
        datetime.fromisoformat(text[:10] + "T" + text[11:19])
    except ValueError:
        return False
    return True
