"""Suspend, resume and close a partner: its state, and an entry in its log and in ours."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from sqlmodel import Session, col, func, select

from gateway.administration.evidence import Author, Scribe
from gateway.errors import CallerError
from gateway.positions import owner_in
from gateway.rows import BacklogRow, DeliveryRow
from partners import onboarding, store
from partners.endpoint import Skip
from partners.errors import NotFoundError
from partners.partner import Partner, PartnerState

Action = Literal["suspend", "resume", "close"]

_LEADS_TO: Final[dict[Action, PartnerState]] = {
    "suspend": "suspended",
    "resume": "active",
    "close": "closed",
}
_WORDS: Final[dict[Action, str]] = {"suspend": "suspended", "resume": "resumed", "close": "closed"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A partner as the author of a change has seen it. `state`: as its ETag tells it; None: any."""

    revision: int
    state: str | None = None

    def is_still(self, partner: Partner, revision: int) -> bool:
        """Whether it is so now."""
        return self.revision == revision and self.state in {None, _shown_state(partner)}

    def has_moved(self, partner: Partner, revision: int) -> bool:
        """Whether it is in another state now, under the same contract."""
        return self.revision == revision and not self.is_still(partner, revision)


@dataclass(frozen=True, slots=True)
class Move:
    """What is to become of a partner, and why. `if_match`: as its author has seen it; None: any."""

    action: Action
    reason: str
    if_match: Seen | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """A partner as it is now. `before`: its state; `waiting`: deliveries that wait for its endpoints."""

    partner: Partner
    before: PartnerState
    waiting: int

    @property
    def has_changed(self) -> bool:
        """Whether it was in another state."""
        return self.partner.state != self.before


def move_partner(session: Session, scribe: Scribe, slug: str, wanted: Move, by: Author, *, now: int) -> Moved:
    """Move a partner, in the caller's transaction. One that is there already stays as it is, without entry.

    Raises:
        NotFoundError: there is no such partner.
        CallerError: `precondition_failed`: it changed since the author looked; `state_conflict`: only what is
            suspended is resumed.
        StateConflictError: it is closed.
    """
    store.lock(session)
    found = store.partner(session, slug)
    if found is None:
        raise NotFoundError("there is no such partner")
    before, revision = found
    if wanted.if_match is not None and not wanted.if_match.is_still(before, revision):
        text = f"The partner is {before.state} now, with contract {revision}: look again."
        raise CallerError("precondition_failed", text)
    if wanted.action == "resume" and before.state == "provisioning":
        raise CallerError("state_conflict", f"'{slug}' is {before.state}: only a suspended one is resumed.")
    change = onboarding.set_partner_state(session, slug, _LEADS_TO[wanted.action])
    moved = Moved(change.partner, change.before, _count_waiting(session, slug))
    if moved.has_changed:
        scribe.partner(session, change.partner, _WORDS[wanted.action], wanted.reason, by, now=now)
    return moved


def etag_of(partner: Partner, revision: int) -> str:
    """What changes whenever a partner does: its state, and the revision of its contract."""
    return f'"{_shown_state(partner)}.{revision}"'


def _shown_state(partner: Partner) -> str:
    """One that is provisioning counts as active: it becomes so by itself, and nobody was quicker then."""
    return "active" if partner.state == "provisioning" else partner.state


def _count_waiting(session: Session, slug: str) -> int:
    return sum(count_pending(session, one.id) for one in store.endpoints(session, slug))


def count_pending(session: Session, endpoint_id: str) -> int:
    """How many deliveries wait for an endpoint; of a backlog range every record counts as one.

    In a topic that is not the partner's own, only those that are known to be for the endpoint.
    """
    rows = select(func.count()).where(
        col(DeliveryRow.endpoint) == endpoint_id, col(DeliveryRow.state).in_(("pending", "held"))
    )
    ranges = select(BacklogRow).where(col(BacklogRow.endpoint) == endpoint_id)
    behind = sum(_count_range(one, one.to_offset) for one in session.exec(ranges))
    return session.exec(rows).one() + behind


def count_skipped(session: Session, endpoint_id: str, skips: Iterable[Skip]) -> int:
    """How many of them at most are given up, counted as by `count_pending`."""
    found = 0
    for one in skips:
        delivery, backlog = DeliveryRow, BacklogRow
        rows = select(func.count()).where(
            col(delivery.endpoint) == endpoint_id,
            col(delivery.state).in_(("pending", "held")),
            col(delivery.topic_id) == one.topic_id,
            col(delivery.partition) == one.partition,
            col(delivery.offset) < one.offset,
        )
        ranges = select(backlog).where(
            col(backlog.endpoint) == endpoint_id,
            col(backlog.topic_id) == one.topic_id,
            col(backlog.partition) == one.partition,
        )
        found += session.exec(rows).one()
        found += sum(_count_range(each, min(each.to_offset, one.offset)) for each in session.exec(ranges))
    return found


def _count_range(row: BacklogRow, end: int) -> int:
    """How many of a range lie before `end`."""
    length = max(0, end - row.from_offset)
    return length if owner_in(row.topic_id) is None else min(length, row.events)
