"""Accepted events whose records were gone before they were read: retention took them, or somebody the topic.

A receipt was given for each, and its claim still holds it: the log gets its entry from there. What is lost is
the record, for whoever reads the topic; that is said, and nothing here brings it back.

One rule finds them: the sequencer moves over a record and marks its claim in one transaction, so a confirmed
claim without an entry lies ahead of where its topic is read, or its record will never be read. It is asked
where records are known to be gone, and of all plots now and then: an event may be confirmed long after its
topic was settled.
"""

import json
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnClause,
    Integer,
    Row,
    Select,
    String,
    and_,
    column,
    delete,
    func,
    literal,
    select,
    text,
    union_all,
)
from sqlmodel import Session, col

from audit.entry import draft_entry
from audit.receipt import parse_receipt
from gateway.broker.port import Position
from gateway.rows import ClaimRow, PositionRow
from gateway.sequencer.sighting import Accepted
from gateway.sequencer.territory import Plot

ORPHANS_AT_ONCE: Final = 5_000
"""Entries that one transaction makes of them."""

_UNLOGGED: Final = text("state = 'confirmed' AND leaf_index IS NULL")
"""As the index has it, without parameters: databases take no index for a rule that a parameter may change."""

_COLUMNS: Final = (
    col(ClaimRow.ref),
    col(ClaimRow.receipt),
    col(ClaimRow.topic),
    col(ClaimRow.topic_id),
    col(ClaimRow.partition),
    col(ClaimRow.offset),
    col(ClaimRow.search),
)


@dataclass(frozen=True, slots=True)
class Gone:
    """Records of a plot that cannot be read any more.

    `hole`: offsets from the first up to, not with, the second. None: all of former topics of this name, the
    present one read up to where it stood when it was found.
    """

    plot: Plot
    hole: tuple[int, int] | None


def find_orphans(
    session: Session, reached: Mapping[Plot, int], *, limit: int = ORPHANS_AT_ONCE
) -> dict[Plot, list[Accepted]]:
    """Acknowledged events of these plots, oldest first, without an entry whose records nobody will read.

    `reached`: how far each was read, as it is stored, or where reading will go on. Those of a former topic
    are among them: where the present one holds their records after all, they will be found to have their
    entries. `limit`: about how many, in all.
    """
    return _find(session, reached, operator.lt, limit)


def find_behind(
    session: Session, ends: Mapping[Plot, int], *, limit: int = ORPHANS_AT_ONCE
) -> dict[Plot, list[Accepted]]:
    """As `find_orphans`, of plots that have lost records: all at their ends, or behind. `ends`: offsets."""
    return _find(session, ends, operator.ge, limit)


def still_behind(
    found: Mapping[Plot, Sequence[Accepted]], ends: Mapping[Plot, int]
) -> dict[Plot, list[Accepted]]:
    """Those of what was found that lie behind these later ends, too; where an end is not known, none."""
    left = {
        plot: [one for one in some if _is_at(one.position, plot, ends[plot])]
        for plot, some in found.items()
        if plot in ends
    }
    return {plot: some for plot, some in left.items() if some}


def _is_at(position: Position, plot: Plot, end: int) -> bool:
    return position.topic_id != plot.topic_id or position.offset >= end


def _find(
    session: Session, bounds: Mapping[Plot, int], lies: Callable[[Any, Any], Any], limit: int
) -> dict[Plot, list[Accepted]]:
    plots = {(plot.topic, plot.partition): plot for plot in bounds}
    given = [(plot.topic, plot.partition, plot.topic_id, offset) for plot, offset in bounds.items()]
    reach = (_listed if session.get_bind().dialect.name == "postgresql" else _in_json)(given)
    found: dict[Plot, list[Accepted]] = {}
    for row in session.execute(_unread(reach, lies).limit(limit)):
        found.setdefault(plots[row.topic, row.partition], []).append(_accepted(row))
    return found


# Of rows in the statement itself, SQLAlchemy made a new text each time: of a thousand in a sixth of a second.
_BOUND: Final[tuple[ColumnClause[Any], ...]] = (
    column("topic", String),
    column("partition", Integer),
    column("topic_id", String),
    column("next", BigInteger),
)


def _listed(given: Sequence[tuple[str, int, str, int]]) -> CTE:
    """Bounds as PostgreSQL's arrays, one a column."""
    arrays = [
        literal([one[at] for one in given], ARRAY(each.type)).label(each.name)
        for at, each in enumerate(_BOUND)
    ]
    rows = func.unnest(*arrays).table_valued(*_BOUND, name="given").render_derived()
    return select(rows).cte("reached")


def _in_json(given: Sequence[tuple[str, int, str, int]]) -> CTE:
    """Bounds as one text of JSON, for SQLite."""
    rows = func.json_each(literal(json.dumps(given), String)).table_valued("value")
    columns = [
        func.json_extract(rows.c.value, f"$[{at}]", type_=each.type).label(each.name)
        for at, each in enumerate(_BOUND)
    ]
    return select(*columns).cte("reached")


def _unread(reached: CTE, lies: Callable[[Any, Any], Any]) -> Select[Any]:
    """Three ranges of one index for each plot: whatever waits to be read lies in none of them.

    `lies`: how offsets of the present topic that nobody will read compare with a bound.
    """
    reach, topic_id = reached.c, col(ClaimRow.topic_id)
    ranges = (
        topic_id < reach.topic_id,
        topic_id > reach.topic_id,
        and_(topic_id == reach.topic_id, lies(col(ClaimRow.offset), reach.next)),
    )
    there = and_(col(ClaimRow.topic) == reach.topic, col(ClaimRow.partition) == reach.partition, _UNLOGGED)
    parts = [select(*_COLUMNS, col(ClaimRow.at)).where(there, within) for within in ranges]
    found = union_all(*parts).subquery()
    return select(found).order_by(found.c.at, found.c.ref)


def _accepted(row: Row[Any]) -> Accepted:
    position = Position(row.topic_id, row.partition, row.offset)
    draft = draft_entry(parse_receipt(row.receipt.encode()).evidence, row.search)
    return Accepted(row.ref, row.receipt, position, draft)


def renewed_plots(session: Session, role: str, plots: Iterable[Plot]) -> list[Plot]:
    """Those plots whose topic's name stood for another topic before, which `role` had read."""
    wanted = list(plots)
    if not wanted:
        return []
    columns = (col(PositionRow.topic), col(PositionRow.partition), col(PositionRow.topic_id))
    ids: dict[tuple[str, int], set[str]] = {}
    for topic, partition, topic_id in session.execute(select(*columns).where(col(PositionRow.role) == role)):
        ids.setdefault((topic, partition), set()).add(topic_id)
    return [plot for plot in wanted if ids.get((plot.topic, plot.partition), set()) - {plot.topic_id}]


def forget_former(session: Session, role: str, plots: Sequence[Plot]) -> None:
    """Delete the positions in former topics: what was accepted there has its entries."""
    for plot in plots:
        session.execute(
            delete(PositionRow).where(
                col(PositionRow.role) == role,
                col(PositionRow.topic) == plot.topic,
                col(PositionRow.partition) == plot.partition,
                col(PositionRow.topic_id) != plot.topic_id,
            )
        )


def words_of(gone: Gone, count: int) -> str:
    """What an operator should know."""
    plot = gone.plot
    where = f"{plot.topic} [{plot.partition}]"
    kept = (
        f"{count} accepted events among them had no log entry yet and have it now, made from their claims; "
        "their records stay lost: whoever reads the topic has to get them from the sender"
        if count
        else "every accepted event among them has its log entry; whoever had not read their records yet has "
        "to get them from the sender"
    )
    if gone.hole is None:
        return f"{where} was deleted and made again, and the records of the former topic are gone; {kept}"
    first, end = gone.hole
    return (
        f"{where}: retention took the records from offset {first} to {end} before they were logged; {kept}. "
        "Raise broker.retention, and the topic's retention.ms and retention.bytes"
    )


def words_of_strays(plot: Plot, count: int) -> str:
    """What an operator should know of accepted events that were found later than what they were lost with."""
    return (
        f"{plot.topic} [{plot.partition}]: {count} accepted events had no log entry, and their records can "
        "not be read any more: the topic was deleted, or cut, while they were being accepted. They have "
        "their entries now, made from their claims; whoever reads the topic has to get them from the sender"
    )
