"""The SQL of a list: ranges of indexes, merged in the order of the list, and tests of what they give.

A *drive* is what a list is read along: one or more ranges, each of one index and in the order of the list, so
that a page costs the same however large the log is. What else is asked for is tested row by row, above the
ranges: no planner ever sees it beside them, and nobody reads more rows than were asked of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from audit.kinds import Kind

Place = tuple[int, int, int]
"""Time, epoch and index of a row."""

_NEWEST_FIRST: Final = "ORDER BY 1 DESC, 2 DESC, 3 DESC"
_OLDEST_FIRST: Final = "ORDER BY 1, 2, 3"
_PLACE: Final = '{0}.at, {0}.epoch, {0}."index"'
_AT: Final = '{0}.at = {1}.at AND {0}.epoch = {1}.epoch AND {0}."index" = {1}."index"'
_SAME_EVENT: Final = "f.log = e.log AND f.ref = e.ref AND {first}"


@dataclass(frozen=True, slots=True)
class Span:
    """Which places: before `before`; at `since` or later, or behind `after`. None: no bound."""

    before: Place | None = None
    since: int | None = None
    after: Place | None = None


@dataclass(slots=True)
class Question:
    """A list in the making. `dialect`: of the database. `values`: parameters, `:log` the first of them.

    `is_ascending`: oldest first.
    """

    dialect: str
    values: dict[str, Any]
    is_ascending: bool = False
    ranges: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)

    def value(self, name: str, value: Any) -> str:
        """A parameter."""
        self.values[name] = value
        return f":{name}"

    def first(self, alias: str, *, wanted: bool = True) -> str:
        """Whether a row stands for its event, as the indexes of each database have it."""
        if self.dialect == "sqlite":
            return f"{alias}.is_first = {int(wanted)}"
        return f"{'' if wanted else 'NOT '}{alias}.is_first"

    def along(self, condition: str) -> None:
        """A range of entries."""
        self.ranges.append(
            f"SELECT {_PLACE.format('e')} FROM audit_entry e WHERE e.log = :log AND {condition}{{e}}"  # noqa: S608 - fixed text
        )

    def along_mark(self, name: str, mark: bytes) -> None:
        """The events that have a mark."""
        given = self.value(name, mark)
        self.ranges.append(f"SELECT {_PLACE.format('m')} FROM audit_mark m WHERE m.mark = {given}{{m}}")  # noqa: S608 - fixed text

    def along_kind(self, kind: Kind, directions: Sequence[str], *, first: bool) -> None:
        """The entries of a kind that stand for events, or that do not."""
        for one in directions:
            which = f"e.kind = '{kind.value}' AND e.direction = '{one}'"
            self.along(f"{self.first('e', wanted=first)} AND {which}")

    def has_mark(self, name: str, mark: bytes, *, by_event: bool) -> str:
        """Whether the row's event has a mark. `by_event`: the row need not be the one that stands for it."""
        given = self.value(name, mark)
        own = f"EXISTS (SELECT 1 FROM audit_mark x WHERE x.mark = {given} AND {_AT.format('x', 'e')})"  # noqa: S608 - fixed text
        if not by_event:
            return own
        event = _SAME_EVENT.format(first=self.first("f"))
        return (
            f"({own} OR EXISTS (SELECT 1 FROM audit_entry f CROSS JOIN audit_mark x "  # noqa: S608 - fixed text
            f"WHERE {event} AND x.mark = {given} AND {_AT.format('x', 'f')}))"
        )

    def began_as(self, kind: Kind) -> str:
        """Whether the entry that stands for the row's event is of a kind."""
        event = _SAME_EVENT.format(first=self.first("f"))
        return f"EXISTS (SELECT 1 FROM audit_entry f WHERE {event} AND f.kind = '{kind.value}')"  # noqa: S608 - fixed text

    def ask(self, session: Session, span: Span, limit: int) -> list[tuple[Place, bool]]:
        """The next places in the order of the list, at most `limit`, and whether each passes all tests."""
        bounds, values = _bounds(span)
        ranges = [one.format(e=bounds.format("e"), m=bounds.format("m")) for one in self.ranges]
        end = f"{_OLDEST_FIRST if self.is_ascending else _NEWEST_FIRST} LIMIT {int(limit)}"
        if self.dialect != "sqlite" and len(ranges) > 1:
            # Ranges that are read to their ends and sorted otherwise; SQLite merges them as they come.
            ranges = [f"({one} {end})" for one in ranges]
        inner = f"{' UNION ALL '.join(ranges)} {end}"
        fits, beside = "1", ""
        if self.tests:
            fits = f"CASE WHEN {' AND '.join(self.tests)} THEN 1 ELSE 0 END"
            # Each row by its key: with the places on the left SQLite has nothing to turn round.
            beside = (
                ' CROSS JOIN audit_entry e WHERE e.log = :log AND e.epoch = p.epoch AND e."index" = p."index"'
            )
        query = f"SELECT {_PLACE.format('p')}, {fits} FROM ({inner}) p{beside}"  # noqa: S608 - fixed text
        given = _used(query, {**self.values, **values})
        found = [
            ((at, epoch, index), bool(is_fit))
            for at, epoch, index, is_fit in session.execute(text(query), given)
        ]
        return sorted(found, reverse=not self.is_ascending)


def _bounds(span: Span) -> tuple[str, dict[str, int]]:
    """One bound at each end: of two at one end a planner would take either."""
    bounds, values = "", {}
    if span.since is not None:
        bounds += " AND {0}.at >= :since"
        values["since"] = span.since
    for word, sign, place in (("before", "<", span.before), ("after", ">", span.after)):
        if place is not None:
            names = [f"{word}_{one}" for one in ("at", "epoch", "index")]
            bounds += f" AND ({_PLACE}) {sign} ({', '.join(f':{name}' for name in names)})"
            values |= dict(zip(names, place, strict=True))
    return bounds, values


def _used(query: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if f":{name}" in query}
