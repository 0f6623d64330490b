"""Evidence that is past its time: found by walking each log once from its first entry, never twice.

Entries come in the order of their making, but for a few seconds, or where an event was confirmed late: the
walk stops at the first entry that is not past its time, and what stands behind it goes a little later, never
sooner. So a look costs one row a log, and a step some hundred rows of one key range, however large the log
is. What is held is passed over, and its place remembered: once a hold is lifted the walk goes back there.

Nothing here commits; the entry that tells of a step is the caller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, func, select, update
from sqlmodel import Session, col

from audit.bulk import insert_new_rows
from audit.erasure import ABOUT_EVENTS, Gone, take_away
from audit.evidence import Kind
from audit.holds import FIRST_EPOCH, covering
from audit.kinds import MOST_RANGES
from audit.rows import EntryRow, ExpiryRow

EXPIRING: Final = frozenset({*ABOUT_EVENTS, Kind.CONTENT_READ, Kind.STREAM_ACKNOWLEDGED})
"""Kinds whose evidence has a time. What tells of contracts, keys, holds, erasures and of the log stays."""

_WORDS: Final = frozenset(kind.value for kind in EXPIRING)


@dataclass(frozen=True, slots=True)
class Step:
    """What one step took away: ranges of indexes of one log, and how many entries. Empty: nothing."""

    origin: str
    ranges: tuple[tuple[int, int], ...]

    @property
    def entries(self) -> int:
        """How many."""
        return sum(end - first for first, end in self.ranges)


def due_logs(session: Session, before: Mapping[str, int]) -> list[str]:
    """Those of these logs whose next entry is, or may be, older than the time given with it."""
    rows = session.execute(select(col(ExpiryRow.log), col(ExpiryRow.due_at)))
    later = {log for log, due_at in rows if due_at >= before.get(log, 0)}
    return [log for log in sorted(before) if log not in later]


def step(session: Session, log: str, *, before: int, now: int, limit: int) -> Step | None:
    """Look at up to `limit` entries of a log, and take the evidence of those made before `before` away.

    None: somebody else is at it. `now` is when a log that was walked to its end is looked at again.
    """
    place = _take(session, log)
    if place is None:
        return None
    epoch, first, held = place
    rows = _window(session, log, epoch, first, limit)
    young = next((number for number, row in enumerate(rows) if row.at >= before), len(rows))
    old = rows[:young]
    wanted = [row for row in old if row.is_there and row.kind in _WORDS]
    holds = covering(session, log, [(row.ref, row.at) for row in wanted])
    free = [row.number for row, hold in zip(wanted, holds, strict=True) if hold is None]
    ranges = _ranges(free)
    following = old[-1].number + 1 if old else first
    is_cut = len(ranges) > MOST_RANGES
    if is_cut:
        # An entry names so many: the next step goes on behind the last of them.
        ranges = ranges[:MOST_RANGES]
        following = ranges[-1][1]
    passed = [row.number for row, hold in zip(wanted, holds, strict=True) if hold is not None]
    first_held = next((index for index in passed if index < following), None)
    if held is None and first_held is not None:
        held = (epoch, first_held)
    due_at = 0
    if young < len(rows):
        due_at = 0 if is_cut else rows[young].at
    elif len(rows) < limit and following == (rows[-1].number + 1 if rows else first):
        newer = _next_epoch(session, log, epoch)
        epoch, following, due_at = (epoch, following, max(now, before)) if newer is None else (newer, 0, 0)
    origin = f"{log}/{place[0]}"
    if ranges:
        take_away(session, origin, ranges, Gone(0, 0, now, None, "keep.evidence"))
    _move(session, log, (epoch, following), due_at, held)
    return Step(origin, tuple(ranges))


def count_events(session: Session, log: str, since: int, until: int, *, most: int) -> int:
    """How many events of a log, `most` at most, have evidence that was made from `since` up to `until`.

    Both are Unix milliseconds. Events are counted, by the entries that stand for them, not all entries.
    """
    row = EntryRow
    mine = (
        col(row.log) == log,
        col(row.is_first).is_(True),
        col(row.kind).in_(_WORDS),
        col(row.at) >= since,
        col(row.at) < until,
        col(row.evidence).is_not(None),
    )
    some = select(col(row.index)).where(*mine).limit(most).subquery()
    return int(session.execute(select(func.count()).select_from(some)).scalar_one())


def go_back(session: Session, log: str) -> None:
    """A hold was lifted: walk again from the first entry that was passed over."""
    row = ExpiryRow
    mine = update(row).where(col(row.log) == log, col(row.held_epoch).is_not(None))
    values = {
        "epoch": col(row.held_epoch),
        "next": col(row.held_next),
        "due_at": 0,
        "held_epoch": None,
        "held_next": None,
    }
    session.execute(mine.values(values).execution_options(synchronize_session=False))


def _take(session: Session, log: str) -> tuple[int, int, tuple[int, int] | None] | None:
    """Where the walk stands, and the first held entry behind it; it is ours until the transaction ends."""
    insert_new_rows(session, ExpiryRow, [{"log": log, "epoch": FIRST_EPOCH, "next": 0, "due_at": 0}])
    row = ExpiryRow
    columns = (col(row.epoch), col(row.next), col(row.held_epoch), col(row.held_next))
    query = select(*columns).where(col(row.log) == log).with_for_update(skip_locked=True)
    found = session.execute(query).first()
    if found is None:
        return None
    epoch, following, held_epoch, held_next = found
    return epoch, following, None if held_epoch is None else (held_epoch, held_next)


def _move(
    session: Session, log: str, place: tuple[int, int], due_at: int, held: tuple[int, int] | None
) -> None:
    values = {
        "epoch": place[0],
        "next": place[1],
        "due_at": due_at,
        "held_epoch": None if held is None else held[0],
        "held_next": None if held is None else held[1],
    }
    changed = update(ExpiryRow).where(col(ExpiryRow.log) == log).values(**values)
    session.execute(changed.execution_options(synchronize_session=False))


def _window(session: Session, log: str, epoch: int, first: int, limit: int) -> Sequence[Row[Any]]:
    row = EntryRow
    is_there = col(row.evidence).is_not(None).label("is_there")
    query: Any = (
        select(col(row.index).label("number"), col(row.at), col(row.kind), col(row.ref), is_there)
        .where(col(row.log) == log, col(row.epoch) == epoch, col(row.index) >= first)
        .order_by(col(row.index))
        .limit(limit)
        # An erasure that is under way ends first.
        .with_for_update()
    )
    found: Sequence[Row[Any]] = session.execute(query).all()
    return found


def _next_epoch(session: Session, log: str, epoch: int) -> int | None:
    query = select(func.min(col(EntryRow.epoch))).where(col(EntryRow.log) == log, col(EntryRow.epoch) > epoch)
    found: int | None = session.execute(query).scalar_one()
    return found


def _ranges(indexes: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for index in indexes:
        if found and found[-1][1] == index:
            found[-1] = (found[-1][0], index + 1)
        else:
            found.append((index, index + 1))
    return found
