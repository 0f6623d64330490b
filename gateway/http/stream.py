"""Pull events: a page of CloudEvents with the times of their records and a cursor, or server-sent events."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, closing
from functools import partial
from typing import Final

from starlette.responses import Response

from gateway.administration.looks import Look
from gateway.egress.feed import Batch, Feed
from gateway.egress.stream import Tap
from gateway.egress.tail import Bell
from gateway.errors import CallerError
from gateway.http import event_stream
from gateway.http.content import look_at
from gateway.http.event_stream import EventStream, Terms
from gateway.http.guard import Call, find_surely
from gateway.http.negotiation import preferred
from gateway.http.parameters import limit, wait_seconds
from gateway.http.shapes import DIRECTION, FLAG, TEXT, ref, text
from gateway.http.stream_places import (
    Beginning,
    beginning_anew,
    beginning_of,
    bound_of,
    expired,
    is_told_anew,
    seal_places,
    tap_of,
)
from gateway.http.told import CURSOR, JSON, LIMIT, SPAN, TIME, WAIT, Parameter, Reply, tells
from gateway.instants import format_instant

OFFERED: Final = frozenset({"cursor", "from", "types", "limit", "wait", "consumer", "over_gap"})
NAMED_OFFERED: Final = OFFERED | {"direction"}
_ROUTE: Final = "GET /v1/partners/{p}/stream"

_Begin = Callable[[], Awaitable[Beginning]]

TYPES: Final = Parameter("types", "Only these event types, with commas between them.", text(most=4_096))
WHICH_WAY: Final = Parameter(
    "direction", "Which way; without it `inbound`: what the partner sends.", DIRECTION
)


@tells(
    "readStream",
    "Receive",
    "Read the stream of events",
    Reply(
        200,
        "Events in the order of their records, and the cursor to go on with; or, where `Accept` asks for it, "
        "server-sent events without an end: `id` is the cursor behind each, `data` the CloudEvent, "
        "`recorded_at` the time of its record, and a comment comes at least every 15 s.",
        {JSON: ref("StreamPage"), event_stream.MEDIA_TYPE: TEXT},
        {"Cache-Control": "`no-store`."},
    ),
    about="A partner reads what is sent to it; our side reads either direction, and the partner's log tells "
    "so (`content.read`, once an hour). With `Accept: text/event-stream` the answer goes on with what comes, "
    "and ends when either side ends it; whoever asks again with `Last-Event-ID` misses nothing.",
    parameters=(
        CURSOR,
        Parameter(
            "from",
            "Where to begin without a cursor: `earliest`, `now`, an RFC 3339 time, or a span before now.",
            text(f"(earliest|now|{SPAN}|{TIME})"),
            example="earliest",
        ),
        TYPES,
        LIMIT,
        WAIT,
        Parameter(
            "consumer",
            "Begin at the place of this consumer; `from` tells where, as long as it has none.",
            text("[a-z0-9][a-z0-9._-]{0,63}"),
            example="main",
        ),
        Parameter(
            "over_gap",
            "Where what lies at the consumer's place is gone, begin where `from` says, and not with 410.",
            {**FLAG, "default": False},
        ),
        WHICH_WAY,
        Parameter("Last-Event-ID", "A cursor, as a header.", text(most=8_192), place="header"),
    ),
    errors=(
        "cursor_invalid",
        "cursor_expired",
        "not_acceptable",
        "broker_unavailable",
        "registry_unavailable",
        "overloaded",
    ),
)
async def read_stream(call: Call) -> Response:
    """A partner reads what we send it; our side reads either direction."""
    form = preferred(call.request.headers.getlist("accept"), (JSON, event_stream.MEDIA_TYPE))
    tap = await find_surely(call, tap_of)
    bound = bound_of(tap)
    answer = _page if form == JSON else _events
    # Asked before there is a gap, so that nobody hears on the day of one that it was asked for wrongly.
    may_begin_anew = is_told_anew(call)
    try:
        try:
            return await answer(call, tap, partial(beginning_of, call, tap, bound))
        except CallerError as error:
            if error.code != "cursor_expired" or not may_begin_anew:
                raise
        return await answer(call, tap, partial(beginning_anew, call, tap))
    except CallerError as error:
        raise await expired(call, tap, bound, error) from error


async def _page(call: Call, tap: Tap, begin: _Begin) -> Response:
    """What there is; with `wait`, as soon as there is something, or the time is up."""
    most, wait = limit(call.query), wait_seconds(call.query)
    with call.doors.stream_turns.turn(*_turn(call)):
        feed = _feed(call, tap, await begin())
        with closing(feed):
            batch = await (_patiently(call, feed, most, wait) if wait else feed.page(most))
        places = feed.places
    # Who was revoked or suspended while it waited gets nothing.
    call.verify_still()
    looks = _looks(call, tap)
    if batch.items and looks is not None:
        await looks()
    cursor = seal_places(call.doors.values.cursor_key, bound_of(tap), places)
    return Response(_body(batch, cursor), 200, {"Cache-Control": "no-store"}, JSON)


async def _patiently(call: Call, feed: Feed, most: int, seconds: int) -> Batch:
    bell, loop = Bell(), asyncio.get_running_loop()
    until = loop.time() + seconds
    timer = loop.call_at(until, bell.ring)
    try:
        return await feed.next(most, bell, lambda: call.doors.stop.is_set() or loop.time() >= until)
    finally:
        timer.cancel()


async def _events(call: Call, tap: Tap, begin: _Begin) -> Response:
    for name in ("limit", "wait"):
        if name in call.query:
            text = f"The query parameter {name} is for pages; {event_stream.MEDIA_TYPE} has no end."
            raise CallerError("parameter_invalid", text)
    if call.request.method == "HEAD":
        return Response(None, 200, event_stream.HEADERS)
    turns, (owner, agreed) = call.doors.stream_turns, _turn(call)
    turns.take(owner, agreed)
    release = partial(turns.give_back, owner)
    with ExitStack() as held:
        held.callback(release)
        made = await _event_stream(call, tap, begin, release)
        held.pop_all()
    return made


async def _event_stream(call: Call, tap: Tap, begin: _Begin, release: Callable[[], None]) -> EventStream:
    """The answer, which gives the turn back once it has ended."""
    bell, doors = Bell(), call.doors
    beginning = await begin()
    feed = _feed(call, tap, beginning, page_bytes=event_stream.PAGE_BYTES)
    first = Batch((), caught_up=False)
    if not beginning.is_at_end:
        # Here, where what is wrong with its cursor can still be said.
        first = await feed.begin(event_stream.EVENTS, bell)
    terms = Terms(
        doors.tails,
        doors.values.cursor_key,
        bound_of(tap),
        call.verify_now,
        _looks(call, tap),
        doors.values.beat_seconds,
        doors.values.stall_seconds,
    )
    return EventStream(feed, (beginning.places, first), terms, bell=bell, release=release)


def _feed(call: Call, tap: Tap, beginning: Beginning, *, page_bytes: int | None = None) -> Feed:
    is_at_end = beginning.is_at_end
    return Feed(call.doors.tails, tap, beginning.places, is_at_end=is_at_end, page_bytes=page_bytes)


def _turn(call: Call) -> tuple[tuple[str, str], int | None]:
    """Whose turn it is: a partner's, whichever of its keys it uses; on our side each credential's own.

    And how many it may have by its contract.
    """
    partner = call.known.partner
    if partner is None:
        return ("credential", call.known.credential.id), None
    contract = call.snapshot.directory.contract(partner.slug)
    return ("partner", partner.slug), None if contract is None else contract.limits.streams


def _looks(call: Call, tap: Tap) -> Callable[[], Awaitable[None]] | None:
    """What is to be awaited before our side sees events."""
    return look_at(call, Look(f"{_ROUTE}?direction={tap.direction}"))


def _body(batch: Batch, cursor: str) -> bytes:
    # Beside the items, not in them: they are CloudEvents, whose attributes are their producers'.
    recorded = [format_instant(one.at) for one in batch.items]
    beside = {"recorded_at": recorded, "cursor": cursor, "caught_up": batch.caught_up}
    tail = json.dumps(beside, separators=(",", ":")).encode()
    return b'{"items":[' + b",".join(one.body for one in batch.items) + b"]," + tail[1:]
