"""Event types and schemas of a contract."""

import re
from typing import Any, Final

from starlette.responses import Response

from gateway.channels import Channel
from gateway.event import Direction
from gateway.http.guard import Call, not_found
from gateway.http.pages import page_response
from gateway.http.parameters import choice
from gateway.http.words import json_response
from schemas import registry
from schemas.schema import Schema

SCHEMA_OFFERED: Final = frozenset({"as", "direction"})
_DIRECTIONS: Final[tuple[Direction, ...]] = ("inbound", "outbound")
_ID: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_IMMUTABLE: Final = {"Cache-Control": "private, max-age=86400, immutable"}


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


async def show_type(call: Call) -> Response:
    """One type, in each direction that has it."""
    lines = _channels(call, None)
    return json_response(
        {"type": lines[0].event_type, "directions": [_item(call, channel) for channel in lines]}
    )


async def show_type_schema(call: Call) -> Response:
    """The newest accepted schema of a type, as its text."""
    choice(call.query, "as", ("avro",), "avro")
    wanted = choice(call.query, "direction", _DIRECTIONS, None)
    newest = _channels(call, wanted)[0].versions[0]
    headers = {
        "Link": f"<{call.base}/schemas/{newest.schema_id}>; rel=canonical",
        "Cache-Control": "no-store",
    }
    return Response(newest.schema.text, 200, headers, "application/json")


async def show_schema(call: Call) -> Response:
    """A schema by its id: those of a partner's own types, whatever version; for our side, naming none, any.

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

    def find(session: Any) -> Schema | None:
        used = {subject for subject, _number in registry.uses(session, schema_id)}
        if subjects is not None and used.isdisjoint(subjects):
            return None
        return registry.by_id(session, schema_id)

    schema = await call.doors.database.read(find)
    if schema is None:
        raise not_found()
    return Response(schema.text, 200, _IMMUTABLE, "application/json")


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
        "links": {"schema": f"{call.base}/types/{channel.event_type}/schema?direction={channel.direction}"},
    }
