"""Event types and schemas of a contract."""

import asyncio
import re
from functools import partial
from typing import Any, Final

from starlette.responses import Response

from gateway import operational
from gateway.channels import Channel
from gateway.event import Direction
from gateway.http.guard import Call, find_surely, not_found
from gateway.http.pages import page_response
from gateway.http.parameters import choice
from gateway.http.shapes import ANY, DIRECTION, ref, text, word
from gateway.http.told import JSON, PAGED, Parameter, Reply, shows, tells
from gateway.http.words import json_response
from schemas import registry
from schemas.json_schema import json_schema
from schemas.sample import sample
from schemas.schema import Schema

SCHEMA_OFFERED: Final = frozenset({"as", "direction"})
SAMPLE_OFFERED: Final = frozenset({"direction"})
_DIRECTIONS: Final[tuple[Direction, ...]] = ("inbound", "outbound")
_ID: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_NOT_KEPT: Final = {"Cache-Control": "no-store"}
_DIRECTION: Final = Parameter("direction", "Where a type goes both ways: which of them.", DIRECTION)
_LINK: Final = "Where else this is told."
_IMMUTABLE: Final = {"Cache-Control": "private, max-age=86400, immutable"}


@tells(
    "listTypes",
    "Contract and types",
    "The event types of the contract",
    shows(ref("TypePage"), "A page of types, by name.", Link="The next page."),
    parameters=PAGED,
    errors=("cursor_invalid",),
)
async def list_types(call: Call) -> Response:
    """The types of either direction."""
    slug = call.partner.slug
    rows = [one for direction in _DIRECTIONS for one in call.snapshot.channels(slug, direction)]
    return page_response(
        call,
        rows,
        key=lambda one: f"{one.event_type} {one.direction}",
        item=lambda one: _item(call, one),
        bound=("types", slug),
    )


@tells(
    "showType",
    "Contract and types",
    "One event type",
    shows(ref("TypeShown"), "The type in each direction that has it."),
)
async def show_type(call: Call) -> Response:
    """One type, in each direction that has it."""
    lines = await find_surely(call, lambda known: _channels(known, None))
    return json_response(
        {"type": lines[0].event_type, "directions": [_item(call, channel) for channel in lines]}
    )


@tells(
    "showTypeSchema",
    "Contract and types",
    "The schema of an event type",
    Reply(
        200,
        "The newest accepted schema: the text as it was agreed, or JSON Schema of the type's data in JSON.",
        {JSON: ANY, "application/schema+json": {"type": "object"}},
        {"Link": _LINK},
    ),
    parameters=(
        Parameter("as", "Avro's own text, or JSON Schema.", word("avro", "jsonschema")),
        _DIRECTION,
    ),
)
async def show_type_schema(call: Call) -> Response:
    """The newest accepted schema of a type: its text, or as JSON Schema of its data in JSON."""
    form = choice(call.query, "as", ("avro", "jsonschema"), "avro")
    channel = await find_surely(call, _channel)
    newest = channel.versions[0]
    if form == "jsonschema":
        path = _path(call, channel, "schema")
        # On a thread: the largest schema that is taken keeps one busy for half a second.
        make = partial(
            json_schema,
            newest.schema.root,
            flavour=channel.line.terms.json,
            address=f"{call.doors.values.origin}{path}&as=jsonschema",
            title=channel.event_type,
        )
        text = await asyncio.get_running_loop().run_in_executor(None, make)
        return Response(text, 200, _NOT_KEPT, "application/schema+json")
    link = {"Link": f"<{call.base}/schemas/{newest.schema_id}>; rel=canonical"}
    return Response(newest.schema.text, 200, _NOT_KEPT | link, "application/json")


@tells(
    "showTypeSample",
    "Contract and types",
    "A valid sample of an event type",
    shows(ANY, "Data that the type's schema takes; always the same.", Link=_LINK),
    parameters=(_DIRECTION,),
    errors=("schema_invalid",),
)
async def show_type_sample(call: Call) -> Response:
    """Data of a type as its sender may write it: valid, always the same, made from the newest schema."""
    channel = await find_surely(call, _channel)
    root = channel.versions[0].schema.root
    make = partial(sample, root, flavour=channel.line.terms.json)
    text = await asyncio.get_running_loop().run_in_executor(None, make)
    link = {"Link": f"<{_path(call, channel, 'schema')}&as=jsonschema>; rel=describedby"}
    return Response(text, 200, _NOT_KEPT | link, "application/json")


@tells(
    "showSchema",
    "Contract and types",
    "A schema by its id",
    shows(ANY, "The schema's text."),
    about="The target of `dataschema` in events and records.",
    parameters=(Parameter("id", "A schema id.", text("[1-9][0-9]{0,8}"), place="path", example="1"),),
)
async def show_schema(call: Call) -> Response:
    """A schema by its id: those of types that a partner has or had; for our side, naming none, any.

    Records and events name it as their `dataschema`, so whoever reads them must find it by that alone.
    """
    text = call.part("id")
    if not _ID.fullmatch(text):
        raise not_found()
    schema_id = int(text)
    owner = call.owner
    subjects: set[str] | None = None
    if owner is not None:
        subjects = {line.subject for line in call.snapshot.directory.lines(owner.slug)}
        subjects |= {one.line.subject for one in call.snapshot.directory.former(owner.slug)}
        subjects |= operational.subjects(owner.topics.outbound)

    def find(session: Any) -> Schema | None:
        used = {subject for subject, _number in registry.uses(session, schema_id)}
        if subjects is not None and used.isdisjoint(subjects):
            return None
        return registry.by_id(session, schema_id)

    schema = await call.doors.database.read(find)
    if schema is None:
        raise not_found()
    return Response(schema.text, 200, _IMMUTABLE, "application/json")


def _channel(call: Call) -> Channel:
    """The channel of the direction that is asked for, else the inbound one if there is one."""
    return _channels(call, choice(call.query, "direction", _DIRECTIONS, None))[0]


def _path(call: Call, channel: Channel, what: str) -> str:
    return f"{call.base}/types/{channel.event_type}/{what}?direction={channel.direction}"


def _channels(call: Call, direction: str | None) -> list[Channel]:
    slug, event_type = call.partner.slug, call.part("type")
    found = [
        channel
        for one in _DIRECTIONS
        if direction in {None, one} and (channel := call.snapshot.channel(slug, event_type, one)) is not None
    ]
    if not found:
        raise not_found()
    return found


def _item(call: Call, channel: Channel) -> dict[str, object]:
    terms = channel.line.terms
    return {
        "type": channel.event_type,
        "direction": channel.direction,
        "id": list(terms.id.pointers) if terms.id.mode == "pointers" else terms.id.mode,
        "key": terms.key_pointer,
        "time": terms.time_pointer,
        "json": terms.json,
        "compatibility": terms.compatibility,
        "subject": channel.line.subject,
        "versions": [{"version": one.number, "id": one.schema_id} for one in channel.versions],
        "links": {what: _path(call, channel, what) for what in ("schema", "sample")},
    }
