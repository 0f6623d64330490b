"""What contracts agreed before, as their rows have it: forwards, and lines that are gone. Never commits."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import case, select
from sqlmodel import Session, col

from partners.contract import Line
from partners.directory import Directory
from partners.former import Former, former_lines
from partners.forwarding import Agreed, agreed
from partners.rows import ContractRow

_LINES: Final = TypeAdapter(tuple[Line, ...])
_FORWARDS: Final = '"forward":{'
"""In the text of lines, as they are stored, where there is one that forwards; in a string it is escaped."""

_CHUNK: Final = 500


def load_agreed(
    session: Session, in_force: Mapping[str, int], known: Directory | None
) -> Mapping[str, Mapping[tuple[str, str], Agreed]]:
    """By slug, of those that ever forwarded anything.

    `in_force`: the revision of each partner's contract. `known`: an earlier directory of this database.
    """
    found: dict[str, Mapping[tuple[str, str], Agreed]] = {}
    for slug, number in in_force.items():
        had = None if known is None else known.account(slug)
        if had is not None and had.contract is not None and had.contract.revision == number:
            found[slug] = had.forwards
    new, row = sorted(in_force.keys() - found.keys()), ContractRow
    has_any = col(row.lines).contains(_FORWARDS, autoescape=True)
    for start in range(0, len(new), _CHUNK):
        some = select(col(row.partner)).where(col(row.partner).in_(new[start : start + _CHUNK]), has_any)
        for slug in session.execute(some.distinct().order_by(col(row.partner))).scalars().all():
            lines = case((has_any, col(row.lines)), else_="[]")
            query = select(col(row.revision), col(row.applied_at), lines).where(
                col(row.partner) == slug, col(row.revision) <= in_force[slug]
            )
            revisions = session.execute(query.order_by(col(row.revision)))
            found[slug] = agreed((number, at, _LINES.validate_json(text)) for number, at, text in revisions)
    return found


def load_former(
    session: Session, in_force: Mapping[str, int], known: Directory | None
) -> Mapping[str, tuple[Former, ...]]:
    """By slug, the lines that its contract in force has no more; of those that had more than one contract.

    `in_force`, `known`: as of `load_agreed`. Of a partner that is known only later contracts are read.
    """
    found: dict[str, tuple[Former, ...]] = {}
    new: list[str] = []
    for slug, number in sorted(in_force.items()):
        had = None if known is None else known.account(slug)
        if had is None or had.contract is None or had.contract.revision > number:
            new += [slug] * (number > 1)
        elif had.contract.revision == number:
            found[slug] = had.former
        else:
            first = (had.contract.revision, 0, had.lines)
            later = _revisions(session, [slug], above=had.contract.revision)
            found[slug] = former_lines([first, *(one[1:] for one in later)], had.former)
    for start in range(0, len(new), _CHUNK):
        rows = _revisions(session, new[start : start + _CHUNK], above=0)
        for slug, some in groupby(rows, key=lambda one: one[0]):
            found[slug] = former_lines(one[1:] for one in some)
    return found


def _revisions(
    session: Session, slugs: Sequence[str], *, above: int
) -> Iterator[tuple[str, int, int, tuple[Line, ...]]]:
    """Contracts of these partners, oldest first: slug, revision, when it was applied, and lines."""
    row = ContractRow
    query = select(col(row.partner), col(row.revision), col(row.applied_at), col(row.lines)).where(
        col(row.partner).in_(slugs), col(row.revision) > above
    )
    last: tuple[str, tuple[Line, ...]] = ("[]", ())
    rows: Any = session.execute(query.order_by(col(row.partner), col(row.revision)))
    for slug, number, at, text in rows:
        if text != last[0]:  # most revisions change something else
            last = text, _LINES.validate_json(text)
        yield slug, number, at, last[1]
