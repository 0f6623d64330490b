"""What of a stream is asked for, and where: its topic, its cursors, and where a reader begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway import operational
from gateway.egress.stream import GoneError, Places, Tap, find_start
from gateway.errors import CallerError
from gateway.event import Direction
from gateway.http.cursor import open_cursor, seal_cursor
from gateway.http.guard import Call
from gateway.http.parameters import choice, flag, parse_instant

Bound = tuple[str, ...]
"""What a cursor was given for: it opens nothing else."""

_DIRECTIONS: Final = ("inbound", "outbound")


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a reader begins. `is_at_end`: that was the end of the topic a moment ago."""

    places: Places
    is_at_end: bool = False


def direction_of(call: Call) -> Direction:
    """Which way: a partner receives what goes out to it, our side what comes in, unless it says otherwise."""
    default = "inbound" if call.named else "outbound"
    return "inbound" if choice(call.query, "direction", _DIRECTIONS, default) == "inbound" else "outbound"


def tap_of(call: Call) -> Tap:
    """The topic that is asked for, and the event types.

    Raises:
        CallerError: `parameter_invalid`: no contract of the partner has or had such a type.
    """
    wanted = direction_of(call)
    topics = call.partner.topics
    inbound = wanted == "inbound"
    outbound = call.snapshot.partitions_of(topics.outbound, topics.outbound_partition)
    types = frozenset(call.query["types"].split(",")) if "types" in call.query else frozenset[str]()
    known = {*call.snapshot.all_types(call.partner.slug, wanted), *(() if inbound else operational.types())}
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


def bound_of(tap: Tap) -> Bound:
    """The number is that of what a cursor holds; see `_state_of`. Types are the same in any order."""
    return ("stream/2", tap.partner, tap.direction, ",".join(sorted(tap.types)))


def seal_places(key: bytes, bound: Bound, places: Places) -> str:
    """The cursor of a place."""
    return seal_cursor(key, bound, _state_of(places))


def open_places(key: bytes, bound: Bound, token: str) -> Places:
    """The place of a cursor.

    Raises:
        CallerError: `cursor_invalid`.
    """
    topic_id, *rest = open_cursor(key, bound, token)
    numbers = [int(one) for one in rest]
    return Places(str(topic_id), dict(zip(numbers[::2], numbers[1::2], strict=True)))


async def beginning_of(call: Call, tap: Tap, bound: Bound) -> Beginning:
    """Where the caller wants to begin: at a cursor, at a consumer's place, else as `from` says.

    Raises:
        CallerError: `cursor_invalid`, `parameter_invalid`.
        AwayError, BrokerError: topic, database or broker are away.
    """
    query, key = call.query, call.doors.values.cursor_key
    chosen = [name for name in ("cursor", "from", "consumer") if name in query]
    if "cursor" in query and len(chosen) > 1:
        raise CallerError("parameter_invalid", f"Give {' or '.join(chosen)}, not both.")
    # A client that was cut off knows better than the address that it began with.
    token = query.get("cursor", call.request.headers.get("last-event-id") or None)
    if token is not None:
        return Beginning(open_places(key, bound, token))
    if "consumer" in query:
        found = await call.doors.consumers.find(consumer_of(call, tap.direction, query["consumer"]))
        if found is not None:
            return Beginning(Places(found.topic_id, found.offsets))
    return await _by_words(call, tap, query.get("from", "earliest"))


def is_told_anew(call: Call) -> bool:
    """Whether the caller knows that what lies at its consumer's place is gone, and wants to go on.

    Raises:
        CallerError: `parameter_invalid`: there is no consumer, or nothing says where.
    """
    query = call.query
    if not flag(query, "over_gap"):
        return False
    if not {"consumer", "from"} <= query.keys():
        raise CallerError("parameter_invalid", "The query parameter over_gap goes with consumer and from.")
    return not call.request.headers.get("last-event-id")


async def beginning_anew(call: Call, tap: Tap) -> Beginning:
    """Where `from` says, whatever place the consumer has; raises as `beginning_of`."""
    return await _by_words(call, tap, call.query["from"])


async def expired(call: Call, tap: Tap, bound: Bound, error: CallerError) -> CallerError:
    """The refusal of a cursor into what is gone, with the earliest that there is.

    Where the topic was made again, nobody may have told this process: relays may run elsewhere.

    Raises:
        AwayError, BrokerError: the broker is away.
    """
    if error.code != "cursor_expired":
        return error
    catalog, broker = call.doors.catalog, call.doors.broker
    new_id = error.new_id if isinstance(error, GoneError) else None
    known = catalog.current.topic_ids.get(tap.topic)
    if new_id is not None and new_id != known:
        # A reader has seen it; one broker may not have heard of it yet.
        there = (await broker.describe([tap.topic])).get(tap.topic)
        if there is not None and there.id == new_id:
            catalog.topic_changed(tap.topic, new_id, was=known)
    earliest = await find_start(broker, tap, catalog.current, "earliest")
    token = seal_places(call.doors.values.cursor_key, bound, earliest)
    return CallerError(error.code, error.text, hint=error.hint, members={"earliest": token})


def consumer_of(call: Call, direction: Direction, name: str) -> tuple[str, str, Direction, str]:
    """The key of a consumer: partner, whose side it is on, direction, name.

    Raises:
        CallerError: `parameter_invalid`: no name of a consumer.
    """
    if not is_name(name):
        raise CallerError("parameter_invalid", f"The query parameter consumer must be {NAME_RULE}.")
    return (call.partner.slug, "house" if call.named else "partner", direction, name)


NAME_RULE: Final = "1 to 64 of a-z, 0-9, dot, hyphen and underscore, beginning with a letter or digit"
_FIRST: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_MOST: Final = 64


def is_name(name: str) -> bool:
    """Whether this can be the name of a consumer."""
    return 0 < len(name) <= _MOST and name[0] in _FIRST and set(name) <= _FIRST | set(".-_")


async def _by_words(call: Call, tap: Tap, words: str) -> Beginning:
    since: Literal["earliest", "now"] | int
    match words:
        case "earliest":
            since = "earliest"
        case "now":
            since = "now"
        case _:
            since = parse_instant(words, "from", call.doors.clock())
    places = await find_start(call.doors.broker, tap, call.snapshot, since)
    return Beginning(places, is_at_end=since == "now")


def _state_of(places: Places) -> Sequence[int | str]:
    """As a cursor holds it: topic, then partition and offset of each that is not wanted from its start."""
    named = [number for pair in places.offsets.items() if pair[1] for number in pair]
    return [places.topic_id, *named]
