"""Pull events: a page of CloudEvents with the times of their records and a cursor; waits if asked to."""

import json
from typing import Final, Literal

from starlette.responses import Response

from gateway import operational
from gateway.administration.looks import Look
from gateway.egress.stream import Bounds, Places, StreamPage, Tap, find_start, read_page
from gateway.errors import CallerError
from gateway.event import Direction
from gateway.http.content import note_look
from gateway.http.cursor import open_cursor, seal_cursor
from gateway.http.guard import Call
from gateway.http.parameters import choice, limit, parse_instant, wait_seconds
from gateway.http.shapes import DIRECTION, ref, text
from gateway.http.told import CURSOR, LIMIT, SPAN, TIME, WAIT, Parameter, shows, tells
from gateway.instants import format_instant

OFFERED: Final = frozenset({"cursor", "from", "types", "limit", "wait"})
NAMED_OFFERED: Final = OFFERED | {"direction"}
_ROUTE: Final = "GET /v1/partners/{p}/stream"


@tells(
    "readStream",
    "Receive",
    "Read the stream of events",
    shows(ref("StreamPage"), "Events in the order of their records, and the cursor to go on with."),
    about="A partner reads what is sent to it; our side reads either direction, and the partner's log tells "
    "so (`content.read`, once an hour).",
    parameters=(
        CURSOR,
        Parameter(
            "from",
            "Where to begin without a cursor: `earliest`, `now`, an RFC 3339 time, or a span before now.",
            text(f"(earliest|now|{SPAN}|{TIME})"),
            example="earliest",
        ),
        Parameter("types", "Only these event types, with commas between them.", text(most=4_096)),
        LIMIT,
        WAIT,
        Parameter("direction", "Which way.", DIRECTION),
        Parameter("Last-Event-ID", "A cursor, as a header.", text(most=8_192), place="header"),
    ),
    errors=("cursor_invalid", "cursor_expired", "broker_unavailable", "overloaded"),
)
async def read_stream(call: Call) -> Response:
    """A partner reads what we send it; our side reads either direction."""
    tap = _tap(call)
    # The number is that of what a cursor holds; see `_state`.
    bound = ("stream/2", tap.partner, tap.direction, call.query.get("types", ""))
    contract = None if call.named else call.snapshot.directory.contract(call.partner.slug)
    agreed = None if contract is None else contract.limits.streams
    with call.doors.stream_turns.turn(_owner(call), agreed):
        start = await _start(call, tap, bound)
        bounds = Bounds(limit(call.query), wait_seconds(call.query), call.doors.stop)
        page = await read_page(call.doors.broker, tap, call.snapshot, start, bounds)
    # Who was revoked or suspended while it waited gets nothing.
    call.verify_still()
    if page.items:
        await note_look(call, Look(f"{_ROUTE}?direction={tap.direction}"))
    cursor = seal_cursor(call.doors.values.cursor_key, bound, _state(page.next))
    return Response(_body(page, cursor), 200, {"Cache-Control": "no-store"}, "application/json")


def _owner(call: Call) -> tuple[str, str]:
    """Whose turn it is: a partner's, whichever of its keys it uses; on our side each credential's own."""
    partner = call.known.partner
    return ("credential", call.known.credential.id) if partner is None else ("partner", partner.slug)


def _tap(call: Call) -> Tap:
    wanted: Direction = "outbound"
    if choice(call.query, "direction", ("inbound", "outbound"), "outbound") == "inbound":
        wanted = "inbound"
    topics = call.partner.topics
    inbound = wanted == "inbound"
    outbound = call.snapshot.partitions_of(topics.outbound, topics.outbound_partition)
    types = frozenset(call.query["types"].split(",")) if "types" in call.query else frozenset[str]()
    known = {*call.snapshot.types(call.partner.slug, wanted), *(() if inbound else operational.types())}
    if types - known:
        listed = ", ".join(sorted(known)) or "none"
        raise CallerError("parameter_invalid", f"The query parameter types takes a list of: {listed}.")
    return Tap(
        partner=call.partner.slug,
        direction=wanted,
        topic=topics.inbound if inbound else topics.outbound,
        partitions=(topics.inbound_partition,) if inbound else tuple(outbound),
        types=types,
        origin=call.doors.values.origin,
    )


async def _start(call: Call, tap: Tap, bound: tuple[str, ...]) -> Places:
    token = call.query.get("cursor") or call.request.headers.get("last-event-id")
    if token is not None:
        if "from" in call.query:
            raise CallerError("parameter_invalid", "Give a cursor or from, not both.")
        topic_id, *rest = open_cursor(call.doors.values.cursor_key, bound, token)
        numbers = [int(one) for one in rest]
        return Places(str(topic_id), dict(zip(numbers[::2], numbers[1::2], strict=True)))
    text = call.query.get("from", "earliest")
    since: Literal["earliest", "now"] | int
    match text:
        case "earliest":
            since = "earliest"
        case "now":
            since = "now"
        case _:
            since = parse_instant(text, "from", call.doors.clock())
    return await find_start(call.doors.broker, tap, call.snapshot, since)


def _state(places: Places) -> list[int | str]:
    """As a cursor holds it: topic, then partition and offset of each that is not wanted from its start."""
    named = [number for pair in places.offsets.items() if pair[1] for number in pair]
    return [places.topic_id, *named]


def _body(page: StreamPage, cursor: str) -> bytes:
    # Beside the items, not in them: they are CloudEvents, whose attributes are their producers'.
    recorded = [format_instant(at) for at in page.times]
    beside = {"recorded_at": recorded, "cursor": cursor, "caught_up": page.caught_up}
    tail = json.dumps(beside, separators=(",", ":")).encode()
    return b'{"items":[' + b",".join(page.items) + b"]," + tail[1:]
