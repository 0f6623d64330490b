"""What is asked of deliveries and replays from outside, with its evidence: in the caller's transaction.

The relay does the work and hears of it from SQL: see `gateway.egress.asking` and `gateway.egress.recaller`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from audit.evidence import Kind
from gateway.administration.evidence import Author, Scribe, Wanted
from gateway.egress import asking, replay_store, undelivered
from gateway.egress.replay import MOST_OPEN, Replay, Stretch, Wish
from gateway.errors import CallerError
from gateway.rows import DeliveryRow
from partners import store
from partners.endpoint import Side, house_of
from partners.errors import NotFoundError
from partners.partner import Partner

Pair = tuple[str, bytes]
"""An endpoint and a ref."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose endpoints: a partner's, or the house's in the exchange with it."""

    partner: Partner
    side: Side = "partner"

    @property
    def owner(self) -> str:
        """As rows name it."""
        return self.partner.slug if self.side == "partner" else house_of(self.partner.slug)

    def log(self, scribe: Scribe) -> str:
        """Where it is told: no partner sees what the house's endpoints get."""
        return self.partner.log if self.side == "partner" else scribe.house_log


def retry(session: Session, scribe: Scribe, whose: Whose, pair: Pair, by: Author, *, now: int) -> None:
    """Have a delivery tried at once, whether it waits or its schedule is used up.

    In an order it still goes after those before it.

    Raises:
        NotFoundError: there is no such delivery that is undelivered.
        CallerError: `state_conflict`: it was given up, or its endpoint takes nothing now.
    """
    row = _find(session, whose, pair)
    endpoint = next((one for one in store.endpoints(session, whose.owner) if one.id == row.endpoint), None)
    if row.state == "cancelled":
        raise given_up()
    account = store.partner(session, whose.partner.slug)
    # To the endpoints of a partner that is not active nothing is sent, whatever they are themselves.
    if account is not None and account[0].state != "active" and whose.side == "partner":
        raise CallerError(
            "state_conflict", f"The partner is {account[0].state}: nothing is sent to its endpoints."
        )
    if endpoint is None or endpoint.state != "active":
        state = "gone" if endpoint is None else endpoint.state
        raise CallerError(
            "state_conflict",
            f"The endpoint is {state}: nothing is sent to it.",
            hint="Deliveries that are held go out by themselves once their endpoint is active again.",
        )
    is_behind = undelivered.find_ahead(session, *pair) is not None
    asking.ask(session, row, state="pending", now=now, is_behind=is_behind)
    scribe.delivery(session, whose.log(scribe), Kind.RETRIED, _wanted(row, whose), by, now=now)


def given_up() -> CallerError:
    """What is answered to who wants a delivery tried that somebody gave up."""
    return CallerError("state_conflict", "The delivery was cancelled: it is never sent again.")


def cancel(session: Session, scribe: Scribe, whose: Whose, pair: Pair, by: Author, *, now: int) -> None:
    """Give a delivery up for good; one that was given up stays so, without another entry.

    Raises:
        NotFoundError: there is no such delivery that is undelivered.
    """
    row = _find(session, whose, pair)
    if row.state == "cancelled":
        return
    asking.ask(session, row, state="cancelled", now=now)
    scribe.delivery(session, whose.log(scribe), Kind.CANCELLED, _wanted(row, whose), by, now=now)


def begin_replay(
    session: Session,
    scribe: Scribe,
    whose: Whose,
    wanted: tuple[str, Wish, Sequence[Stretch]],
    by: Author,
    *,
    now: int,
) -> Replay:
    """Make a replay: its id, what it is to do, and where. One that only counts leaves no evidence.

    Raises:
        CallerError: `limit_reached`.
    """
    replay_id, wish, stretches = wanted
    store.lock(session)
    if replay_store.count_open(session, whose.owner) >= MOST_OPEN:
        text = f"There are {MOST_OPEN} replays that have not ended, as many as there may be."
        raise CallerError("limit_reached", text, hint="Wait for one of them to end, or cancel one.")
    made = replay_store.create(session, replay_id, wish, stretches, now=now)
    if not wish.dry_run:
        scribe.replay(session, whose.log(scribe), _members(made, whose, "created"), by, now=now)
    return made


def cancel_replay(
    session: Session, scribe: Scribe, whose: Whose, replay_id: str, by: Author, *, now: int
) -> Replay:
    """Have a replay hand over no more. What it has handed over is delivered all the same.

    Raises:
        NotFoundError: the owner has no such replay.
        CallerError: `state_conflict`: it is done.
    """
    found = replay_store.find(session, replay_id, whose.owner)
    if found is None:
        raise NotFoundError("there is no such replay")
    if replay_store.cancel(session, replay_id, now=now) and not found.wish.dry_run:
        scribe.replay(session, whose.log(scribe), _members(found, whose, "cancelled"), by, now=now)
    ended = replay_store.find(session, replay_id, whose.owner)
    if ended is None or ended.state == "done":
        raise CallerError("state_conflict", "The replay has ended already: it is done.")
    return ended


def _find(session: Session, whose: Whose, pair: Pair) -> DeliveryRow:
    row = asking.find(session, *pair)
    if row is None or row.partner != whose.owner:
        raise NotFoundError("there is no such delivery that is undelivered")
    return row


def _wanted(row: DeliveryRow, whose: Whose) -> Wanted:
    slug = whose.partner.slug
    return Wanted(slug, row.ref, row.source, row.event_id, row.event_type, row.endpoint, row.attempts)


def _members(replay: Replay, whose: Whose, action: str) -> dict[str, object]:
    wish = replay.wish
    return {
        "partner": whose.partner.slug,
        "replay": replay.id,
        "action": action,
        "endpoint": wish.endpoint,
        "since": wish.since,
        "until": wish.until,
        "which": wish.which,
        "types": sorted(wish.types),
        "rate": wish.rate,
    }
