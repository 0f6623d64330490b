"""Accepted events whose records were gone before they were read: retention took them, or somebody the topic.

A receipt was given for each, and its claim still holds it: the log gets its entry from there. What is lost is
the record, for whoever reads the topic; that is said, and nothing here brings it back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, select, text
from sqlmodel import Session, col

from audit.entry import draft_entry
from audit.receipt import parse_receipt
from gateway.broker.port import Position
from gateway.errors import BugError
from gateway.rows import ClaimRow, PositionRow
from gateway.sequencer.sighting import Accepted
from gateway.sequencer.territory import Plot

ORPHANS_AT_ONCE: Final = 5_000
"""Entries that one transaction makes of them."""

_UNLOGGED: Final = text("state = 'confirmed' AND leaf_index IS NULL")
"""As the index has it, without parameters: databases take no index for a rule that a parameter may change."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Records of a plot that cannot be read any more.

    `hole`: offsets from the first up to, not with, the second. None: all of former topics of this name, the
    present one read up to where it stood when it was found.
    """

    plot: Plot
    hole: tuple[int, int] | None


def find_orphans(session: Session, gone: Gone, *, limit: int = ORPHANS_AT_ONCE) -> list[Accepted]:
    """Acknowledged events among what is gone that have no entry yet, oldest first."""
    plot = gone.plot
    rows = session.execute(
        select(
            col(ClaimRow.ref),
            col(ClaimRow.receipt),
            col(ClaimRow.topic_id),
            col(ClaimRow.partition),
            col(ClaimRow.offset),
        )
        .where(
            col(ClaimRow.topic) == plot.topic,
            col(ClaimRow.partition) == plot.partition,
            _UNLOGGED,
            _is_within(gone),
        )
        .order_by(col(ClaimRow.at), col(ClaimRow.ref))
        .limit(limit)
    )
    return [
        Accepted(
            ref,
            receipt,
            Position(topic_id, partition, offset),
            draft_entry(parse_receipt(receipt.encode()).evidence),
        )
        for ref, receipt, topic_id, partition, offset in rows
    ]


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


def _is_within(gone: Gone) -> ColumnElement[bool]:
    if gone.hole is None:
        return col(ClaimRow.topic_id) != gone.plot.topic_id
    first, end = gone.hole
    if first > end:
        raise BugError(f"a hole from {first} to {end} is none")
    offset = col(ClaimRow.offset)
    return and_(col(ClaimRow.topic_id) == gone.plot.topic_id, offset >= first, offset < end)
