"""Entries of a log that are about no event: found by what they say.

Source: docs/formats.md, section 3, `contract.changed`.
"""

from sqlalchemy import select
from sqlmodel import Session, col

from audit.checkpoint import split_origin
from audit.entry import Entry
from audit.errors import MalformedError
from audit.evidence import Kind
from audit.rows import EntryRow
from audit.store import entry_from


def find_contract(session: Session, log: str, revision: int) -> Entry | None:
    """The entry by which a revision of the contract came into force; the newest, should there be several.

    Entries of no event are few beside the others, and the index of references has them side by side.
    """
    # In no order that a database could keep: it would read the whole log in it.
    query = select(EntryRow).where(
        col(EntryRow.ref).is_(None),
        col(EntryRow.log) == log,
        col(EntryRow.kind) == Kind.CONTRACT_CHANGED.value,
    )
    found = [entry_from(row) for row in session.execute(query).scalars()]
    return max((one for one in found if _revision_of(one) == revision), key=_place, default=None)


def _place(entry: Entry) -> tuple[int, int]:
    return split_origin(entry.origin)[1], entry.index


def _revision_of(entry: Entry) -> int | None:
    try:
        evidence = entry.evidence()
    except MalformedError:
        return None
    return None if evidence is None else evidence.members.get("revision")
