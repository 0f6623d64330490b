"""Entries of a log that are about no event: found by what they say.

Source: docs/formats.md, section 3, `contract.changed`, `evidence.erased`, `evidence.expired`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from sqlalchemy import select
from sqlmodel import Session, col

from audit import erasure
from audit.checkpoint import split_origin
from audit.entry import Entry
from audit.errors import MalformedError
from audit.evidence import Kind
from audit.merkle import hash_leaf
from audit.rows import EntryRow
from audit.store import entry_from

_ERASING = (Kind.ERASED, Kind.EXPIRED)


@dataclass(frozen=True, slots=True)
class Naming:
    """What names a contract: its revision, its SHA-256 (hex; None: not named), and the entry that does."""

    revision: int
    sha256: str | None
    entry: Entry


def find_contract(session: Session, log: str, naming: Naming) -> Entry | None:
    """The entry by which a revision of the contract came into force that another entry names.

    Should there be several: that of the text that is named, or else the last one that stands before what
    names it; one that does not, where there is no other.

    Entries of no event are few beside the others, and the index of references has them side by side.
    """
    # In no order that a database could keep: it would read the whole log in it.
    query = select(EntryRow).where(
        col(EntryRow.ref).is_(None),
        col(EntryRow.log) == log,
        col(EntryRow.kind) == Kind.CONTRACT_CHANGED.value,
    )
    found = [entry_from(row) for row in session.execute(query).scalars()]
    place = _place(naming.entry)
    return max(
        (one for one in found if _is_of(one, naming)),
        key=lambda one: (_place(one) < place, _place(one)),
        default=None,
    )


def find_erasing(session: Session, bare: Sequence[Entry]) -> list[Entry]:
    """The entries which say that the evidence of these was erased, or expired, each in the same log."""
    reasons = erasure.reasons(session, bare)
    places = {(one.origin, one.index): hash_leaf(one.leaf).hex() for one in bare}
    logs: dict[str, set[int]] = {}
    for (origin, _), gone in reasons.items():
        logs.setdefault(split_origin(origin)[0], set()).add(gone.at)
    row = EntryRow
    found: dict[tuple[str, int], Entry] = {}
    for log, times in logs.items():
        # As the index of pages has them: none of them stands for an event, and none has a direction.
        mine = col(row.log) == log, col(row.is_first).is_(False), col(row.direction) == ""
        for kind, at in product(_ERASING, sorted(times)):
            query = select(row).where(*mine, col(row.kind) == kind.value, col(row.at) == at)
            some = map(entry_from, session.execute(query).scalars())
            found |= {(one.origin, one.index): one for one in some if _tells_of(one, places)}
    return list(found.values())


def _tells_of(entry: Entry, places: Mapping[tuple[str, int], str]) -> bool:
    try:
        evidence = entry.evidence()
    except MalformedError:
        return False
    if evidence is None:
        return False
    # An erasure by its leaf, which goes along where entries go into another epoch.
    if evidence.members.get("leaf_sha256") in places.values():
        return True
    origin, ranges = erasure.declared(evidence) or ("", ())
    mine = [index for name, index in places if name == origin]
    return any(first <= index < end for first, end in ranges for index in mine)


def _place(entry: Entry) -> tuple[int, int]:
    return split_origin(entry.origin)[1], entry.index


def _is_of(entry: Entry, naming: Naming) -> bool:
    try:
        evidence = entry.evidence()
    except MalformedError:
        return False
    if evidence is None or evidence.members.get("revision") != naming.revision:
        return False
    return naming.sha256 in {None, evidence.text("after_sha256")}
