"""Named readers of a stream: where each is, and its word that it has what was before."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from starlette.responses import Response

from gateway.administration.consumers import Consumer, ConsumerKey, Word
from gateway.administration.evidence import Author
from gateway.broker.port import BrokerError
from gateway.egress.stream import Places
from gateway.errors import CallerError
from gateway.http.guard import Call, find_surely, not_found
from gateway.http.parameters import flag
from gateway.http.reading import read_members
from gateway.http.shapes import FLAG, ref
from gateway.http.stream import TYPES, WHICH_WAY
from gateway.http.stream_places import (
    bound_of,
    consumer_of,
    direction_of,
    is_name,
    open_places,
    seal_places,
    tap_of,
)
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, Body, Parameter, Reply, shows, tells
from gateway.http.words import json_response
from gateway.instants import format_instant

LIST_OFFERED: Final[frozenset[str]] = frozenset()
SHOW_OFFERED: Final[frozenset[str]] = frozenset()
COMMIT_OFFERED: Final = frozenset({"types", "rewind", "dry_run"})
FORGET_OFFERED: Final = frozenset({"dry_run"})
WAY: Final = frozenset({"direction"})


@tells(
    "listConsumers",
    "Receive",
    "The consumers, by name",
    shows(ref("ConsumerPage"), "All of one direction: there are never more than fit on a page."),
    parameters=(WHICH_WAY,),
)
async def list_consumers(call: Call) -> Response:
    """The consumers of the caller's side."""
    side = "house" if call.named else "partner"
    found = await call.doors.consumers.all_of(call.partner.slug, side, direction_of(call))
    return json_response({"items": [_item(call, one) for one in found], "next": None})


@tells(
    "showConsumer",
    "Receive",
    "Where a consumer is",
    shows(ref("Consumer"), "Its place, as a cursor for its types."),
    parameters=(WHICH_WAY,),
)
async def show_consumer(call: Call) -> Response:
    """Where a consumer is."""
    found = await call.doors.consumers.find(_key(call))
    if found is None:
        raise not_found()
    return json_response(_item(call, found))


@tells(
    "commitConsumer",
    "Receive",
    "Acknowledge what was read",
    shows(ref("Consumer"), "Its place now."),
    about="Says: I have the events before this cursor. That is an entry of the partner's log "
    "(`stream.acknowledged`), which names topic, partitions and offsets. Makes the consumer if need be. "
    "Back it moves with `rewind=true` alone. The same again says nothing new.",
    parameters=(
        TYPES,
        WHICH_WAY,
        Parameter("rewind", "It wants events again that it had acknowledged.", {**FLAG, "default": False}),
        DRY_RUN,
    ),
    body=Body({JSON: ref("ConsumerPlace")}),
    errors=(*BODY_ERRORS, "cursor_invalid", "limit_reached", "outcome_unknown", "precondition_failed"),
)
async def commit_consumer(call: Call) -> Response:
    """Take a consumer's word that it has what was before a cursor."""
    key = _key(call)
    members = await read_members(call.request, ("cursor",), seconds=call.doors.values.body_seconds)
    cursor = members.get("cursor")
    if not isinstance(cursor, str):
        raise CallerError("parameter_invalid", "The member cursor must be a cursor of the stream.")
    tap = await find_surely(call, tap_of)
    places = open_places(call.doors.values.cursor_key, bound_of(tap), cursor)
    word = Word(
        tap.topic,
        places.topic_id,
        places.offsets,
        tuple(tap.types),
        is_former=places.topic_id != await _present(call, key, tap.topic, places),
        rewind=flag(call.query, "rewind"),
    )
    author = Author(call.known.role, call.known.credential.id)
    dry_run = flag(call.query, "dry_run")
    found = await call.doors.consumers.commit(call.partner, key, word, by=author, dry_run=dry_run)
    return json_response({**_item(call, found), **({"dry_run": True} if dry_run else {})})


@tells(
    "forgetConsumer",
    "Receive",
    "Forget a consumer",
    Reply(204, "It is forgotten, or would be; what it acknowledged stays in the log."),
    parameters=(WHICH_WAY, DRY_RUN),
    errors=("outcome_unknown",),
)
async def forget_consumer(call: Call) -> Response:
    """Forget where a consumer is."""
    if not await call.doors.consumers.forget(_key(call), dry_run=flag(call.query, "dry_run")):
        raise not_found()
    return Response(None, 204, {"Cache-Control": "no-store"})


async def _present(call: Call, key: ConsumerKey, topic: str, places: Places) -> str | None:
    """The id of the topic that is there now; None: there is none.

    Where a consumer speaks of another one than before, nobody may have told this process: the broker knows.

    Raises:
        AwayError: the database is away.
    """
    found = await call.doors.consumers.find(key)
    if found is not None and found.topic_id != places.topic_id:
        with suppress(BrokerError):
            there = (await call.doors.broker.describe([topic])).get(topic)
            return None if there is None else there.id
    return call.snapshot.topic_ids.get(topic)


def _key(call: Call) -> ConsumerKey:
    name = call.part("consumer")
    if not is_name(name):
        raise not_found()
    return consumer_of(call, direction_of(call), name)


def _item(call: Call, found: Consumer) -> Mapping[str, Any]:
    bound = ("stream/2", call.partner.slug, found.direction, ",".join(sorted(found.types)))
    return {
        "name": found.name,
        "direction": found.direction,
        "types": list(found.types),
        "cursor": seal_places(call.doors.values.cursor_key, bound, Places(found.topic_id, found.offsets)),
        "created_at": format_instant(found.created_at),
        "updated_at": format_instant(found.updated_at),
    }
