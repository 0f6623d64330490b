"""What happened: a list of events, one event's timeline, and its proof.

An event is found from the moment its 201 was given: from its claim, until the log has it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from starlette.responses import Response

from audit import search
from audit.entry import Entry
from audit.erasure import reasons
from audit.errors import NotInLogError
from audit.evidence import Kind
from audit.ref import parse_ref
from audit.search import HistoryFilter
from audit.states import STATES
from gateway.errors import CallerError
from gateway.http.cursor import open_cursor, seal_cursor
from gateway.http.guard import Call, not_found
from gateway.http.parameters import choice, digest, instant, limit, one_word, wait_seconds, words
from gateway.http.shapes import DIRECTION, TEXT, ref, word
from gateway.http.timeline import Reasons, entry_row, exchange_item, timeline_body, waiting_item
from gateway.http.told import PAGED, PLAIN, WAIT, Parameter, shows, tells
from gateway.http.told import instant as told_instant
from gateway.http.waiting_shown import Before, Mark, is_shown, read_marks, write_marks
from gateway.http.words import json_response
from gateway.ingress import claims
from gateway.ingress.claims import Claim
from gateway.ingress.unsequenced import WaitingKey, end_of, find_unsequenced

T = TypeVar("T")

_FILTERS: Final = (
    "id",
    "source",
    "ref",
    "direction",
    "state",
    "kind",
    "type",
    "key",
    "digest",
    "endpoint",
    "credential",
    "since",
    "until",
)
_KINDS: Final = {kind.value: kind for kind in Kind}
_ALL: Final = "all"
LIST_OFFERED: Final = frozenset({*_FILTERS, "limit", "cursor"})
ONE_OFFERED: Final = frozenset({"wait"})
_WAITING: Final = "waiting"
_KEY_PARTS: Final = 3
"""Of a cursor: behind them stands what was shown of events that waited."""

_LOOK_AGAIN_SECONDS: Final = 0.1
Found = tuple[Claim | None, tuple[Entry, ...]]


PARAMETERS: Final = (
    Parameter("id", "The id of an event."),
    Parameter("source", "Its source."),
    Parameter("ref", "Its reference; one that can be none finds nothing."),
    Parameter("direction", "Which way it went.", DIRECTION),
    Parameter("state", "A state that it reached at some time.", word(*STATES)),
    Parameter("kind", "Kinds of log entries, with commas between, or `all`: a row for each entry."),
    Parameter("type", "Its type."),
    Parameter("key", "A value at one of the contract's `search` pointers."),
    Parameter("digest", "SHA-256 of its content, as received or as sent, in hex."),
    Parameter("endpoint", "An endpoint that it was meant for."),
    Parameter("credential", "The credential that it came by; with `kind`, also what else it asked for."),
    told_instant("since", "Not before."),
    told_instant("until", "Before."),
    *PAGED,
)


@tells(
    "listHistory",
    "History",
    "What happened, newest first",
    shows(
        ref("HistoryPage"), "One row per event, in either direction, refusals included.", Link="Next page."
    ),
    about=(
        "With `kind`, one row per log entry of those kinds: attempts, acknowledgements, changes of "
        "contracts, keys and credentials. Each filter alone is read along an index; with several, one page "
        "looks at a bounded number of rows, and may be short or empty and still have a `next`."
    ),
    parameters=PARAMETERS,
    errors=("cursor_invalid",),
)
async def list_history(call: Call) -> Response:
    """One row per event, newest first; those that the log has not got yet come before all others."""
    wanted, most = read_filter(call), limit(call.query)
    slug, topics = call.partner.slug, (call.partner.topics.inbound, call.partner.topics.outbound)
    whose, log_name = ("history", slug), _log_of(call)
    state = _opened(call, whose)
    after, marks = _waiting_key(state), _marks(state)
    if state is not None and after is None:
        return await _page(call, whose, log_name, wanted, Before(marks=marks))

    waiting, end = await call.doors.database.read(
        lambda session: (
            find_unsequenced(session, slug, topics, wanted, most, after=after),
            end_of(session, log_name),
        )
    )
    return await _page(call, whose, log_name, wanted, Before(waiting, end, marks))


@tells(
    "listHouseHistory",
    "History",
    "What happened to the house, newest first",
    shows(ref("HistoryPage"), "One row per entry of the house's log.", Link="Next page."),
    about=(
        "Signing keys, credentials of operators and teams, what was changed at partners, and what became of "
        "events at the house's endpoints; `kind` says which."
    ),
    parameters=PARAMETERS,
    errors=("cursor_invalid",),
)
async def list_house_history(call: Call) -> Response:
    """One row per entry of the house's log: it is no party to events, and lists what it wrote down."""
    wanted, values = read_filter(call), call.doors.values
    if wanted.kinds is None:
        wanted = replace(wanted, kinds=frozenset(Kind))
    return await _page(call, ("house-history",), f"{values.log_host}/log/{values.house_log}", wanted)


async def _page(
    call: Call,
    whose: tuple[str, ...],
    log_name: str,
    wanted: HistoryFilter,
    before: Before = Before(),  # noqa: B008 - it never changes
) -> Response:
    """A page of a log, behind what it has not got yet."""
    waiting = before.waiting
    most, key, state = limit(call.query), call.doors.values.cursor_key, _opened(call, whose)
    after = None if state is None or _waiting_key(state) is not None else _page_key(state)
    slug = None if call.owner is None else call.owner.slug
    items = [waiting_item(one, slug) for one in waiting]
    following: Sequence[int | str] | None
    if len(items) == most:
        # What else waits comes next, and then the log from its beginning.
        page, following = search.Page((), None), (_WAITING, waiting[-1].at, waiting[-1].ref.hex())
    else:
        rest = most - len(items)
        page = await call.doors.database.read(
            lambda session: search.find(session, log_name, wanted, after=after, limit=rest)
        )
        following = page.next
    shown = {one.ref for one in waiting}
    item = partial(exchange_item, names=names_of(call, slug)) if wanted.kinds is None else entry_row
    items += [
        item(one)
        for one in page.rows
        if one.first.ref is None or not (one.first.ref in shown or is_shown(one.first, before.marks))
    ]
    next_token = None
    if following is not None:
        next_token = seal_cursor(key, _bound(call, whose), (*following, write_marks(before.told())))
    headers = {} if next_token is None else {"Link": _next_link(call, next_token)}
    return json_response({"items": items, "next": next_token}, headers=headers)


@tells(
    "showEvent",
    "History",
    "One event's timeline",
    shows(ref("EventTimeline"), "Its receipt, record, deliveries and log entries."),
    about="Found from the moment that its 201 was given. With `wait`: once the log has it.",
    parameters=(WAIT,),
)
async def show_event(call: Call) -> Response:
    """The timeline of one event; with `wait`, once the log has it or the time is up."""
    ref = _ref(call)
    claim, entries = await patiently(call, lambda: _look(call, ref), lambda found: bool(found[1]))
    if claim is None and not entries:
        raise not_found()
    erased: Reasons = {}
    if any(one.raw is None for one in entries):
        erased = await call.doors.database.read(lambda session: reasons(session, entries))
    names = names_of(call, call.partner.slug)
    return json_response(timeline_body(call.base, ref, claim, entries, names=names, erased=erased))


@tells(
    "showProof",
    "History",
    "The proof that the log has an event",
    shows(TEXT, "A `.tlog-proof` file: checkpoint, entry and inclusion proof.", media=PLAIN),
    parameters=(WAIT,),
    errors=("proof_pending",),
)
async def show_proof(call: Call) -> Response:
    """The proof that the event's acceptance (else its first entry) is in the log."""
    ref = _ref(call)

    async def look() -> tuple[Found, bytes | None]:
        found = await _look(call, ref)
        return found, await _proof(call, *found)

    (claim, entries), text = await patiently(call, look, lambda found: found[1] is not None)
    if claim is None and not entries:
        raise not_found()
    if text is None:
        raise CallerError(
            "proof_pending",
            "The log's next published checkpoint will cover this event.",
            hint="Ask again with ?wait=20.",
        )
    return Response(text, 200, {"Cache-Control": "no-store"}, "text/plain; charset=utf-8")


async def _look(call: Call, ref: bytes) -> Found:
    log_name, slug = _log_of(call), call.partner.slug
    held, entries = await call.doors.database.read(
        lambda session: (claims.read(session, [ref]), search.timeline(session, log_name, ref))
    )
    claim = held.get(ref)
    # A ref holds its partner's name in its hash; comparing it again costs nothing and forgives no bug.
    return (claim if claim is not None and claim.key.partner == slug else None), entries


async def _proof(call: Call, claim: Claim | None, entries: tuple[Entry, ...]) -> bytes | None:
    accepted = [one for one in entries if one.kind is Kind.ACCEPTED]
    if not accepted and (claim is not None or not entries):
        return None
    first = (accepted or entries)[0]
    try:
        return await call.doors.shown.proof(first.origin, first.index)
    except NotInLogError:
        return None


async def patiently(call: Call, look: Callable[[], Awaitable[T]], is_enough: Callable[[T], bool]) -> T:
    """Look until it is enough, the caller's patience ends, or the program stops."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_seconds(call.query)
    while True:
        found = await look()
        if is_enough(found) or loop.time() >= deadline or call.doors.stop.is_set():
            return found
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        call.verify_still()


def read_filter(call: Call) -> HistoryFilter:
    """Which events are asked for.

    Raises:
        CallerError: `parameter_invalid`.
    """
    query, now = call.query, call.doors.clock()
    ref = None
    if "ref" in query:
        ref = parse_ref(query["ref"]) or bytes(32)
    return HistoryFilter(
        id=query.get("id"),
        source=query.get("source"),
        ref=ref,
        direction=choice(query, "direction", ("inbound", "outbound"), None),
        state=choice(query, "state", tuple(STATES), None),
        kinds=_kinds(query),
        type=query.get("type"),
        key=query.get("key"),
        digest=digest(query, "digest"),
        endpoint=query.get("endpoint"),
        credential=one_word(query, "credential"),
        since=instant(query, "since", now),
        until=instant(query, "until", now),
    )


def _kinds(query: Mapping[str, str]) -> frozenset[Kind] | None:
    if query.get("kind") == _ALL:
        return frozenset(Kind)
    named = words(query, "kind", tuple(_KINDS))
    return None if named is None else frozenset(_KINDS[name] for name in named)


def _bound(call: Call, whose: tuple[str, ...]) -> tuple[str, ...]:
    return (*whose, *(call.query.get(name, "") for name in _FILTERS))


def _opened(call: Call, whose: tuple[str, ...]) -> list[Any] | None:
    """Where the page begins; None: at the newest."""
    token = call.query.get("cursor")
    return None if token is None else open_cursor(call.doors.values.cursor_key, _bound(call, whose), token)


def _waiting_key(state: list[Any] | None) -> WaitingKey | None:
    """Where it begins among what the log has not got yet; None: elsewhere."""
    if state is None or state[0] != _WAITING:
        return None
    return int(state[1]), bytes.fromhex(state[2])


def _marks(state: list[Any] | None) -> tuple[Mark, ...]:
    """What the pages before have shown of what waited; a cursor of an older program does not say it."""
    return () if state is None or len(state) <= _KEY_PARTS else read_marks(state[_KEY_PARTS])


def _page_key(state: list[Any]) -> search.PageKey:
    at, epoch, index = state[:_KEY_PARTS]
    return int(at), int(epoch), int(index)


def _next_link(call: Call, token: str) -> str:
    given = dict(call.query) | {"cursor": token}
    return f"<{call.request.url.path}?{call.request.url.include_query_params(**given).query}>; rel=next"


def names_of(call: Call, slug: str | None) -> Mapping[str, str]:
    """The names of a partner's endpoints, by id."""
    there = () if slug is None else call.snapshot.directory.endpoints(slug)
    return {one.id: one.name for one in there}


def _log_of(call: Call) -> str:
    return f"{call.doors.values.log_host}/log/{call.partner.log}"


def _ref(call: Call) -> bytes:
    ref = parse_ref(call.part("ref"))
    if ref is None:
        raise not_found()
    return ref
