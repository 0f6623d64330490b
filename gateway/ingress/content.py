"""From a request's media type and body to drafts of events; refuses what is not offered.

With a type in the path the body is the data; without it the request is a CloudEvent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.attributes import is_json_type, is_utf8
from gateway.event import Content
from gateway.ingress.cloudevents import PREFIX, binary_attributes, no_specversion, read_structured
from gateway.ingress.draft import Draft, Unread, sort_attributes
from gateway.ingress.form import AVRO, CONFLUENT, JSON, Form, unframe
from gateway.ingress.outcome import Refused
from schemas.errors import DatumError, JsonTextError
from schemas.json_reader import split_array

TYPED = ("application/json", "application/x-ndjson", AVRO, CONFLUENT)
UNTYPED = (
    "application/json",
    AVRO,
    CONFLUENT,
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/x-ndjson",
)

NOT_UTF8 = "The body must be UTF-8: send it so, with charset=utf-8 in its Content-Type or without a charset."


@dataclass(frozen=True, slots=True)
class Received:
    """A request's parts that make events.

    `event_type`: from the path, else None. `headers`: lower-case names. `body`: content decoding undone;
    `sent`: the bytes as received. `most`: how many events a batch may hold; None: as many as it does. `form`:
    of a body that is one event's data.
    """

    event_type: str | None
    media_type: str
    headers: Mapping[str, str] = field(repr=False)  # the caller's key is among them
    body: bytes = field(repr=False)
    sent: bytes = field(repr=False)
    encoding: Literal["identity", "gzip"] = "identity"
    most: int | None = None
    form: Form = JSON


@dataclass(frozen=True, slots=True)
class Reading:
    """The events of a request, in order; `batch`: the answer is a list even for one."""

    items: tuple[Draft | Unread, ...]
    batch: bool


def read_events(received: Received) -> Reading | Refused:
    """Read a request's events.

    A fault of one element of a batch is that element's, of the body the whole's.
    """
    essence = received.media_type.split(";", 1)[0].strip().lower()
    if not is_utf8(received.media_type):
        return Refused("media_type_unsupported", NOT_UTF8)
    try:
        if essence == "application/x-ndjson":
            return _ndjson(received)
        if received.event_type is None and essence == "application/cloudevents-batch+json":
            return _elements(received)
        if received.event_type is None and essence == "application/cloudevents+json":
            return Reading((read_structured(received.body, _content(received)),), batch=False)
    except JsonTextError as error:
        return broken("The body", error)
    except DatumError as error:
        return Refused("body_malformed", "The body is not as announced.", error.faults, error.total)
    is_taken = is_json_type(essence) or received.form.kind == "avro" or not essence
    if essence.startswith(PREFIX) or not is_taken:
        return Refused("media_type_unsupported", _not_taken(essence, received.event_type))
    return _binary(received)


def _not_taken(essence: str, event_type: str | None) -> str:
    if not essence.startswith(PREFIX):
        return f"The media type {essence[:80]} is not taken here."
    if event_type is not None:
        return "With a type in the path the body is the data; CloudEvents go to the path without a type."
    return "CloudEvents are taken in JSON: application/cloudevents+json, application/cloudevents-batch+json."


def broken(subject: str, error: JsonTextError) -> Refused:
    """The refusal of what is no JSON text; its place is one in `subject`."""
    return Refused("body_malformed", unreadable(subject, error), place=(error.offset, error.line))


def unreadable(subject: str, error: JsonTextError) -> str:
    """A sentence that says why `subject` is no JSON text, and where."""
    # A fault of the whole is told of it ("is not UTF-8"); one at a place names what should stand there.
    is_of_the_whole = error.text.startswith(("is ", "starts ", "ends "))
    return f"{subject} {'' if is_of_the_whole else 'is no JSON: '}{error}."


def _content(received: Received) -> Content:
    return Content(received.sent, received.media_type[:128] or "application/json", received.encoding)


def _binary(received: Received) -> Reading | Refused:
    found = binary_attributes(received.headers)
    if isinstance(found, Refused):
        return found
    if received.event_type is not None:
        if not received.body and received.form.kind == "json":
            text = "The body is empty; with a type in the path it is the event's data."
            return Refused("body_malformed", text, place=(0, 1))
        if found.get("type", received.event_type) != received.event_type:
            return Refused("event_attribute_invalid", "The ce-type header and the type in the path differ.")
        found["type"] = received.event_type
    elif "specversion" not in found and any(name.startswith("ce-") for name in received.headers):
        return no_specversion()
    unframed = unframe(received.body, received.media_type.split(";", 1)[0].strip().lower(), received.form)
    if isinstance(unframed, Refused):
        return Reading((Unread(unframed, _content(received)),), batch=False)
    form, data = unframed
    item = sort_attributes(found, data, _content(received))
    if isinstance(item, Draft) and form != JSON:
        item = replace(item, form=form)
    return Reading((item,), batch=False)


def _elements(received: Received) -> Reading | Refused:
    try:
        parts = split_array(received.body, most=received.most)
    except DatumError as error:
        if error.faults[0].code == "length":
            return _too_many(received.most)
        raise
    items = [read_structured(raw, Content(raw, "application/cloudevents+json")) for raw in parts]
    return Reading(tuple(items), batch=True)


def _ndjson(received: Received) -> Reading | Refused:
    items: list[Draft | Unread] = []
    if received.most is not None and received.body.count(b"\n") > 2 * received.most + 2:
        return _too_many(received.most)  # blank lines have a bound too
    start = 0
    while start < len(received.body):
        end = received.body.find(b"\n", start)
        end = len(received.body) if end < 0 else end
        line = received.body[start:end].removesuffix(b"\r")
        start = end + 1
        if not line.strip():
            continue
        if received.most is not None and len(items) >= received.most:
            return _too_many(received.most)
        items.append(_line(line, received.event_type))
    return Reading(tuple(items), batch=True)


def _too_many(most: int | None) -> Refused:
    return Refused("body_too_large", f"A batch may hold {most} events (a limit of the gateway).")


def _line(line: bytes, event_type: str | None) -> Draft | Unread:
    if event_type is not None:
        return sort_attributes({"type": event_type}, line, Content(line, "application/json"))
    content = Content(line, "application/cloudevents+json")
    try:
        return read_structured(line, content)
    except JsonTextError as error:
        return Unread(broken("The line", error), content)
