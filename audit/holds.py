"""Legal holds: what must not be erased, nor go with its time, as long as somebody has said so.

A hold is on events that it names, on all of a time, or on everything of a log. Times are those of entries and
claims, Unix milliseconds. The caller has made sure whose log it is, and makes the entry of what is set and
lifted. Nothing here commits.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import ColumnElement, Exists, and_, exists, func, insert, or_, select, tuple_, update
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col

from audit.bulk import insert_new_rows
from audit.kinds import MOST_HELD_REFS
from audit.ref import format_ref
from audit.rows import ExpiryRow, HoldRefRow, HoldRow

MOST_IN_FORCE: Final = 1_000
"""Holds on one log that are in force at the same time."""

FIRST_EPOCH: Final = 1

_CHUNK: Final = 500

Moment = tuple[bytes | None, int]
"""An event's ref, where it has one, and a time of it."""

PageKey = tuple[int, str]
"""Time and id of the last hold of a page, newest first."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is held: the events of `refs`; without any, all from `since` up to, not with, `until`.

    Raises:
        ValueError: Refs and times both, too many refs, or times that hold nothing.
    """

    refs: tuple[bytes, ...] = ()
    since: int | None = None
    until: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no hold can be."""
        if self.refs and (self.since is not None or self.until is not None):
            raise ValueError("a hold is on refs or on a time, not on both")
        if len(self.refs) > MOST_HELD_REFS:
            raise ValueError(f"a hold names at most {MOST_HELD_REFS} refs")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("a hold's since must be before its until")

    def covers(self, moment: Moment) -> bool:
        """Whether it holds this."""
        ref, at = moment
        if self.refs:
            return ref in self.refs
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)

    def members(self) -> Mapping[str, object]:
        """As evidence names it."""
        refs = sorted(format_ref(ref) for ref in set(self.refs))
        return {"refs": refs, "since": self.since, "until": self.until}


@dataclass(frozen=True, slots=True)
class Word:
    """What somebody said, when: that a hold is set or lifted, and for which reason."""

    basis: str
    role: str
    credential: str | None
    at: int


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold. `log`: without an epoch. `lifted` None: it is in force."""

    id: str
    log: str
    partner: str
    scope: Scope = field(repr=False)
    set: Word
    lifted: Word | None = None

    @property
    def created_at(self) -> int:
        """When it was set, Unix milliseconds."""
        return self.set.at


def guard(session: Session, logs: Collection[str]) -> None:
    """Have nobody else take evidence of these logs away, nor set a hold, until the transaction ends.

    For whoever does either, before holds are looked at: a hold that was set is never overtaken by an erasure
    that did not see it.
    """
    names = sorted(set(logs))
    rows = [{"log": log, "epoch": FIRST_EPOCH, "next": 0, "due_at": 0} for log in names]
    if rows:
        insert_new_rows(session, ExpiryRow, rows)
        mine = select(col(ExpiryRow.log)).where(col(ExpiryRow.log).in_(names)).order_by(col(ExpiryRow.log))
        session.execute(mine.with_for_update()).all()


def set_hold(session: Session, hold: Hold) -> None:
    """Put a hold into force, in the caller's transaction; whoever takes evidence away just now ends first."""
    guard(session, [hold.log])
    row = {
        "id": hold.id,
        "log": hold.log,
        "partner": hold.partner,
        "is_listed": bool(hold.scope.refs),
        "since_at": hold.scope.since,
        "until_at": hold.scope.until,
        "basis": hold.set.basis,
        "set_role": hold.set.role,
        "set_credential": hold.set.credential,
        "set_at": hold.set.at,
    }
    session.execute(insert(HoldRow), [row])
    if hold.scope.refs:
        refs = [{"ref": ref, "hold": hold.id} for ref in sorted(set(hold.scope.refs))]
        session.execute(insert(HoldRefRow), refs)


def lift(session: Session, hold: Hold, word: Word) -> Hold:
    """Take a hold out of force; one that was lifted stays as it is."""
    values = {
        "lifted_at": word.at,
        "lifted_basis": word.basis,
        "lifted_role": word.role,
        "lifted_credential": word.credential,
    }
    changed = update(HoldRow).where(col(HoldRow.id) == hold.id, col(HoldRow.lifted_at).is_(None))
    session.execute(changed.values(**values).execution_options(synchronize_session=False))
    return replace(hold, lifted=word) if hold.lifted is None else hold


def find(session: Session, hold_id: str, log: str, *, locked: bool = False) -> Hold | None:
    """One hold on a log, in force or lifted. `locked`: nobody else lifts it until the transaction ends."""
    query = select(HoldRow).where(col(HoldRow.id) == hold_id, col(HoldRow.log) == log)
    query = query.with_for_update() if locked else query
    row = session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
    return None if row is None else _holds(session, [row])[0]


def page(session: Session, log: str | None, *, after: PageKey | None, limit: int) -> list[Hold]:
    """Holds on a log (None: on any), newest first, lifted ones too."""
    place = (col(HoldRow.set_at), col(HoldRow.id))
    query = select(HoldRow) if log is None else select(HoldRow).where(col(HoldRow.log) == log)
    if after is not None:
        query = query.where(tuple_(*place) < tuple_(*after))
    query = query.order_by(*(column.desc() for column in place)).limit(limit)
    return _holds(session, session.execute(query).scalars().all())


def count_in_force(session: Session, log: str) -> int:
    """How many are in force."""
    query = select(func.count()).select_from(HoldRow).where(col(HoldRow.log) == log, _IN_FORCE)
    return int(session.execute(query).scalar_one())


def in_force(session: Session, log: str) -> tuple[Hold, ...]:
    """The holds in force on a log, oldest first; of those that name events, the refs are left out."""
    query = select(HoldRow).where(col(HoldRow.log) == log, _IN_FORCE)
    rows = session.execute(query.order_by(col(HoldRow.set_at), col(HoldRow.id))).scalars()
    return tuple(_hold(row, ()) for row in rows if not row.is_listed)


def covering(session: Session, log: str, moments: Sequence[Moment]) -> list[str | None]:
    """For each moment of this log's events, the id of a hold that is on it; None: it is free."""
    times = in_force(session, log)
    named = _named(session, log, {ref for ref, _ in moments if ref is not None})
    return [
        named.get(ref)
        if ref in named
        else next((one.id for one in times if one.scope.covers((ref, at))), None)
        for ref, at in moments
    ]


def free_spans(times: Iterable[Hold], before: int) -> list[tuple[int, int]]:
    """What lies before an instant and under none of these holds on a time: from, and up to, not with."""
    spans = sorted((one.scope.since or 0, one.scope.until) for one in times if not one.scope.refs)
    found, start = list[tuple[int, int]](), 0
    for since, until in spans:
        if start < min(since, before):
            found.append((start, min(since, before)))
        if until is None:
            return found
        start = max(start, until)
    return [*found, (start, before)] if start < before else found


def is_named(ref: Mapped[bytes], log: str) -> ColumnElement[bool]:
    """A condition: a hold in force on this log names the row's event."""
    return exists().where(
        col(HoldRefRow.ref) == ref,
        col(HoldRow.id) == col(HoldRefRow.hold),
        col(HoldRow.log) == log,
        col(HoldRow.lifted_at).is_(None),
    )


def is_held(partner: Mapped[str], ref: Mapped[bytes], at: Mapped[int]) -> Exists:
    """A condition: the row is under a hold in force, whose end is not looked at.

    For what is made of an event some time after it: whether the event is of the time that is held, its row
    does not say.
    """
    return is_held_anywhere(ref, at).where(col(HoldRow.partner) == partner)


def is_held_anywhere(ref: Mapped[bytes], at: Mapped[int]) -> Exists:
    """As `is_held`, of a row that does not say whose it is: any partner's hold on a time keeps it."""
    named = exists().where(col(HoldRefRow.ref) == ref, col(HoldRefRow.hold) == col(HoldRow.id))
    of_time = and_(~col(HoldRow.is_listed), or_(col(HoldRow.since_at).is_(None), col(HoldRow.since_at) <= at))
    return exists().where(col(HoldRow.lifted_at).is_(None), or_(of_time, named))


_IN_FORCE: Final = col(HoldRow.lifted_at).is_(None)


def _named(session: Session, log: str, refs: Collection[bytes]) -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    wanted = sorted(refs)
    for start in range(0, len(wanted), _CHUNK):
        query = (
            select(col(HoldRefRow.ref), col(HoldRefRow.hold))
            .join(HoldRow, col(HoldRow.id) == col(HoldRefRow.hold))
            .where(
                col(HoldRefRow.ref).in_(wanted[start : start + _CHUNK]), col(HoldRow.log) == log, _IN_FORCE
            )
            .order_by(col(HoldRow.set_at).desc(), col(HoldRow.id).desc())
        )
        found |= {row.ref: row.hold for row in session.execute(query)}
    return found


def _holds(session: Session, rows: Sequence[HoldRow]) -> list[Hold]:
    listed = [row.id for row in rows if row.is_listed]
    refs: dict[str, list[bytes]] = {}
    if listed:
        query = select(col(HoldRefRow.hold), col(HoldRefRow.ref)).where(col(HoldRefRow.hold).in_(listed))
        for hold, ref in session.execute(query.order_by(col(HoldRefRow.ref))):
            refs.setdefault(hold, []).append(ref)
    return [_hold(row, tuple(refs.get(row.id, ()))) for row in rows]


def _hold(row: HoldRow, refs: tuple[bytes, ...]) -> Hold:
    lifted = None
    if row.lifted_at is not None:
        lifted = Word(row.lifted_basis or "", row.lifted_role or "", row.lifted_credential, row.lifted_at)
    return Hold(
        row.id,
        row.log,
        row.partner,
        Scope(refs, row.since_at, row.until_at),
        Word(row.basis, row.set_role, row.set_credential, row.set_at),
        lifted,
    )
