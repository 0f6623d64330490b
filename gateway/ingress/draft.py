"""One event as a request words it, before contract and schema are asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.attributes import APART, attribute_faults
from gateway.event import Content
from gateway.ingress.form import JSON, Form
from gateway.ingress.outcome import Refused

_MOST_FAULTS = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """What the sender says. `data`: the event's data in the form that is named, empty where it has none.

    `data_schema`: the URI of its schema, if the sender names one.
    """

    type: str | None
    id: str | None
    source: str | None
    attributes: Mapping[str, str]
    data: bytes = field(repr=False)
    content: Content
    form: Form = JSON
    data_schema: str | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """An element of a batch that could not be read, and why."""

    refusal: Refused
    content: Content


def sort_attributes(found: Mapping[str, str], data: bytes, content: Content) -> Draft | Unread:
    """Make a draft of CloudEvents attributes (with `id`, `source`, `type` among them), checking each."""
    faults = attribute_faults(found)
    if faults:
        detail = "An attribute of the event is not allowed: see errors, pointers name the attribute."
        told = tuple(faults[:_MOST_FAULTS])
        return Unread(Refused("event_attribute_invalid", detail, told, len(faults)), content)
    rest = {name: text for name, text in found.items() if name not in APART}
    named = (found.get("type"), found.get("id"), found.get("source"))
    return Draft(*named, rest, data, content, data_schema=found.get("dataschema"))
