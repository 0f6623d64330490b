"""CloudEvents over HTTP: binary mode in headers, structured mode and batches in JSON.

Source: CloudEvents HTTP protocol binding 1.0.2 (sections 3.1 to 3.3), JSON event format 1.0.2.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from gateway.event import Content, has_control
from gateway.ingress.draft import Draft, Unread, pointer_of, sort_attributes
from gateway.ingress.outcome import Refused
from schemas.errors import DatumError
from schemas.fault import Fault
from schemas.json_reader import members, read_json

_MOST_FAULTS = 100
_MOST_TRACE = 512
"""Characters of a `tracestate` that must be carried on. Source: W3C Trace Context, section 3.3.1.5."""
_TEXTS = frozenset(
    {"specversion", "id", "source", "type", "datacontenttype", "dataschema", "subject", "time"}
)
"""Attributes that are texts, URIs or times; in JSON a number in their place is no CloudEvent."""
_QUOTED = re.compile(r"\\(.)", re.DOTALL)


def binary_attributes(headers: Mapping[str, str]) -> dict[str, str] | Refused:
    """The attributes in `ce-` headers, percent-decoding undone.

    `traceparent` and `tracestate` are taken along where they are usable: proxies set them, not the sender.
    """
    found: dict[str, str] = {}
    for name, text in headers.items():
        if name in {"traceparent", "tracestate"} and 0 < len(text) <= _MOST_TRACE and not has_control(text):
            found.setdefault(name, text)
        if not name.startswith("ce-"):
            continue
        if name == "ce-datacontenttype":
            return Refused(
                "event_attribute_invalid",
                "In binary mode the data's type is the Content-Type header; leave ce-datacontenttype out.",
            )
        try:
            found[name[3:]] = _undo_header(text)
        except UnicodeError:
            fault = Fault(pointer_of(name[3:]), "encoding", "is not UTF-8 once percent-decoded", "UTF-8")
            return Refused("event_attribute_invalid", f"The header {name[:43]} cannot be read.", (fault,), 1)
    return found


def read_structured(raw: bytes, content: Content) -> Draft | Unread:
    """One event in the JSON event format. The data's bytes are taken as they stand.

    Raises:
        JsonTextError: `raw` is no JSON text.
    """
    try:
        parts = members(raw)
        found, data = _split(parts)
    except DatumError as error:
        detail = "The CloudEvent itself is not well-formed: see errors."
        return Unread(Refused("event_attribute_invalid", detail, error.faults, error.total), content)
    if isinstance(data, Fault):
        return Unread(
            Refused("event_attribute_invalid", "The event's data cannot be read.", (data,), 1), content
        )
    if "specversion" not in found:
        return Unread(no_specversion("specversion"), content)
    return sort_attributes(found, data, content)


def no_specversion(name: str) -> Refused:
    """The refusal of attributes that do not say to be a CloudEvent's. `name`: of what would say it."""
    fault = Fault("/specversion", "missing", "a CloudEvent says its version", "1.0")
    return Refused("event_attribute_invalid", f"This is no CloudEvent: {name} is missing.", (fault,), 1)


def _split(parts: list[tuple[str, bytes]]) -> tuple[dict[str, str], bytes | Fault]:
    found: dict[str, str] = {}
    data: bytes | Fault | None = None
    faults: list[Fault] = []
    for name, raw in parts:
        if name == "data":
            data = raw if data is None else Fault("/data", "union", "data and data_base64 exclude each other")
        elif raw == b"null":
            continue  # unset, as if it were left out
        elif name == "data_base64":
            data = (
                _undo_base64(raw) if data is None else Fault("/data_base64", "union", "data stands there too")
            )
        else:
            text = _attribute_text(name, raw)
            if isinstance(text, Fault):
                faults.append(text)
            else:
                found[name] = text
    if faults:
        raise DatumError(tuple(faults[:_MOST_FAULTS]), len(faults))
    return found, b"null" if data is None else data


def _attribute_text(name: str, raw: bytes) -> str | Fault:
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
    if isinstance(value, int):
        return str(value)
    return Fault(pointer_of(name), "type", "is no text, integer or boolean", "string")


def _undo_base64(raw: bytes) -> bytes | Fault:
    try:
        text = read_json(raw)
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, DatumError):
        pass
    return Fault("/data_base64", "encoding", "is not base64", "base64 text")


def _undo_header(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = _QUOTED.sub(r"\1", text[1:-1])
    return unquote_to_bytes(text).decode()
