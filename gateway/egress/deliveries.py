"""What waits to be delivered, in SQL, as a relay finds it; what ended badly, until it is past its time.

What a relay decides is written by `ticks`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import (
    ColumnElement,
    delete,
    func,
    select,
)
from sqlmodel import Session, col

from audit.arrays import table_of
from audit.bulk import find_rows_at
from audit.holds import is_held
from gateway import facts
from gateway.database import Database
from gateway.egress import replay_store, traces
from gateway.egress.backlog import Span
from gateway.egress.breaker import Breaker
from gateway.egress.delivery import Delivery
from gateway.egress.locking import AT_PLACE, Place
from gateway.egress.resting import Rows
from gateway.egress.saved_delivery import COLUMNS, NAMES, delivery_of, named
from gateway.leases import Lease, await_former
from gateway.positions import Progress, load_all, owner_in, share
from gateway.rows import BacklogRow, DeliveryRow
from partners import store
from partners.endpoint import Endpoint, house_of, party_of
from partners.tombstone import read_tombstone

ROLE = "relay"
_CHUNK = 500
_MANY = 100
"""Deliveries of one owner: some milliseconds."""
_FROM_START = Progress(0)
_WAITING = ("pending", "held")


@dataclass(frozen=True, slots=True)
class Stored:
    """What a shard finds when it is taken: progress by topic id and partition, deliveries, ranges.

    `resting`: by endpoint, what is read on later. `breakers`: of endpoints whose last answer was no 2xx.
    `cancelled`: endpoints and refs of what was given up and whose records may be read again.
    """

    progress: dict[tuple[str, int], Progress]
    deliveries: tuple[Delivery, ...]
    spans: tuple[Span, ...]
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    cancelled: frozenset[tuple[str, bytes]] = frozenset()
    resting: Mapping[str, Rows] = field(default_factory=dict)


async def load_alone(database: Database, lease: Lease, partners: Mapping[str, str]) -> Stored:
    """As `load`, and nothing else is under way that was decided for this shard.

    Raises:
        LeaseLostError: the shard is another's.
        StoreError: the database is away, or what is under way does not end.
    """
    await database.write(partial(await_former, lease=lease))
    return await database.read(partial(load, partners=partners))


def load(session: Session, partners: Mapping[str, str]) -> Stored:
    """What waits for these partners, named with their outbound topics: for whichever endpoint, there or gone.

    Bodies are left out; deliveries come oldest position first. Of an owner for whom much waits, those without
    an order are left in their rows.
    """
    owners = [*partners, *map(house_of, partners)]
    many = _with_many(session, owners)
    deliveries = [
        *_load_deliveries(session, [each for each in owners if each not in many]),
        *_load_deliveries(session, sorted(many), are_ordered=True),
    ]
    resting = _load_resting(session, sorted(many))
    spans = (*_load_spans(session, partners.values()), *_load_shared(session, owners))
    progress = dict(load_all(session, ROLE))
    cancelled = frozenset(_load_cancelled(session, owners, spans, progress))
    breakers = traces.load_breakers(session)
    return Stored(progress, tuple(deliveries), spans, breakers, cancelled, resting)


def load_many(session: Session, partners: Sequence[str]) -> frozenset[str]:
    """Those of these partners for whom so much waits that it takes a while to load."""
    return frozenset(party_of(each)[0] for each in _with_many(session, [*partners, *map(house_of, partners)]))


def load_gone(session: Session, strangers: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """Those of these endpoints, named with their partners, that are no more.

    Today's directory may lag behind SQL, so only SQL can tell one that is gone from one that is new. Of a
    gone one only its types and filter are known; where even they are not, everything counts as owed to it.
    """
    there = store.known_endpoints(session, strangers)
    return tuple(
        read_tombstone(endpoint, partner, facts.load(session, f"removed.{endpoint}") or "")
        for endpoint, partner in strangers.items()
        if endpoint not in there
    )


def load_bodies(session: Session, places: Sequence[tuple[str, bytes]]) -> dict[tuple[str, bytes], bytes]:
    """The bodies of saved deliveries, by endpoint and ref; without those whose rows wait no more."""
    names = ("endpoint", "ref", "payload", "state")
    found = find_rows_at(session, DeliveryRow, names, keys=("endpoint", "ref"), among=places)
    return {(endpoint, ref): body for endpoint, ref, body, state in found if state in _WAITING}


def load_places(session: Session, places: Sequence[Place]) -> dict[Place, Delivery]:
    """What these rows say, without bodies, by endpoint and ref; without those that wait no more."""
    rows = map(named, find_rows_at(session, DeliveryRow, NAMES, keys=("endpoint", "ref"), among=places))
    waiting = (row for row in rows if row.state in _WAITING)
    return {(row.endpoint, row.ref): delivery_of(row, wanted_at=row.updated_at) for row in waiting}


def load_states(session: Session, refs: Sequence[bytes]) -> dict[tuple[str, bytes], str]:
    """The states of the rows of these events, by endpoint and ref."""
    found: dict[tuple[str, bytes], str] = {}
    columns = (col(DeliveryRow.endpoint), col(DeliveryRow.ref), col(DeliveryRow.state))
    for start in range(0, len(refs), _CHUNK):
        query = select(*columns).where(col(DeliveryRow.ref).in_(refs[start : start + _CHUNK]))
        found |= {(endpoint, ref): state for endpoint, ref, state in session.execute(query)}
    return found


def purge(session: Session, *, before: int) -> int:
    """Delete some of what is older: deliveries that ended badly, excerpts, replays; evidence stays.

    What an open replay may be sending stays: its row is to say so; and what a legal hold is on. Returns how
    many there were of which there may be more.
    """
    row = DeliveryRow
    is_over = col(row.state).in_(("parked", "cancelled"))
    is_old = col(row.updated_at) < before
    held = is_held(col(row.partner), col(row.ref), col(row.created_at)).correlate(row)
    old = select(col(row.endpoint), col(row.ref)).where(
        is_over, is_old, ~replay_store.is_in_open().correlate(row), ~held
    )
    # What somebody else works on, an erasure say, stays for another round; nobody is waited for.
    some = session.execute(old.limit(_CHUNK).with_for_update(skip_locked=True)).all()
    if some:
        keys = [{"at_endpoint": endpoint, "at_ref": ref} for endpoint, ref in some]
        session.connection().execute(delete(row).where(*AT_PLACE), keys)
    replay_store.purge(session, before=before)
    return len(some) + traces.purge_excerpts(session, before=before)


def _with_many(session: Session, owners: Sequence[str]) -> set[str]:
    owner, waits = col(DeliveryRow.partner), col(DeliveryRow.state).in_(_WAITING)
    many: set[str] = set()
    for start in range(0, len(owners), _CHUNK):
        query = select(owner).where(owner.in_(owners[start : start + _CHUNK]), waits)
        many.update(session.execute(query.group_by(owner).having(func.count() > _MANY)).scalars())
    return many


def _load_deliveries(
    session: Session, owners: Sequence[str], *, are_ordered: bool = False
) -> Iterator[Delivery]:
    """`are_ordered`: those alone that go out in an order."""
    row = DeliveryRow
    for start in range(0, len(owners), _CHUNK):
        is_ours = col(row.partner).in_(owners[start : start + _CHUNK])
        query = select(*COLUMNS).where(is_ours, col(row.state).in_(_WAITING))
        if are_ordered:
            query = query.where(col(row.order_key).is_not(None))
        ordered = query.order_by(col(row.topic_id), col(row.partition), col(row.offset))
        for found in session.execute(ordered):
            yield delivery_of(found, wanted_at=found.updated_at)


def _load_resting(session: Session, owners: Sequence[str]) -> dict[str, Rows]:
    """What waits in no order, by endpoint: what is due first comes first."""
    columns = table_of(DeliveryRow).columns
    found: dict[str, Rows] = {}
    for owner in owners:
        query = (
            select(columns.endpoint, columns.ref, columns.next_at)
            .where(columns.partner == owner, columns.state.in_(_WAITING), columns.order_key.is_(None))
            .order_by(columns.next_at, columns.ref)
        )
        for endpoint, ref, next_at in session.connection().execute(query):
            rows = found.get(endpoint) or found.setdefault(endpoint, Rows(owner, {}))
            rows.due[ref] = next_at
    return found


def _load_cancelled(
    session: Session,
    owners: Collection[str],
    spans: Iterable[Span],
    progress: Mapping[tuple[str, int], Progress],
) -> Iterator[tuple[str, bytes]]:
    """What was given up and lies where reading begins again: in a range, or in a partition not settled."""
    begins = {(each.endpoint, each.topic_id, each.partition): each.start for each in spans}
    row = DeliveryRow
    columns = (col(row.endpoint), col(row.ref), col(row.topic_id), col(row.partition), col(row.offset))
    names = list(owners)
    for start in range(0, len(names), _CHUNK):
        is_ours = col(row.partner).in_(names[start : start + _CHUNK])
        mine = select(*columns).where(is_ours, col(row.state) == "cancelled")
        for endpoint, ref, topic_id, partition, offset in session.execute(mine):
            first = progress.get((topic_id, partition), _FROM_START).next
            if offset >= min(first, begins.get((endpoint, topic_id, partition), first)):
                yield endpoint, ref


def _load_spans(session: Session, topics: Iterable[str]) -> tuple[Span, ...]:
    wanted = col(BacklogRow.topic).in_(list(topics))
    return tuple(each for each in _spans(session, wanted) if owner_in(each.topic_id) is None)


def _load_shared(session: Session, owners: Collection[str]) -> tuple[Span, ...]:
    """Ranges of topics that are read for these owners among others."""
    found = _spans(session, col(BacklogRow.topic_id).contains(share("", "")))
    return tuple(each for each in found if owner_in(each.topic_id) in owners)


def _spans(session: Session, wanted: ColumnElement[bool]) -> Iterator[Span]:
    row = BacklogRow
    columns = (
        col(row.endpoint),
        col(row.topic),
        col(row.topic_id),
        col(row.partition),
        col(row.from_offset),
        col(row.to_offset),
        col(row.events),
        col(row.began_at),
    )
    for found in session.execute(select(*columns).where(wanted)):
        yield Span(*found)
