"""Entries without evidence, and what accounts for them: an entry of the log itself, or one on its way.

The ranges in `audit_erasure` are only where to look: whoever may write into the database could add one. What
says that evidence was taken away is evidence, in the same log, made in the same transaction at the same time.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select
from sqlmodel import Session, col

from audit import erasure
from audit.checkpoint import split_origin
from audit.errors import MalformedError
from audit.evidence import Evidence, Kind, parse_evidence
from audit.pressing import expand
from audit.rows import EntryRow, HeadRow, PendingRow

_TELLING: Final = (Kind.ERASED.value, Kind.EXPIRED.value)


@dataclass(slots=True)
class _Said:
    """What records say: leaves, by their hashes in hex, and by origin ranges of indexes."""

    leaves: set[str] = field(default_factory=set)
    ranges: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def hear(self, raw: bytes) -> None:
        try:
            evidence: Evidence = parse_evidence(raw)
        except MalformedError:
            return  # told where it stands
        if evidence.kind is Kind.ERASED:
            # By its leaf, which goes along where entries go into another epoch; an early record has no more.
            self.leaves.add(str(evidence.members["leaf_sha256"]))
        declared = erasure.declared(evidence)
        if evidence.kind is Kind.EXPIRED and declared is not None:
            self.ranges.setdefault(declared[0], []).extend(declared[1])

    def covers(self, origin: str, index: int) -> bool:
        return any(first <= index < end for first, end in self.ranges.get(origin, ()))


def unaccounted(session: Session, origin: str, bare: Mapping[int, bytes]) -> list[int]:
    """Those of these entries without evidence, by rising index, that nothing accounts for.

    `bare`: leaf hashes by index. All of it in the one snapshot in which they were read.
    """
    if not bare:
        return []
    indexes = sorted(bare)
    left: set[int] = set(erasure.unexplained(session, origin, indexes))
    before, said = _moved_from(session, origin), dict[int, _Said]()
    for gone in erasure.gone(session, origin, first=indexes[0], last=indexes[-1]):
        if gone.at not in said:
            said[gone.at] = _said_at(session, origin, gone.at)
        heard = said[gone.at]
        for index in indexes[bisect_left(indexes, gone.first) : bisect_left(indexes, gone.end)]:
            is_said = bare[index].hex() in heard.leaves or heard.covers(origin, index)
            if not is_said and before is not None:
                is_said = heard.covers(before[0], index + before[1])
            if not is_said:
                left.add(index)
    return sorted(left)


def _said_at(session: Session, origin: str, at: int) -> _Said:
    """What records of that time say, in whatever epoch of the log, and on their way into it."""
    said = _Said()
    for raw in _records(session, split_origin(origin)[0], at):
        said.hear(raw)
    return said


def _records(session: Session, log: str, at: int) -> Iterator[bytes]:
    row = EntryRow
    for kind in _TELLING:
        # As the index of pages has them: none of them stands for an event, and none has a direction.
        mine = col(row.log) == log, col(row.is_first).is_(False), col(row.kind) == kind
        query = select(col(row.evidence)).where(*mine, col(row.direction) == "", col(row.at) == at)
        for raw in session.execute(query).scalars():
            if raw is not None:
                yield expand(raw)
    waiting = select(col(PendingRow.raw)).where(col(PendingRow.log) == log, col(PendingRow.at) == at)
    yield from session.execute(waiting).scalars()


def _moved_from(session: Session, origin: str) -> tuple[str, int] | None:
    """The epoch whose last entries may have gone into this one, and what their indexes had more there.

    They stand behind the entry that opened it, and what that epoch kept ends where they began: see
    `audit.epochs`.
    """
    log, epoch = split_origin(origin)
    query = (
        select(col(HeadRow.epoch), col(HeadRow.size))
        .where(col(HeadRow.log) == log, col(HeadRow.epoch) < epoch)
        .order_by(col(HeadRow.epoch).desc())
        .limit(1)
    )
    row = session.execute(query).first()
    return None if row is None else (f"{log}/{row[0]}", row[1] - 1)
