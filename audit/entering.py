"""Entries go into their table, with what lists find them by. Never commits, never decides.

An event's first entry stands for it in lists; a look at it never does. Whatever comes later and makes the
event findable in another way leaves a mark at the place of that first entry.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, delete, select
from sqlmodel import Session, col

from audit.bulk import find_rows, insert_new_rows, insert_rows
from audit.entry import Draft, digest_of
from audit.evidence import parse_evidence
from audit.kinds import Kind
from audit.marks import mark_of, split_search
from audit.pressing import expand, press
from audit.rows import EntryRow, MarkRow
from audit.states import is_told_by, state_of
from audit.store import key_of

Place = tuple[int, int, int]
"""Time, epoch and index of a row: where it stands in a list."""

_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Batch:
    """What is appended to one log: drafts with their leaves, from index `first` on."""

    origin: str
    first: int
    drafts: Sequence[Draft]
    leaves: Sequence[bytes]


@dataclass(slots=True)
class _Known:
    """What a log has of an event. `kind`: of the entry that stands for it."""

    place: Place | None = None
    kind: Kind | None = None
    is_sure: bool = False
    is_read: bool = False


@dataclass(slots=True)
class _Entering:
    known: dict[tuple[str, bytes], _Known]
    rows: list[dict[str, Any]] = field(default_factory=list)
    marks: dict[tuple[bytes, int, int, int], None] = field(default_factory=dict)


def insert_entries(session: Session, batches: Sequence[Batch]) -> None:
    """Write entries and leaves, and the marks that they make."""
    refs = {each.ref for one in batches for each in one.drafts if each.ref is not None}
    entering = _Entering(_known(session, refs))
    for one in batches:
        key = key_of(one.origin)
        for index, (draft, leaf) in enumerate(zip(one.drafts, one.leaves, strict=True), one.first):
            _enter(entering, key, index, draft, leaf)
    insert_rows(session, EntryRow, entering.rows)
    _insert_marks(session, entering.marks)


def forget_content(session: Session, log: str, places: Sequence[tuple[int, int]]) -> None:
    """Delete what entries, each by epoch and index, can be found by of their content: values and digests.

    To be called before their evidence goes, which says what the digests are. States and endpoints stay.
    """
    gone: list[dict[str, Any]] = []
    for epoch in sorted({one for one, _ in places}):
        indexes = sorted({index for one, index in places if one == epoch})
        for start in range(0, len(indexes), _CHUNK):
            some = _rows_at(session, log, epoch, indexes[start : start + _CHUNK])
            refs = {row.ref for row in some if row.ref is not None}
            firsts = {ref: known.place for (_, ref), known in _known(session, refs, of=log).items()}
            for row in some:
                at, standing_epoch, index = firsts.get(row.ref) or (row.at, epoch, row.index)
                where = {"at_at": at, "at_epoch": standing_epoch, "at_index": index}
                gone += [{"at_mark": mark, **where} for mark in _content_marks(log, row)]
    if gone:
        session.connection().execute(_FORGET, gone)


def move_marks(session: Session, log: str, moved: Mapping[Place, Place]) -> None:
    """Entries that stand for events have moved, from the first place to the second: so do their marks."""
    gone: list[dict[str, Any]] = []
    made: dict[tuple[bytes, int, int, int], None] = {}
    for old, (at, epoch, index) in moved.items():
        first = session.execute(
            select(*_OF_EVENT).where(*_here(log, epoch), col(EntryRow.index) == index)
        ).one()
        rows = [first]
        if first.ref is not None:
            same = (col(EntryRow.log) == log, col(EntryRow.ref) == first.ref)
            rows = list(session.execute(select(*_OF_EVENT).where(*same)))
        for mark in {one for row in rows for one in _marks_of(log, row, Kind(first.kind))}:
            gone.append({"at_mark": mark, "at_at": old[0], "at_epoch": old[1], "at_index": old[2]})
            made[mark, at, epoch, index] = None
    if gone:
        session.connection().execute(_FORGET, gone)
        _insert_marks(session, made)


def _marks_of(log: str, row: Any, first: Kind) -> list[bytes]:
    """What an entry that is there has left of marks."""
    state = state_of(Kind(row.kind), row.code)
    found = [] if not state or is_told_by(first, state) else [mark_of(log, "state", state)]
    found += [] if row.endpoint is None else [mark_of(log, "endpoint", row.endpoint)]
    return found + _content_marks(log, row)


def _here(log: str, epoch: int) -> tuple[ColumnElement[bool], ...]:
    return col(EntryRow.log) == log, col(EntryRow.epoch) == epoch


_OF_EVENT: Final = tuple(
    getattr(EntryRow, name) for name in ("ref", "kind", "code", "endpoint", "evidence", "search")
)


def _rows_at(session: Session, log: str, epoch: int, indexes: Sequence[int]) -> Sequence[Any]:
    columns = [getattr(EntryRow, name) for name in ("index", "at", "ref", "evidence", "search")]
    mine = (col(EntryRow.log) == log, col(EntryRow.epoch) == epoch, col(EntryRow.index).in_(indexes))
    return session.execute(select(*columns).where(*mine)).all()


def _content_marks(log: str, row: Any) -> list[bytes]:
    marks = [mark_of(log, "search", one) for one in split_search(row.search)]
    digest = None if row.evidence is None else digest_of(parse_evidence(expand(row.evidence)))
    return marks if digest is None else [*marks, mark_of(log, "digest", digest)]


_FORGET: Final = delete(MarkRow).where(
    col(MarkRow.mark) == bindparam("at_mark"),
    col(MarkRow.at) == bindparam("at_at"),
    col(MarkRow.epoch) == bindparam("at_epoch"),
    col(MarkRow.index) == bindparam("at_index"),
)


def _known(
    session: Session, refs: Iterable[bytes], *, of: str | None = None
) -> dict[tuple[str, bytes], _Known]:
    """What logs, or the log `of` that name, have of these events."""
    names = ["log", "ref", "kind", "is_first", "at", "epoch", "index"]
    found: dict[tuple[str, bytes], _Known] = {}
    only = () if of is None else (("log", of),)
    rows = find_rows(session, EntryRow, names, key="ref", among=sorted(refs), only=only)
    for log, ref, kind, is_first, *place in rows:
        one = found.setdefault((log, ref), _Known())
        _note(one, Kind(kind))
        if is_first:
            one.place, one.kind = (place[0], place[1], place[2]), Kind(kind)
    return found


def _note(known: _Known, kind: Kind) -> None:
    if kind is Kind.CONTENT_READ:
        known.is_read = True
    elif kind is not Kind.REFUSED:
        # The two do not show what their event holds: values that come after them are its first.
        known.is_sure = True


def _enter(entering: _Entering, key: Mapping[str, Any], index: int, draft: Draft, leaf: bytes) -> None:
    place = (draft.at, key["epoch"], index)
    known = _Known() if draft.ref is None else entering.known.setdefault((key["log"], draft.ref), _Known())
    is_first = draft.is_listed() or (known.place is None and draft.is_of_event())
    if is_first:
        known.place, known.kind = place, draft.kind
    search = None if known.is_sure else draft.search
    if known.place is not None and known.kind is not None:
        where = known.place
        for mark in _marks(draft, search, known.kind):
            entering.marks[mark, *where] = None
        if is_first and known.is_read:
            entering.marks[mark_of(draft.log, "state", "read"), *where] = None
    _note(known, draft.kind)
    entering.rows.append(
        {**key, "index": index, "leaf": leaf, "is_first": is_first, **_columns(draft, search)}
    )


def _marks(draft: Draft, search: bytes | None, first: Kind) -> list[bytes]:
    """What the event is found by from this entry on. `first`: the kind of the entry that stands for it."""
    found: list[bytes] = []
    state = "" if first is draft.kind is Kind.ACCEPTED else state_of(draft.kind, draft.code)
    if state and not is_told_by(first, state):
        found.append(mark_of(draft.log, "state", state))
    if draft.endpoint is not None:
        found.append(mark_of(draft.log, "endpoint", draft.endpoint))
    if draft.digest is not None:
        found.append(mark_of(draft.log, "digest", draft.digest))
    if search is not None:
        found += [mark_of(draft.log, "search", one) for one in split_search(search)]
    return found


def _insert_marks(session: Session, marks: Iterable[tuple[bytes, int, int, int]]) -> None:
    rows = [
        {"mark": mark, "at": at, "epoch": epoch, "index": index} for mark, at, epoch, index in sorted(marks)
    ]
    insert_new_rows(session, MarkRow, rows, are_small=True)


def _columns(draft: Draft, search: bytes | None) -> dict[str, Any]:
    return {
        "evidence": press(draft.raw),
        "kind": draft.kind.value,
        "at": draft.at,
        "ref": draft.ref,
        "partner": draft.partner,
        # PostgreSQL takes no order from an index over what is null.
        "direction": draft.direction or "",
        "source": draft.source,
        "event_id": draft.event_id,
        "event_type": draft.event_type,
        "endpoint": draft.endpoint,
        "code": draft.code,
        "credential": draft.credential,
        "search": search,
    }
