"""What is not delivered, and why: rows of single deliveries, and ranges of backlogs, as lists.

What is in a lane's memory for the first time has neither yet, for up to about two seconds; it is on its way.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, and_, case, false, func, not_, or_, select, true, tuple_
from sqlmodel import Session, col

from gateway.egress.breaker import Breaker
from gateway.egress.lane import SAVED_LIMIT, UNORDERED_LIMIT
from gateway.egress.saved_delivery import COLUMNS
from gateway.positions import share
from gateway.rows import BacklogRow, DeliveryRow
from partners.endpoint import ALL, Endpoint, house_of, party_of
from partners.owners import is_of
from partners.partner import Partner

State = Literal["pending", "held", "parked", "cancelled"]
STATES: Final[tuple[State, ...]] = ("pending", "held", "parked", "cancelled")

HOLDS: Final = ("paused", "disabled", "unverified", "breaker")
"""Why deliveries are held: what their endpoint is, or that it does not answer."""

CROWDED: Final = "retries"
"""Why a range waits whose endpoint is sent retries: so many of these wait that nothing new is begun with."""

_WAITING: Final = ("pending", "held")
_FEW_REFS: Final = 500

RowKey = tuple[int, str, bytes]
"""Time, endpoint and ref of a row: pages go by it, newest first."""

RangeKey = tuple[str, str, int]
"""Endpoint, topic id, partition."""


@dataclass(frozen=True, slots=True)
class Single:
    """One delivery that has a row. `reason`: why it is held, or how its last attempt ended.

    `since`: when it got its row; `next_at`: not before, of one that waits for its next attempt; None of one
    that waits for its turn.
    """

    partner: str
    endpoint: str
    ref: bytes
    source: str
    event_id: str
    event_type: str
    state: State
    reason: str | None
    attempts: int
    next_at: int | None
    since: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """What waits for an endpoint in a range of offsets. `events`: at least so many of them are its own."""

    endpoint: str
    topic: str
    topic_id: str
    partition: int
    start: int
    end: int
    events: int
    state: State
    reason: str | None
    since: int | None

    @property
    def key(self) -> RangeKey:
        """What tells it from others."""
        return self.endpoint, self.topic_id, self.partition


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which. `owner`: whose endpoints, as in `is_of`. `holds`: which are sent nothing now, and why.

    `topics`: outbound topics of the partners; `states` empty: all. `house`: endpoints of the house: the only
    ones where it is the owner, else nobody's business here.
    """

    owner: str
    holds: Mapping[str, str]
    topics: Collection[str]
    states: frozenset[str] = frozenset()
    reason: str | None = None
    endpoint: str | None = None
    event_type: str | None = None
    since: int | None = None
    house: frozenset[str] = frozenset()

    def has(self, state: str) -> bool:
        """Whether deliveries of this state are wanted."""
        return not self.states or state in self.states


def find_holds(
    accounts: Iterable[tuple[Partner, Sequence[Endpoint]]], breakers: Mapping[str, Breaker]
) -> dict[str, str]:
    """Which endpoints are sent nothing now, and why. Those of a partner that is suspended count as paused."""
    found: dict[str, str] = {}
    for partner, endpoints in accounts:
        for one in endpoints:
            if one.state != "active":
                found[one.id] = one.state
            elif partner.state != "active" and one.side == "partner":
                found[one.id] = "paused"
            elif breakers.get(one.id, Breaker()).is_open:
                found[one.id] = "breaker"
    return found


def find_singles(session: Session, wanted: Wanted, *, after: RowKey | None, limit: int) -> list[Single]:
    """Deliveries that have rows, newest first."""
    row = DeliveryRow
    place = (col(row.created_at), col(row.endpoint), col(row.ref))
    query = select(*COLUMNS).where(is_of(col(row.partner), wanted.owner), _states(wanted))
    equal = {"endpoint": wanted.endpoint, "event_type": wanted.event_type}
    for name, value in equal.items():
        if value is not None:
            query = query.where(getattr(row, name) == value)
    if wanted.since is not None:
        query = query.where(place[0] >= wanted.since)
    if after is not None:
        query = query.where(tuple_(*place) < tuple_(*after))
    query = query.order_by(*(column.desc() for column in place)).limit(limit)
    return [_single(found, wanted.holds) for found in session.execute(query)]


def find_single(session: Session, endpoint: str, ref: bytes, holds: Mapping[str, str]) -> Single | None:
    """One delivery's row."""
    row = DeliveryRow
    found = session.execute(
        select(*COLUMNS).where(col(row.endpoint) == endpoint, col(row.ref) == ref)
    ).first()
    return None if found is None else _single(found, holds)


def find_ahead(session: Session, endpoint: str, ref: bytes) -> bytes | None:
    """The ref of the first that goes before a delivery in its order, and waits.

    None: nothing does, or it has no order. What was parked goes behind all that waits.
    """
    row = DeliveryRow
    at = (col(row.topic_id), col(row.partition), col(row.order_key))
    mine = session.execute(
        select(*at, col(row.offset), col(row.state)).where(col(row.endpoint) == endpoint, col(row.ref) == ref)
    ).first()
    if mine is None or mine.order_key is None or mine.state == "cancelled":
        return None
    query = select(col(row.ref)).where(
        col(row.endpoint) == endpoint,
        col(row.ref) != ref,
        col(row.state).in_(_WAITING),
        *(column == value for column, value in zip(at, mine, strict=False)),
    )
    if mine.state in _WAITING:
        query = query.where(col(row.offset) < mine.offset)
    return session.execute(query.order_by(col(row.offset)).limit(1)).scalar()


def having_rows(session: Session, pairs: Collection[tuple[str, bytes]]) -> frozenset[tuple[str, bytes]]:
    """Those of these endpoints and refs that have a row, in whichever state."""
    refs, row = sorted({ref for _, ref in pairs}), DeliveryRow
    found: set[tuple[str, bytes]] = set()
    for start in range(0, len(refs), _FEW_REFS):
        some = col(row.ref).in_(refs[start : start + _FEW_REFS])
        found |= {
            (one, ref) for one, ref in session.execute(select(col(row.endpoint), col(row.ref)).where(some))
        }
    return frozenset(found) & frozenset(pairs)


def find_ranges(session: Session, wanted: Wanted, *, after: RangeKey | None, limit: int) -> list[Stretch]:
    """Ranges of backlogs, by endpoint. Of which types their events are nobody knows yet."""
    row = BacklogRow
    query = select(row).where(_ranges_of(wanted))
    if wanted.endpoint is not None:
        query = query.where(col(row.endpoint) == wanted.endpoint)
    if wanted.since is not None:
        # Its newest event is as old as the range at least; its oldest may be older.
        query = query.where(or_(col(row.began_at) >= wanted.since, col(row.began_at) == 0))
    held = [endpoint for endpoint, why in wanted.holds.items() if wanted.reason in {None, why}]
    conditions: list[ColumnElement[bool]] = [false()]
    if wanted.has("held"):
        conditions.append(col(row.endpoint).in_(held))
    if wanted.has("pending") and wanted.reason in {None, CROWDED}:
        is_free = col(row.endpoint).not_in(list(wanted.holds))
        is_one = true() if wanted.reason is None else col(row.endpoint).in_(_crowded(wanted))
        conditions.append(and_(is_free, is_one))
    query = query.where(or_(*conditions))
    place = (col(row.endpoint), col(row.topic_id), col(row.partition))
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(*after))
    rows = session.execute(query.order_by(*place).limit(limit)).scalars().all()
    free = {found.endpoint for found in rows} - wanted.holds.keys()
    crowded = _crowded(wanted).where(col(DeliveryRow.endpoint).in_(sorted(free)))
    full = dict.fromkeys(session.execute(crowded).scalars() if free else (), CROWDED)
    return [_stretch(found, {**full, **wanted.holds}) for found in rows]


def _crowded(wanted: Wanted) -> Select[str]:
    """Endpoints of which so much waits for a retry that their lanes take hardly anything new."""
    row = DeliveryRow
    query = select(col(row.endpoint))
    query = query.where(col(row.state).in_(_WAITING), is_of(col(row.partner), wanted.owner))
    most = case((func.count(col(row.order_key)) > 0, SAVED_LIMIT), else_=UNORDERED_LIMIT)
    return query.group_by(col(row.endpoint)).having(func.count() * 10 >= most * 9)


def _ranges_of(wanted: Wanted) -> ColumnElement[bool]:
    """Those of the partners' own topics, and of others' topics that are read for them; or the house's."""
    topic_id, of_house = col(BacklogRow.topic_id), col(BacklogRow.endpoint).in_(sorted(wanted.house))
    partner, side = party_of(wanted.owner)
    if side == "house":
        return of_house
    is_shared = topic_id.contains(share("", ""), autoescape=True)
    if partner != ALL:
        shared = topic_id.endswith(share("", wanted.owner), autoescape=True)
    else:
        shared = and_(is_shared, not_(topic_id.contains(share("", house_of("")), autoescape=True)))
    own = and_(col(BacklogRow.topic).in_(sorted(wanted.topics)), not_(is_shared))
    return and_(or_(own, shared), not_(of_house))


def _states(wanted: Wanted) -> ColumnElement[bool]:
    row, holds = DeliveryRow, wanted.holds
    is_waiting, failed = col(row.state).in_(_WAITING), col(row.reason)
    is_free = col(row.endpoint).not_in(list(holds))
    parts: list[ColumnElement[bool]] = [false()]
    if wanted.has("held"):
        held = [endpoint for endpoint, why in holds.items() if wanted.reason in {None, why}]
        parts.append(and_(is_waiting, col(row.endpoint).in_(held)))
    if wanted.has("pending"):
        parts.append(and_(is_waiting, is_free, *_having(failed, wanted.reason)))
    ended = [state for state in ("parked", "cancelled") if wanted.has(state)]
    return or_(*parts, and_(col(row.state).in_(ended), *_having(failed, wanted.reason)))


def _having(column: Any, reason: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if reason is None else (column == reason,)


def _single(found: Any, holds: Mapping[str, str]) -> Single:
    state: State = found.state
    reason = found.reason
    if state in _WAITING:
        why = holds.get(found.endpoint)
        state, reason = ("pending", reason) if why is None else ("held", why)
    return Single(
        partner=found.partner,
        endpoint=found.endpoint,
        ref=found.ref,
        source=found.source,
        event_id=found.event_id,
        event_type=found.event_type,
        state=state,
        reason=reason,
        attempts=found.attempts,
        next_at=found.next_at or None if state == "pending" else None,
        since=found.created_at,
        updated_at=found.updated_at,
    )


def _stretch(row: BacklogRow, holds: Mapping[str, str]) -> Stretch:
    why = holds.get(row.endpoint)
    return Stretch(
        endpoint=row.endpoint,
        topic=row.topic,
        topic_id=row.topic_id,
        partition=row.partition,
        start=row.from_offset,
        end=row.to_offset,
        events=row.events,
        state="pending" if why in {None, CROWDED} else "held",
        reason=why,
        since=row.began_at or None,
    )
