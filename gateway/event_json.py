"""One CloudEvent in the JSON event format: its attributes as texts, its data as bytes.

The data is cut out, not read: whoever knows its schema reads it, once. Nothing here knows a contract.
Source: CloudEvents JSON event format 1.0.2.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.attributes import pointer_of
from schemas.errors import DatumError
from schemas.fault import Fault
from schemas.json_reader import members, read_json

NO_DATA: Final = Fault(
    "", "missing", "the event carries no data, and its type needs some", "the event's data"
)
"""The fault of an event without data: every type's schema is a record, which nothing cannot be."""

_MOST_FAULTS = 100
_MOST_MEMBERS = 128
"""More than an event may have; a hostile object ends here."""
_INTEGERS: Final = range(-(2**31), 2**31)
"""Source: CloudEvents 1.0.2, section 3.1, "Integer"."""
_TEXTS = frozenset(
    {"specversion", "id", "source", "type", "datacontenttype", "dataschema", "subject", "time"}
)
"""Attributes that are texts, URIs or times; in JSON a number in their place is no CloudEvent."""


@dataclass(frozen=True, slots=True)
class JsonEvent:
    """What stands in it. `attributes` are not checked yet; `data`: its bytes, empty where there is none."""

    attributes: Mapping[str, str]
    data: bytes = field(repr=False)


def read_event_json(raw: bytes) -> JsonEvent:
    """Read one event. Members that are null are as if left out; unknown ones are extensions.

    Raises:
        JsonTextError: `raw` is no JSON text.
        DatumError: it is no event; all faults, up to a hundred.
    """
    found: dict[str, str] = {}
    data: bytes | None = None
    faults: list[Fault] = []
    for name, value in members(raw, most=_MOST_MEMBERS):
        if value == b"null":
            continue
        taken = value if name == "data" else _taken(name, value)
        if isinstance(taken, Fault):
            faults.append(taken)
        elif isinstance(taken, str):
            found[name] = taken
        elif data is not None:
            faults.append(Fault(pointer_of(name), "union", "data and data_base64 exclude each other"))
        else:
            data = taken
    if "specversion" not in found and not any(fault.pointer == "/specversion" for fault in faults):
        faults.append(Fault("/specversion", "missing", "a CloudEvent says its version", "1.0"))
    if faults:
        raise DatumError(tuple(faults[:_MOST_FAULTS]), len(faults))
    return JsonEvent(found, data or b"")


def _taken(name: str, raw: bytes) -> str | bytes | Fault:
    return _undo_base64(raw) if name == "data_base64" else _attribute_text(name, raw)


def _attribute_text(name: str, raw: bytes) -> str | Fault:
    """The text of an attribute: integers and booleans in the form that the specification gives them."""
    if raw.startswith((b"{", b"[")):
        return Fault(pointer_of(name), "type", "is no text, integer or boolean", "string")
    try:
        value = read_json(raw)
    except DatumError as error:
        return Fault(pointer_of(name), error.faults[0].code, error.faults[0].text)
    if isinstance(value, str):
        return value
    if name in _TEXTS:
        return Fault(pointer_of(name), "type", "is no text", "string")
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int):
        return Fault(pointer_of(name), "type", "is no text, integer or boolean", "string")
    if value not in _INTEGERS:
        return Fault(
            pointer_of(name), "range", "is beyond 32 bits; send it as a text", "an integer of 32 bits"
        )
    return str(value)


def _undo_base64(raw: bytes) -> bytes | Fault:
    try:
        text = read_json(raw)
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, DatumError):
        pass
    return Fault("/data_base64", "encoding", "is not base64", "base64 text")
