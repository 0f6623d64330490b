"""Named facts about this installation that must never change unnoticed, such as its origin."""

from typing import Final

from sqlmodel import Session, col, select

from audit.bulk import insert_new_rows
from gateway.rows import MetaRow

LONGEST_HOLD: Final = "longest_hold_seconds"
"""The longest `delivery.hold` that a contract ever had: no topic that was lengthened for it is shortened."""


def load(session: Session, name: str) -> str | None:
    """A fact; None where it was never kept."""
    return session.exec(select(MetaRow.value).where(col(MetaRow.name) == name)).first()


def has_any(session: Session, *names: str) -> bool:
    """Whether a fact of one of these names was kept: one statement."""
    return session.exec(select(MetaRow.name).where(col(MetaRow.name).in_(names)).limit(1)).first() is not None


def keep(session: Session, name: str, value: str) -> str:
    """Keep a fact unless there is one of this name already; returns what is kept now."""
    insert_new_rows(session, MetaRow, [{"name": name, "value": value}])
    return session.exec(select(MetaRow.value).where(col(MetaRow.name) == name)).one()


def raise_to(session: Session, name: str, value: int) -> int:
    """Keep a number that only grows, from 0 on; returns what is kept now."""
    row = session.get(MetaRow, name)
    if row is None:
        return int(keep(session, name, str(value))) if value else 0
    if int(row.value) < value:
        # Locked only to raise it, which is seldom: whoever looks, looks for as long as its transaction takes.
        session.refresh(row, with_for_update=True)
    if int(row.value) < value:
        row.value = str(value)
        session.add(row)
    return int(row.value)
