"""Events that were accepted and are not in the log yet: so that a sender finds at once what it has sent."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlmodel import Session, col

from audit.search import HistoryFilter
from gateway.event import Direction
from gateway.rows import ClaimRow


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
    """This partner's claims without a log entry, newest first. `state` and `endpoint` are not looked at."""
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
    rows = session.execute(query.order_by(col(ClaimRow.at).desc()).limit(limit))
    return [
        Waiting(
            ref,
            source,
            event_id,
            event_type,
            "inbound" if direction == "inbound" else "outbound",
            at,
            "accepted" if state == "confirmed" else "unconfirmed",
        )
        for ref, source, event_id, event_type, direction, at, state in rows
    ]
