"""CloudEvents over HTTP: binary mode in headers, structured mode and batches in JSON.

Source: CloudEvents HTTP protocol binding 1.0.2, sections 3.1 to 3.3.
"""

from collections.abc import Mapping
from typing import Final

from gateway.attributes import decode_header, pointer_of
from gateway.event import Content, has_control
from gateway.event_json import read_event_json
from gateway.ingress.draft import Draft, Unread, sort_attributes
from gateway.ingress.outcome import Refused
from schemas.errors import DatumError
from schemas.fault import Fault

PREFIX: Final = "application/cloudevents"
"""Media types that begin so are structured mode or a batch, in whichever format; all others are data."""

_MOST_FAULTS = 100
_MOST_TRACE = 512
"""Characters of a `tracestate` that must be carried on. Source: W3C Trace Context, section 3.3.1.5."""


def binary_attributes(headers: Mapping[str, str]) -> dict[str, str] | Refused:
    """The attributes in `ce-` headers, percent-decoding undone.

    `traceparent` and `tracestate` are taken along where they are usable: proxies set them, not the sender.
    """
    found: dict[str, str] = {}
    faults: list[Fault] = []
    for name, text in headers.items():
        if name in {"traceparent", "tracestate"} and 0 < len(text) <= _MOST_TRACE and not has_control(text):
            found.setdefault(name, text)
        if not name.startswith("ce-"):
            continue
        if name == "ce-datacontenttype":
            told = "is the Content-Type header in binary mode; leave ce-datacontenttype out"
            faults.append(Fault(pointer_of(name[3:]), "unknown_field", told))
            continue
        value = decode_header(name[3:], text)
        if isinstance(value, Fault):
            faults.append(value)
        else:
            found[name[3:]] = value
    if faults:
        detail = "A ce- header cannot be read: see errors, pointers name the attribute."
        return Refused("event_attribute_invalid", detail, tuple(faults[:_MOST_FAULTS]), len(faults))
    return found


def read_structured(raw: bytes, content: Content) -> Draft | Unread:
    """One event in the JSON event format. The data's bytes are taken as they stand.

    Raises:
        JsonTextError: `raw` is no JSON text.
    """
    try:
        event = read_event_json(raw)
    except DatumError as error:
        detail = "The CloudEvent itself is not well-formed: see errors."
        return Unread(Refused("event_attribute_invalid", detail, error.faults, error.total), content)
    return sort_attributes(event.attributes, event.data, content)


def no_specversion() -> Refused:
    """The refusal of `ce-` headers that do not say to be a CloudEvent's."""
    fault = Fault("/specversion", "missing", "a CloudEvent says its version", "1.0")
    detail = "This is no CloudEvent: ce-specversion is missing."
    return Refused("event_attribute_invalid", detail, (fault,), 1)
