"""Deliveries: exactly what is undelivered and why; one with its attempts; tried again, or given up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.responses import Response

from audit import outcomes
from audit.entry import Entry
from audit.evidence import Kind
from audit.ref import format_ref, parse_ref
from gateway import redelivery
from gateway.administration.desk import Administration
from gateway.administration.evidence import Author
from gateway.egress import traces, undelivered
from gateway.egress.delivery import format_delivery, parse_delivery
from gateway.egress.undelivered import Single, Stretch, Wanted, find_holds
from gateway.errors import CallerError
from gateway.http import deliveries_told as telling
from gateway.http.cursor import open_cursor
from gateway.http.delivery_items import (
    acknowledgement_item,
    attempt_items,
    entry_item,
    single_item,
    stretch_item,
    told_item,
)
from gateway.http.guard import Call, not_found
from gateway.http.once import ERRORS as ONCE_ERRORS
from gateway.http.once import KEY, REPLAYED, Done, once
from gateway.http.pages import sealed_page
from gateway.http.parameters import choice, flag, instant, limit
from gateway.http.shapes import ref
from gateway.http.told import DRY_RUN, shows, tells
from gateway.http.words import json_response
from gateway.positions import is_forwarded, owner_in
from gateway.redelivery import Whose
from partners.endpoint import Endpoint, party_of
from partners.partner import Partner

_FILTERS: Final = ("state", "reason", "endpoint", "type", "since")
LIST_OFFERED: Final = frozenset({*_FILTERS, "limit", "cursor"})
CHANGE_OFFERED: Final = frozenset({"dry_run"})
_WINDOW: Final = 5_000
"""Log entries that one page looks through."""

_TOP: Final = (1 << 31, 1 << 62)
_ENDED: Final[Mapping[str, tuple[Kind, str | None]]] = {
    "delivered": (Kind.ATTEMPTED, "delivered"),
    "refused": (Kind.REFUSED, None),
    # With a backlog, or so long ago that its row is gone; what else was given up has a row.
    "cancelled": (Kind.CANCELLED, None),
}


@dataclass(frozen=True, slots=True)
class _Scene:
    """Whose deliveries are listed, and what their endpoints are called."""

    accounts: Sequence[tuple[Partner, Sequence[Endpoint]]]
    names: Mapping[str, str]
    owners: Mapping[str, str]


@tells(
    "listDeliveries",
    "Receive",
    "Deliveries, and why they are not delivered",
    shows(ref("DeliveryPage"), "What waits, what was given up, what ended.", Link="Next page."),
    about=telling.LIST,
    parameters=telling.FILTERS,
    errors=("cursor_invalid",),
)
async def list_deliveries(call: Call) -> Response:
    """A partner's deliveries: ranges, single ones, and those that the log says have ended."""
    if call.of_all:
        # What has ended is told by each partner's log.
        return await _list(call, tuple(call.snapshot.directory.partners()), undelivered.STATES)
    return await _list(call, (call.partner,), telling.ALL_STATES)


@tells(
    "showDelivery",
    "Receive",
    "One delivery, with its attempts",
    shows(ref("DeliveryShown"), "Each attempt with its time, status, reason and the answer's first bytes."),
    about=telling.SHOW,
    parameters=(telling.DELIVERY_ID,),
)
async def show_delivery(call: Call) -> Response:
    """One delivery and its attempts."""
    return json_response(await _shown(call, _pair(call)))


@tells(
    "retryDelivery",
    "Receive",
    "Try a delivery now",
    shows(ref("DeliveryShown"), "It is due now.", status=202, Idempotent_Replayed=REPLAYED),
    shows(ref("DeliveryShown"), "Of a dry run: as it is."),
    about=telling.RETRY,
    parameters=(telling.DELIVERY_ID, DRY_RUN, KEY),
    errors=(*ONCE_ERRORS, "outcome_unknown", "state_conflict"),
)
async def retry_delivery(call: Call) -> Response:
    """Have a delivery tried at once."""
    return await _change(call, redelivery.retry, status=202)


@tells(
    "cancelDelivery",
    "Receive",
    "Give a delivery up",
    shows(ref("DeliveryShown"), "Given up, now or before.", Idempotent_Replayed=REPLAYED),
    about=telling.CANCEL,
    parameters=(telling.DELIVERY_ID, DRY_RUN, KEY),
    errors=(*ONCE_ERRORS, "outcome_unknown", "state_conflict"),
)
async def cancel_delivery(call: Call) -> Response:
    """Give a delivery up for good."""
    return await _change(call, redelivery.cancel, status=200)


async def _change(call: Call, act: Any, *, status: int) -> Response:
    pair, dry_run, whose = _pair(call), flag(call.query, "dry_run"), _whose(call)
    author, now = Author(call.known.role, call.known.credential.id), call.doors.honest()
    shown: dict[str, object] = {}

    async def change(administration: Administration) -> None:
        # Here, since a repeat has its answer whatever became of the delivery meanwhile.
        shown.update(await _shown(call, pair))
        if shown["state"] == "delivered":
            text = "It was delivered: send it again with a replay of all events of its time."
            raise CallerError("state_conflict", text)
        if shown["state"] == "cancelled":
            # One that was given up with a backlog has no row, and there is nothing to be changed.
            if act is redelivery.retry:
                raise redelivery.given_up()
            return
        await administration.change(
            lambda session, scribe: act(session, scribe, whose, pair, author, now=now), dry_run=dry_run
        )

    after: dict[str, object] = {"state": {202: "pending", 200: "cancelled"}[status]}
    told = {**after, "dry_run": True} if dry_run else after
    return await once(call, {}, change, lambda _: Done({**shown, **told}, 200 if dry_run else status))


async def _shown(call: Call, pair: tuple[str, bytes]) -> dict[str, object]:
    """One delivery as it is now. Foreign ones are not found: rows and logs have their partner in them."""
    endpoint, whose = pair[0], _whose(call)
    log, scene = _log(call), _scene(call, (call.partner,))
    (single, told, ahead), excerpts = await call.doors.database.read(
        lambda session: (
            (
                undelivered.find_single(
                    session, *pair, find_holds(scene.accounts, traces.load_breakers(session))
                ),
                outcomes.tell(session, log, *pair),
                undelivered.find_ahead(session, *pair),
            ),
            traces.load_excerpts(session, *pair),
        )
    )
    more = {
        "waits_for": None if ahead is None else format_delivery(endpoint, ahead),
        "attempts": attempt_items(told, excerpts),
        "acknowledgement": acknowledgement_item(pair, told),
    }
    if single is not None and single.partner == whose.owner:
        return {**single_item(single, scene.names, call.base), **more}
    # The house's log tells of all partners.
    if not told or told[0].evidence.text("partner") != whose.partner.slug:
        raise not_found()
    return {**told_item(whose, endpoint, told, scene.names, call.base), **more}


async def _list(call: Call, partners: Sequence[Partner], offered: tuple[str, ...]) -> Response:
    scene, most = _scene(call, partners), limit(call.query)
    bound = (
        "deliveries",
        call.endpoints_owner,
        *(call.query.get(name, "") for name in _FILTERS),
    )
    key, token = call.doors.values.cursor_key, call.query.get("cursor")
    state: list[Any] = ["range"] if token is None else open_cursor(key, bound, token)
    wanted = _wanted(call, partners, offered)

    def look(session: Any) -> tuple[list[dict[str, object]], tuple[int | str, ...] | None]:
        holds = find_holds(scene.accounts, traces.load_breakers(session))
        return _page(_Look(call, scene, _with(wanted, holds)), session, state, most)

    items, following = await call.doors.database.read(look)
    return sealed_page(call, items, bound, following)


@dataclass(frozen=True, slots=True)
class _Look:
    call: Call
    scene: _Scene
    wanted: Wanted

    def range_item(self, one: Stretch) -> dict[str, object]:
        owner = owner_in(one.topic_id) or self.scene.owners[one.topic]
        is_ours = self.call.of_all or self.call.named
        shown = stretch_item(one, party_of(owner)[0], self.scene.names)
        # How much another partner sends is for nobody whom it forwards some of it to.
        return shown if is_ours or not is_forwarded(one.topic_id) else {**shown, "range": None}

    def single_item(self, one: Single) -> dict[str, object]:
        return single_item(one, self.scene.names, self.call.base_of(party_of(one.partner)[0]))

    def is_wanted(self, entry: Entry) -> bool:
        wanted = self.wanted
        way = "inbound" if self.call.of_house else "outbound"
        if entry.partner != self.call.partner.slug or (entry.kind is Kind.REFUSED and entry.direction != way):
            return False
        if entry.kind is not Kind.REFUSED and wanted.reason is not None:
            return False
        asked = (
            (wanted.endpoint, entry.endpoint),
            (wanted.event_type, entry.event_type),
            (wanted.reason, entry.code),
        )
        return all(one is None or one == found for one, found in asked)


def _page(
    look: _Look, session: Any, state: list[Any], most: int
) -> tuple[list[dict[str, object]], tuple[int | str, ...] | None]:
    """The items of a page, and where the next one begins: in ranges, single deliveries or entries."""
    items: list[dict[str, object]] = []
    phase, *at = state
    if phase == "range":
        after = (str(at[0]), str(at[1]), int(at[2])) if at else None
        ranges = undelivered.find_ranges(session, look.wanted, after=after, limit=most + 1)
        if look.wanted.event_type is not None:
            ranges = []
        items = [look.range_item(one) for one in ranges[:most]]
        if len(ranges) > most:
            return items, ("range", *ranges[most - 1].key)
        phase, at = "single", []
    if phase == "single" and len(items) < most:
        left = most - len(items)
        last = (int(at[0]), str(at[1]), parse_ref(str(at[2])) or b"") if at else None
        singles = undelivered.find_singles(session, look.wanted, after=last, limit=left + 1)
        items += [look.single_item(one) for one in singles[:left]]
        if len(singles) > left:
            newest = singles[left - 1]
            return items, ("single", newest.since, newest.endpoint, format_ref(newest.ref))
        phase, at = "entry", []
    if phase == "single":
        return items, ("single",)
    kinds = [kind for word, kind in _ENDED.items() if not look.wanted.states or word in look.wanted.states]
    if look.call.of_all or not kinds:
        return items, None
    more, following = _entries(look, session, (int(at[0]), int(at[1])) if at else _TOP, kinds)
    left = most - len(items)
    if len(more) > left:
        more, following = more[:left], _place(more[left - 1]) if left else _TOP
    side = _whose(look.call).side
    items += [entry_item(one, look.scene.names, look.call.base, side) for one in more]
    return items, None if following is None else ("entry", *following)


def _entries(
    look: _Look, session: Any, before: tuple[int, int], kinds: Sequence[tuple[Kind, str | None]]
) -> tuple[list[Entry], tuple[int, int] | None]:
    found, following = outcomes.newest(session, _log(look.call), kinds, before=before, most=_WINDOW)
    since = look.wanted.since or 0
    if found and all(one.at < since for one in found):
        following = None  # what is older still is not looked through
    wanted = [one for one in found if one.at >= since and look.is_wanted(one)]
    return _once(session, _log(look.call), wanted), following


def _once(session: Any, log: str, found: list[Entry]) -> list[Entry]:
    """Without entries of what was given up where a row tells of it, or was delivered all the same."""
    given_up = {(one.endpoint or "", one.ref or b"") for one in found if one.kind is Kind.CANCELLED}
    if not given_up:
        return found
    told = outcomes.fates(session, log, {ref for _, ref in given_up}) or {}
    others = {pair for pair in given_up if pair in told and told[pair].last != "cancelled"}
    others |= undelivered.having_rows(session, given_up)
    return [
        one
        for one in found
        if one.kind is not Kind.CANCELLED or (one.endpoint or "", one.ref or b"") not in others
    ]


def _place(entry: Entry) -> tuple[int, int]:
    return int(entry.origin.rpartition("/")[2]), entry.index


def _scene(call: Call, partners: Sequence[Partner]) -> _Scene:
    directory = call.snapshot.directory
    there = directory.house_endpoints if call.of_house else directory.endpoints
    accounts = [(one, there(one.slug)) for one in partners]
    names = {each.id: each.name for _, endpoints in accounts for each in endpoints}
    return _Scene(accounts, names, {one.topics.outbound: one.slug for one in partners})


def _wanted(call: Call, partners: Sequence[Partner], offered: tuple[str, ...]) -> Wanted:
    query = call.query
    states = frozenset(query["state"].split(",")) if "state" in query else frozenset()
    if not states <= set(offered):
        text = f"The query parameter state must be one of {', '.join(offered)}, or several with commas."
        raise CallerError("parameter_invalid", text)
    if any("\x00" in query.get(name, "") for name in ("endpoint", "type")):
        # PostgreSQL does not let itself be asked for it.
        raise CallerError("parameter_invalid", "No endpoint and no event type has a NUL in it.")
    return Wanted(
        owner=call.endpoints_owner,
        holds={},
        topics=[one.topics.outbound for one in partners],
        states=states,
        reason=choice(query, "reason", telling.REASONS, None),
        endpoint=query.get("endpoint"),
        event_type=query.get("type"),
        since=instant(query, "since", call.doors.clock()),
        house=frozenset(
            each.id for one in partners for each in call.snapshot.directory.house_endpoints(one.slug)
        ),
    )


def _with(wanted: Wanted, holds: Mapping[str, str]) -> Wanted:
    return replace(wanted, holds=holds)


def _whose(call: Call) -> Whose:
    return Whose(call.partner, "house" if call.of_house else "partner")


def _log(call: Call) -> str:
    values = call.doors.values
    return f"{values.log_host}/log/{values.house_log if call.of_house else call.partner.log}"


def _pair(call: Call) -> tuple[str, bytes]:
    pair = parse_delivery(call.part("id"))
    if pair is None:
        raise not_found()
    return pair
