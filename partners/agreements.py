"""What partners' contracts forward and forwarded, as their rows have it. Never commits."""

from collections.abc import Mapping
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import case, select
from sqlmodel import Session, col

from partners.contract import Line
from partners.directory import Directory
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
