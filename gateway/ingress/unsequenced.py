"""Events that were accepted and are not in the log yet: so that a sender finds at once what it has sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Select, or_, select, text
from sqlmodel import Session, col

from audit import log as audit_log
from audit.checkpoint import split_origin
from audit.kinds import Kind
from audit.marks import search_hash, split_search
from audit.search import HistoryFilter
from gateway.event import Direction
from gateway.ingress.wording import evidence_members
from gateway.rows import ClaimRow

_MOST_READ: Final = 10_000
"""Of each topic, and of those without the broker's answer, the newest. There are few while all is well."""

# As the indexes have them, without parameters: no index is taken for a rule that a parameter may change.
_UNLOGGED: Final = text("state = 'confirmed' AND leaf_index IS NULL")
_UNCONFIRMED: Final = text("state = 'unconfirmed'")

_NAMES: Final = (
    "ref",
    "source",
    "event_id",
    "event_type",
    "direction",
    "at",
    "state",
    "partner",
    "content_sha256",
    "search",
)


Place = tuple[int, int]
"""Epoch and index in a log."""

WaitingKey = tuple[int, bytes]
"""Time and ref of the last one on a page: where the next page begins."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A claim that no log entry stands for yet. `at`: when it was signed, Unix milliseconds."""

    ref: bytes
    source: str
    id: str
    type: str
    direction: Direction
    at: int
    state: Literal["accepted", "unconfirmed"]


def find_unsequenced(
    session: Session,
    partner: str,
    topics: Sequence[str],
    wanted: HistoryFilter,
    limit: int,
    *,
    after: WaitingKey | None = None,
) -> list[Waiting]:
    """This partner's claims without a log entry, newest first; `topics`: its own.

    What costs: only claims that wait are read, however many were ever made. `after`: the last one that the
    page before has shown.
    """
    if wanted.is_void() or not _can_wait(wanted):
        return []
    needs_receipt = wanted.credential is not None
    found = [
        row
        for query in _queries(topics, needs_receipt=needs_receipt, until=None if after is None else after[0])
        for row in session.execute(query)
        if row.partner == partner and _fits(row, wanted)
        if after is None or (row.at, row.ref) < after
    ]
    # One that is confirmed between two queries is in both.
    newest = sorted({row.ref: row for row in found}.values(), key=lambda row: (row.at, row.ref), reverse=True)
    return [_waiting(row) for row in newest[:limit]]


def find_all_unsequenced(session: Session, wanted: HistoryFilter) -> list[tuple[str, Waiting]]:
    """All partners' claims without a log entry, newest first, each with whose it is.

    Of a ref one row is read; else as many of those that wait as of one topic in `find_unsequenced`.
    """
    if wanted.is_void() or not _can_wait(wanted):
        return []
    found = {
        row.ref: row
        for query in _queries_of_all(wanted)
        for row in session.execute(query)
        if _fits(row, wanted)
    }
    newest = sorted(found.values(), key=lambda row: (row.at, row.ref), reverse=True)
    return [(row.partner, _waiting(row)) for row in newest]


def end_of(session: Session, log: str) -> Place:
    """Where a log (its name without an epoch) ends: the place of its next entry."""
    known = audit_log.epochs(session, log)
    if not known:
        return 0, 0
    head = known[-1].head
    return split_origin(head.origin)[1], head.size


def is_any_unsequenced(session: Session, partner: str, since: int, until: int) -> bool:
    """Whether an event of a time was accepted that the log has not got yet; `until` is excluded."""
    at = col(ClaimRow.at)
    query = select(col(ClaimRow.ref)).where(
        _UNLOGGED, col(ClaimRow.partner) == partner, at >= since, at < until
    )
    return session.execute(query.limit(1)).first() is not None


def _can_wait(wanted: HistoryFilter) -> bool:
    """Whether an event can be wanted that has been accepted, and nothing more."""
    is_kind = wanted.kinds is None or Kind.ACCEPTED in wanted.kinds
    return is_kind and wanted.state in {None, "accepted"} and wanted.endpoint is None


def _queries(topics: Sequence[str], *, needs_receipt: bool, until: int | None) -> Iterator[Select[Any]]:
    """Each along an index that holds nothing but what waits. `until`: nothing later than that."""
    columns = [col(getattr(ClaimRow, name)) for name in (*_NAMES, *(["receipt"] if needs_receipt else []))]
    early = () if until is None else (col(ClaimRow.at) <= until,)
    yield (
        select(*columns)
        .where(_UNCONFIRMED, *early)
        .order_by(col(ClaimRow.lease_until).desc())
        .limit(_MOST_READ)
    )
    place = (col(ClaimRow.partition), col(ClaimRow.topic_id), col(ClaimRow.offset))
    for topic in topics:
        query = select(*columns).where(col(ClaimRow.topic) == topic, _UNLOGGED, *early)
        yield query.order_by(*(one.desc() for one in place)).limit(_MOST_READ)


def _queries_of_all(wanted: HistoryFilter) -> Iterator[Select[Any]]:
    columns = [col(getattr(ClaimRow, name)) for name in _NAMES]
    if wanted.ref is not None:
        waits = or_(_UNCONFIRMED, _UNLOGGED)
        yield select(*columns).where(col(ClaimRow.ref) == wanted.ref, waits)
        return
    place = (col(ClaimRow.topic), col(ClaimRow.partition), col(ClaimRow.topic_id), col(ClaimRow.offset))
    unconfirmed = select(*columns).where(_UNCONFIRMED).order_by(col(ClaimRow.lease_until).desc())
    yield unconfirmed.limit(_MOST_READ)
    unlogged = select(*columns).where(_UNLOGGED).order_by(*(one.desc() for one in place))
    yield unlogged.limit(_MOST_READ)


def _fits(row: Any, wanted: HistoryFilter) -> bool:
    given = (
        (row.event_id, wanted.id),
        (row.source, wanted.source),
        (row.ref, wanted.ref),
        (row.direction, wanted.direction),
        (row.event_type, wanted.type),
        (row.content_sha256, wanted.digest),
    )
    return (
        all(value in {None, own} for own, value in given)
        and (wanted.since is None or row.at >= wanted.since)
        and (wanted.until is None or row.at < wanted.until)
        and (wanted.key is None or search_hash(wanted.key) in split_search(row.search))
        and (wanted.credential is None or _sent_by(row.receipt) == wanted.credential)
    )


def _sent_by(receipt: str) -> str | None:
    credential: str | None = evidence_members(receipt)["auth"]["credential"]
    return credential


def _waiting(row: Any) -> Waiting:
    return Waiting(
        row.ref,
        row.source,
        row.event_id,
        row.event_type,
        "inbound" if row.direction == "inbound" else "outbound",
        row.at,
        "accepted" if row.state == "confirmed" else "unconfirmed",
    )
