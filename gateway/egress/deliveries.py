"""What the relay decided, in SQL: one transaction a tick, all of it or nothing.

A tick holds everything since the last: evidence, delivery rows, backlog ranges, positions. Nothing is written
before the lease's epoch is compared in the same transaction.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    String,
    and_,
    bindparam,
    case,
    delete,
    insert,
    select,
    tuple_,
    update,
)
from sqlmodel import Session, col

from audit import log
from audit.evidence import Kind
from audit.holds import is_held
from audit.ref import format_ref
from audit.store import Pending
from gateway import facts
from gateway.announcements import Announcement, announce_once
from gateway.egress import asking, replay_store, traces
from gateway.egress.backlog import Span
from gateway.egress.breaker import Breaker
from gateway.egress.delivery import Delivery
from gateway.egress.replay import Step
from gateway.egress.saved_delivery import COLUMNS, delivery_of
from gateway.egress.traces import Excerpt
from gateway.happenings import DELIVERY_PARKED
from gateway.leases import Lease
from gateway.positions import Move, Progress, advance, load_all, owner_in, share
from gateway.rows import BacklogRow, DeliveryRow
from partners import store
from partners.endpoint import Endpoint, house_of
from partners.errors import NotFoundError
from partners.onboarding import disable_endpoint
from partners.tombstone import read_tombstone

ROLE = "relay"
_CHUNK = 500
_FROM_START = Progress(0)

State = Literal["pending", "held", "parked"]
"""What the relay makes of a row; `cancelled` is somebody else's word, and stays."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A delivery that gets a row, or whose row changes: `body` of a new one must be there."""

    delivery: Delivery
    state: State
    reason: str | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Everything that one shard decided since its last tick.

    `disabled`: owner, endpoint, and the URL that failed. `told`: events of the gateway's own. `excerpts`: of
    answers; `breakers`: as they are now, by endpoint; `heard`: what was asked of rows, and when; `steps`: of
    replays.
    """

    lease: Lease
    evidence: tuple[Pending, ...]
    saved: tuple[Saved, ...]
    finished: tuple[tuple[str, bytes], ...]
    spans: tuple[Span, ...]
    drained: tuple[tuple[str, str, int], ...]
    moves: tuple[Move, ...]
    disabled: tuple[tuple[str, str, str], ...]
    excerpts: tuple[Excerpt, ...] = ()
    breakers: tuple[tuple[str, Breaker], ...] = ()
    heard: tuple[tuple[str, bytes, int], ...] = ()
    steps: tuple[Step, ...] = ()
    told: tuple[Announcement, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """What a shard finds when it is taken: progress by topic id and partition, deliveries, ranges.

    `breakers`: of endpoints whose last answer was no 2xx. `cancelled`: endpoints and refs of what was given
    up and whose records may be read again.
    """

    progress: dict[tuple[str, int], Progress]
    deliveries: tuple[Delivery, ...]
    spans: tuple[Span, ...]
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    cancelled: frozenset[tuple[str, bytes]] = frozenset()


def write_tick(session: Session, tick: Tick, *, now: int) -> None:
    """Write one tick in the caller's transaction.

    Raises:
        LeaseLostError: the shard is another's: roll back and drop the shard.
        PositionMovedError: another reader moved a position: as above.
    """
    advance(session, tick.lease, tick.moves)
    tick = _without_given_up(session, tick)
    log.submit_all(session, tick.evidence)
    _write_rows(session, tick, now)
    _write_spans(session, tick)
    for told in tick.told:
        announce_once(session, told)
    traces.write_excerpts(session, tick.excerpts)
    traces.write_breakers(session, tick.breakers)
    asking.settle(session, tick.heard)
    replay_store.write_steps(session, tick.steps, now=now)
    traces.forget_breakers(session, [endpoint for _, endpoint, _ in tick.disabled])
    for owner, endpoint, url in tick.disabled:
        with suppress(NotFoundError):  # removed meanwhile: nothing is left to disable
            disable_endpoint(session, owner, endpoint, url)


def _without_given_up(session: Session, tick: Tick) -> Tick:
    """What somebody gave up during its last attempt is cancelled already, and not said to be parked too."""
    parked = {(one.delivery.endpoint, one.delivery.ref) for one in tick.saved if one.state == "parked"}
    parked -= {(one.delivery.endpoint, one.delivery.ref) for one in tick.saved if one.is_new}
    given_up = _lock_cancelled(session, sorted(parked))
    if not given_up:
        return tick
    named = {(endpoint, format_ref(ref)) for endpoint, ref in given_up}

    def is_said(members: Mapping[str, Any]) -> bool:
        return (members.get("endpoint"), members.get("ref")) in named

    evidence = (
        one
        for one in tick.evidence
        if one.evidence.kind is not Kind.PARKED or not is_said(one.evidence.members)
    )
    told = (one for one in tick.told if one.type != DELIVERY_PARKED or not is_said(json.loads(one.data)))
    return replace(tick, evidence=tuple(evidence), told=tuple(told))


def _lock_cancelled(session: Session, pairs: Sequence[tuple[str, bytes]]) -> set[tuple[str, bytes]]:
    """Those of these rows that were given up; nobody gives up another of them until the transaction ends."""
    row, found = DeliveryRow, set[tuple[str, bytes]]()
    columns = (col(row.endpoint), col(row.ref), col(row.state))
    for start in range(0, len(pairs), _CHUNK):
        some = pairs[start : start + _CHUNK]
        query = select(*columns).where(
            col(row.endpoint).in_({endpoint for endpoint, _ in some}),
            col(row.ref).in_([ref for _, ref in some]),
        )
        locked = session.execute(query.order_by(col(row.endpoint), col(row.ref)).with_for_update())
        found |= {(endpoint, ref) for endpoint, ref, state in locked if state == "cancelled"}
    return found & set(pairs)


def load(session: Session, partners: Mapping[str, str]) -> Stored:
    """What waits for these partners, named with their outbound topics: for whichever endpoint, there or gone.

    Bodies are left out; deliveries come oldest position first.
    """
    deliveries: list[Delivery] = []
    owners = [*partners, *map(house_of, partners)]
    for owner in owners:
        deliveries += _load_deliveries(session, owner)
    spans = (*_load_spans(session, partners.values()), *_load_shared(session, owners))
    progress = dict(load_all(session, ROLE))
    cancelled = frozenset(_load_cancelled(session, owners, spans, progress))
    return Stored(progress, tuple(deliveries), spans, traces.load_breakers(session), cancelled)


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
    place = (col(DeliveryRow.endpoint), col(DeliveryRow.ref))
    found: dict[tuple[str, bytes], bytes] = {}
    for start in range(0, len(places), _CHUNK):
        query = select(*place, col(DeliveryRow.payload)).where(
            tuple_(*place).in_(places[start : start + _CHUNK]),
            col(DeliveryRow.state).in_(("pending", "held")),
        )
        found |= {(endpoint, ref): body for endpoint, ref, body in session.execute(query)}
    return found


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
        session.connection().execute(delete(row).where(*_ROW), keys)
    replay_store.purge(session, before=before)
    return len(some) + traces.purge_excerpts(session, before=before)


def _load_deliveries(session: Session, partner: str) -> list[Delivery]:
    row = DeliveryRow
    query = (
        select(*COLUMNS)
        .where(col(row.partner) == partner, col(row.state).in_(("pending", "held")))
        .order_by(col(row.topic_id), col(row.partition), col(row.offset))
    )
    return [delivery_of(found, wanted_at=found.updated_at) for found in session.execute(query)]


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


def _write_rows(session: Session, tick: Tick, now: int) -> None:
    new = [saved for saved in tick.saved if saved.is_new]
    heard = {(endpoint, ref): at for endpoint, ref, at in tick.heard}
    known = [_changes(saved, heard, now) for saved in tick.saved if not saved.is_new]
    gone = [*tick.finished, *((saved.delivery.endpoint, saved.delivery.ref) for saved in new)]
    connection = session.connection()
    if gone:
        # A parked row of the same event may be there: the newer delivery takes its place.
        keys = [{"at_endpoint": endpoint, "at_ref": ref} for endpoint, ref in gone]
        connection.execute(delete(DeliveryRow).where(*_ROW), keys)
    if new:
        session.execute(insert(DeliveryRow), [_row(saved, now) for saved in new])
    if known:
        # What somebody gave up while it was under way stays so, whatever came of it.
        is_wanted = col(DeliveryRow.state) != "cancelled"
        connection.execute(update(DeliveryRow).where(*_ROW, is_wanted).values(**_CHANGED), known)


_ROW = (
    col(DeliveryRow.endpoint) == bindparam("at_endpoint"),
    col(DeliveryRow.ref) == bindparam("at_ref"),
)
_STATE = bindparam("to_state", type_=String())
_IS_ASKED = and_(
    col(DeliveryRow.asked_at).is_not(None),
    col(DeliveryRow.asked_at) > bindparam("at_heard", type_=BigInteger()),
)
_CHANGED: dict[str, ColumnElement[Any]] = {
    **{name: bindparam(f"to_{name}") for name in ("attempts", "next_at", "reason", "updated_at")},
    # What somebody asked for while it was under way, and nobody has heard of yet, is not over.
    "state": case((and_(_IS_ASKED, _STATE == "parked"), col(DeliveryRow.state)), else_=_STATE),
}


def _changes(saved: Saved, heard: Mapping[tuple[str, bytes], int], now: int) -> dict[str, object]:
    delivery = saved.delivery
    return {
        "at_heard": max(heard.get((delivery.endpoint, delivery.ref), -1), delivery.wanted_at),
        "at_endpoint": delivery.endpoint,
        "at_ref": delivery.ref,
        "to_attempts": delivery.attempts,
        "to_next_at": delivery.due_at,
        "to_state": saved.state,
        "to_reason": saved.reason,
        "to_updated_at": now,
    }


def _row(saved: Saved, now: int) -> dict[str, object]:
    delivery = saved.delivery
    return {
        "endpoint": delivery.endpoint,
        "ref": delivery.ref,
        "partner": delivery.partner,
        "source": delivery.source,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "topic": delivery.topic,
        "topic_id": delivery.position.topic_id,
        "partition": delivery.position.partition,
        "offset": delivery.position.offset,
        "order_key": delivery.group,
        "payload": delivery.body,
        "schema_id": delivery.schema_id,
        "attempts": delivery.attempts,
        "next_at": delivery.due_at,
        "state": saved.state,
        "reason": saved.reason,
        "created_at": now,
        "updated_at": now,
        "search": delivery.search,
    }


def _write_spans(session: Session, tick: Tick) -> None:
    gone = [*tick.drained, *((span.endpoint, span.topic_id, span.partition) for span in tick.spans)]
    if gone:
        keys = [{"at_endpoint": e, "at_topic_id": t, "at_partition": p} for e, t, p in gone]
        session.connection().execute(delete(BacklogRow).where(*_SPAN), keys)
    if tick.spans:
        rows = [
            {
                "endpoint": span.endpoint,
                "topic": span.topic,
                "topic_id": span.topic_id,
                "partition": span.partition,
                "from_offset": span.start,
                "to_offset": span.end,
                "events": span.events,
                "began_at": span.began_at,
            }
            for span in tick.spans
        ]
        session.execute(insert(BacklogRow), rows)


_SPAN = (
    col(BacklogRow.endpoint) == bindparam("at_endpoint"),
    col(BacklogRow.topic_id) == bindparam("at_topic_id"),
    col(BacklogRow.partition) == bindparam("at_partition"),
)
