"""What is decided and still to be told: rows written with a decision, deleted once their event is published.

The decision and the word that it was made are one transaction; the broker hears of it later. Killed between,
the row is still there and the event goes out under the same id, so that it is one event however often it is
sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import delete, func, insert, select, update
from sqlmodel import Session, col

from audit.bulk import insert_new_rows
from gateway.database import clock
from gateway.event import EventKey, default_source
from gateway.rows import AnnouncementRow, ClaimRow

AT_ONCE: Final = 50
"""Rows that are taken together: all are to be published within their lease."""

FREE: Final = 0


@dataclass(frozen=True, slots=True)
class Announcement:
    """One event to be published. Its `id` is fixed; `data`: JSON text; `at`: when it was decided, Unix ms."""

    partner: str
    id: str
    type: str
    data: str = field(repr=False)
    at: int


def announce(session: Session, new: Announcement) -> None:
    """Have an event published, once the caller's transaction is committed."""
    session.execute(insert(AnnouncementRow), [_row(new)])


def announce_once(session: Session, new: Announcement) -> None:
    """As `announce`, of what is noticed again and again: an event that was told, or waits to be, is not."""
    ref = EventKey(new.partner, "outbound", default_source(new.partner, "outbound"), new.id).ref()
    if session.execute(select(col(ClaimRow.ref)).where(col(ClaimRow.ref) == ref)).first() is None:
        insert_new_rows(session, AnnouncementRow, [_row(new)])


def _row(new: Announcement) -> dict[str, object]:
    return {
        "partner": new.partner,
        "event_id": new.id,
        "event_type": new.type,
        "data": new.data,
        "at": new.at,
        "until": FREE,
    }


def is_any(session: Session) -> bool:
    """Whether anything waits, in whoever's hands it is."""
    return session.execute(select(col(AnnouncementRow.number)).limit(1)).first() is not None


def take(session: Session, lease_ms: int) -> Mapping[int, Announcement]:
    """Take the oldest of each partner, where nobody has it: later ones wait, so that they keep their order.

    By number. What is taken is the taker's alone for so long. Those that have to wait keep nobody else's.
    """
    now, until = clock(session), col(AnnouncementRow.until)
    oldest = select(func.min(col(AnnouncementRow.number))).group_by(col(AnnouncementRow.partner))
    rows = select(AnnouncementRow).where(col(AnnouncementRow.number).in_(oldest), until <= now)
    taken: dict[int, Announcement] = {}
    for row in session.execute(rows.order_by(col(AnnouncementRow.number)).limit(AT_ONCE)).scalars().all():
        number = row.number or 0
        mine = update(AnnouncementRow).where(col(AnnouncementRow.number) == number)
        mine = mine.where(col(AnnouncementRow.until) <= now).values(until=now + lease_ms)
        # The row is named by its number: one is changed, or none where somebody was quicker.
        if session.execute(mine.returning(col(AnnouncementRow.number))).first() is not None:
            taken[number] = Announcement(row.partner, row.event_id, row.event_type, row.data, row.at)
    return taken


def give_back(session: Session, number: int, wait_ms: int) -> None:
    """Let anybody try again, after so long."""
    change = update(AnnouncementRow).where(col(AnnouncementRow.number) == number)
    session.execute(change.values(until=clock(session) + wait_ms))


def settle(session: Session, number: int) -> None:
    """Forget one that is published, or never will be."""
    session.execute(delete(AnnouncementRow).where(col(AnnouncementRow.number) == number))
