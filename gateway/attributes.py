"""The rules of CloudEvents attributes, whichever binding brings them; and their spelling in HTTP headers.

Source: CloudEvents 1.0.2, sections 3.1 and 3.2; HTTP protocol binding 1.0.2, section 3.1.3.2.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from gateway.event import MAX_ATTRIBUTES, MAX_BYTES, has_control, is_time
from schemas.fault import Fault, FaultCode, format_pointer

MAX_ATTRIBUTE_BYTES: Final = 1024
MAX_ATTRIBUTES_BYTES: Final = 2048
SPEC_VERSION: Final = "1.0"

APART: Final = frozenset({"id", "source", "type", "specversion", "datacontenttype", "dataschema"})
"""Attributes that say who the event is, or how its data stands; the others travel with it as they are."""

NEVER_EMPTY: Final = APART | {"subject", "time", "partitionkey"}
"""Attributes that say something where they stand; other extensions may be empty texts."""

_LONGEST_NAME = 40
_RESERVED = frozenset({"data", "data_base64"})
"""Names of the data itself in the JSON event format."""

_NAME = re.compile(r"[a-z0-9]{1,20}\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\"<>\\^`{|}]+\Z")
_CHARSET = re.compile(r";\s*charset\s*=\s*(\"[^\"]*\"|[^;\s]*)", re.IGNORECASE)
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii"})
"""Charsets, in lower case, whose every text is UTF-8 as it stands."""
_JSON = re.compile(r"[a-z0-9!#$&^_.+-]+/(?:[a-z0-9!#$&^_.+-]+\+)?json\Z")

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"\Z', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
"""What stands for itself in a header's value; all else is percent-encoded."""


def attribute_faults(found: Mapping[str, str]) -> list[Fault]:
    """Every fault of an event's attributes; pointers name the attribute."""
    faults = [fault for name, text in found.items() for fault in _faults(name, text)]
    if sum(len(text.encode()) for text in found.values()) > MAX_ATTRIBUTES_BYTES:
        faults.append(Fault("", "length", f"more than {MAX_ATTRIBUTES_BYTES} bytes of attributes", "fewer"))
    if len(found) > MAX_ATTRIBUTES:
        faults.append(Fault("", "length", f"more than {MAX_ATTRIBUTES} attributes", "fewer"))
    return faults


def is_name(name: str) -> bool:
    """Whether an attribute may have this name."""
    return _NAME.match(name) is not None and name not in _RESERVED


def is_json_type(media_type: str) -> bool:
    """Whether a media type (parameters allowed) says JSON: its subtype is `json` or ends in `+json`.

    Source: CloudEvents JSON event format 1.0.2, section 3.1.
    """
    return _JSON.match(media_type.split(";", 1)[0].strip().lower()) is not None


def is_utf8(media_type: str) -> bool:
    """Whether a media type says that its text is UTF-8, or says nothing about it."""
    return all(name.strip('"').lower() in _UTF8 for name in _CHARSET.findall(media_type))


def pointer_of(name: str) -> str:
    """The JSON Pointer of an attribute; a name from outside is cut."""
    return format_pointer((None, name[:_LONGEST_NAME]))


def encode_header(text: str) -> str:
    """An attribute's value as it stands in an HTTP header: printable ASCII."""
    return quote(text, safe=_SAFE)


def decode_header(name: str, text: str) -> str | Fault:
    """The value of the attribute `name` from its HTTP header: quoting undone, then one round of percents.

    What could be read in two ways is a fault: a quotation that does not span the value, a percent sign
    without its two digits, bytes that are not UTF-8.
    """
    if text.startswith('"'):
        match = _QUOTED.match(text)
        if match is None:
            return Fault(
                pointer_of(name), "encoding", "starts a quotation that does not end it", 'or %22 for "'
            )
        text = _ESCAPED.sub(r"\1", match[1])
    if _BAD_PERCENT.search(text):
        return Fault(pointer_of(name), "encoding", "holds % without two hexadecimal digits", "%25 for %")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        return Fault(pointer_of(name), "encoding", "is not UTF-8 once percent-decoded", "UTF-8")


def _faults(name: str, text: str) -> list[Fault]:
    limit = MAX_BYTES.get(name, MAX_ATTRIBUTE_BYTES)
    if not is_name(name):
        told = "attribute names are 1 to 20 of a-z and 0-9, and not data"
        return _fault(name, "unknown_field", told, "a name")
    if name == "specversion" and text != SPEC_VERSION:
        return _fault(name, "enum", "this gateway speaks CloudEvents 1.0", SPEC_VERSION)
    least = 1 if name in NEVER_EMPTY else 0
    if not least <= len(text.encode()) <= limit:
        return _fault(name, "length", f"must be {least} to {limit} bytes", f"{least} to {limit} bytes")
    if has_control(text):
        return _fault(name, "encoding", "holds a control character or a noncharacter", "printable text")
    return _meaning_faults(name, text)


def _meaning_faults(name: str, text: str) -> list[Fault]:
    if name == "time" and not is_time(text):
        return _fault(name, "format", "is no RFC 3339 time with an offset", "2026-11-22T13:05:00Z")
    if name == "dataschema" and not _URI.match(text):
        return _fault(name, "format", "is no URI", "a URI with its scheme")
    if name == "datacontenttype" and not is_json_type(text):
        return _fault(name, "enum", "data is taken as JSON", "application/json")
    if name == "datacontenttype" and not is_utf8(text):
        return _fault(name, "encoding", "names a charset other than UTF-8", "charset=utf-8, or none")
    return []


def _fault(name: str, code: FaultCode, text: str, expected: str) -> list[Fault]:
    return [Fault(pointer_of(name), code, text, expected)]
