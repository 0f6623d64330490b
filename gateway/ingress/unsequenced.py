"""Events that were accepted and are not in the log yet: so that a sender finds at once what it has sent."""

from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

from sqlalchemy import select, text
from sqlmodel import Session, col

from audit.search import HistoryFilter
from gateway.event import Direction
from gateway.ingress.wording import evidence_members
from gateway.rows import ClaimRow

_MOST_READ: Final = 10_000
_UNLOGGED: Final = text("state = 'confirmed' AND leaf_index IS NULL")
"""As the index has it, without parameters."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A claim that no log entry stands for yet. `at`: when it was signed, Unix milliseconds."""

    ref: bytes
    source: str
    id: str
    type: str
    direction: Direction
    at: int
    state: Literal["accepted", "unconfirmed"]


def find_unsequenced(session: Session, partner: str, wanted: HistoryFilter, limit: int) -> list[Waiting]:
    """This partner's claims without a log entry, newest first. `state` and `endpoint` are not looked at.

    Which credential sent an event stands in its receipt alone: of those without an entry, of which there are
    few while the sequencer keeps up, the newest `_MOST_READ` are looked at.
    """
    if wanted.is_void():
        return []
    columns = (
        col(ClaimRow.ref),
        col(ClaimRow.source),
        col(ClaimRow.event_id),
        col(ClaimRow.event_type),
        col(ClaimRow.direction),
        col(ClaimRow.at),
        col(ClaimRow.state),
    )
    query = select(*columns).where(col(ClaimRow.partner) == partner, col(ClaimRow.leaf_index).is_(None))
    given = (
        (ClaimRow.event_id, wanted.id),
        (ClaimRow.source, wanted.source),
        (ClaimRow.ref, wanted.ref),
        (ClaimRow.direction, wanted.direction),
        (ClaimRow.event_type, wanted.type),
    )
    query = query.where(*(col(column) == value for column, value in given if value is not None))
    if wanted.since is not None:
        query = query.where(col(ClaimRow.at) >= wanted.since)
    if wanted.until is not None:
        query = query.where(col(ClaimRow.at) < wanted.until)
    query = query.order_by(col(ClaimRow.at).desc())
    if wanted.credential is not None:
        looked = session.execute(query.add_columns(col(ClaimRow.receipt)).limit(_MOST_READ))
        own = (row[:-1] for row in looked if _sent_by(row[-1]) == wanted.credential)
        return [_waiting(*row) for row in islice(own, limit)]
    return [_waiting(*row) for row in session.execute(query.limit(limit))]


def is_any_unsequenced(session: Session, partner: str, since: int, until: int) -> bool:
    """Whether an event of a time was accepted that the log has not got yet; `until` is excluded."""
    at = col(ClaimRow.at)
    query = select(col(ClaimRow.ref)).where(
        _UNLOGGED, col(ClaimRow.partner) == partner, at >= since, at < until
    )
    return session.execute(query.limit(1)).first() is not None


def _sent_by(receipt: str) -> str | None:
    credential: str | None = evidence_members(receipt)["auth"]["credential"]
    return credential


def _waiting(ref: bytes, source: str, event_id: str, event_type: str, *rest: Any) -> Waiting:
    direction, at, state = rest
    return Waiting(
        ref,
        source,
        event_id,
        event_type,
        "inbound" if direction == "inbound" else "outbound",
        at,
        "accepted" if state == "confirmed" else "unconfirmed",
    )
