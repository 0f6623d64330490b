"""What the relay decided, in SQL: one transaction a tick, all of it or nothing.

A tick holds everything since the last: evidence, delivery rows, backlog ranges, positions. Nothing is written
before the lease's epoch is compared in the same transaction.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, String, and_, bindparam, case, delete, insert, text, update
from sqlmodel import Session, col

from audit import log
from audit.evidence import Kind
from audit.ref import format_ref
from audit.store import Pending
from gateway.announcements import Announcement, announce_once
from gateway.egress import asking, replay_store, traces
from gateway.egress.backlog import Span
from gateway.egress.breaker import Breaker
from gateway.egress.delivery import Delivery
from gateway.egress.locking import AT_PLACE, Place, delete_rows, lock_rows
from gateway.egress.replay import Step
from gateway.egress.traces import Excerpt
from gateway.happenings import DELIVERY_PARKED
from gateway.leases import Lease
from gateway.positions import Move, advance_all
from gateway.rows import BacklogRow, DeliveryRow
from partners.errors import NotFoundError
from partners.onboarding import disable_endpoint

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


def write_ticks(session: Session, ticks: Sequence[Tick], *, now: int) -> None:
    """Write ticks, each of another shard, in the caller's transaction.

    Raises:
        LeaseLostError: the shard of one is another's: roll back and drop the shard.
        PositionMovedError: another reader moved a position: as above.
    """
    advance_all(session, [(tick.lease, tick.moves) for tick in ticks])
    # Before any of them is changed: each shard's rows would be in an order of their own.
    states = lock_rows(session, (place for tick in ticks for place in _places(tick)))
    ticks = [_without_given_up(tick, states) for tick in ticks]
    # Each kind of all shards at once: a shard's own part of a tick is a few rows, and a statement costs more.
    log.submit_all(session, [one for tick in ticks for one in tick.evidence])
    _write_rows(session, ticks, states, now)
    _write_spans(session, ticks)
    traces.write_excerpts(session, [one for tick in ticks for one in tick.excerpts])
    traces.write_breakers(session, [one for tick in ticks for one in tick.breakers])
    asking.settle(session, [one for tick in ticks for one in tick.heard])
    for tick in ticks:
        _write_rest(session, tick, now=now)


def _places(tick: Tick) -> Iterator[Place]:
    """Endpoint and ref of every row that may be there and is touched."""
    for saved in tick.saved:
        yield _place(saved)
    yield from tick.finished
    for endpoint, ref, _ in tick.heard:
        yield endpoint, ref


def _place(saved: Saved) -> Place:
    return saved.delivery.endpoint, saved.delivery.ref


def _write_rest(session: Session, tick: Tick, *, now: int) -> None:
    """What most ticks have nothing of."""
    for told in tick.told:
        announce_once(session, told)
    replay_store.write_steps(session, tick.steps, now=now)
    traces.forget_breakers(session, [endpoint for _, endpoint, _ in tick.disabled])
    for owner, endpoint, url in tick.disabled:
        with suppress(NotFoundError):  # removed meanwhile: nothing is left to disable
            disable_endpoint(session, owner, endpoint, url)


def _without_given_up(tick: Tick, states: Mapping[Place, str]) -> Tick:
    """What somebody gave up during its last attempt is cancelled already, and not said to be parked too."""
    parked = {_place(one) for one in tick.saved if one.state == "parked"}
    parked -= {_place(one) for one in tick.saved if one.is_new}
    given_up = {place for place in parked if states.get(place) == "cancelled"}
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


def _write_rows(session: Session, ticks: Sequence[Tick], states: Mapping[Place, str], now: int) -> None:
    """`states`: of the rows that are there; nobody else changes these, or makes one."""
    all_saved = [saved for tick in ticks for saved in tick.saved]
    new = [saved for saved in all_saved if saved.is_new]
    heard = {(endpoint, ref): at for tick in ticks for endpoint, ref, at in tick.heard}
    known = [_changes(saved, heard, now) for saved in all_saved if not saved.is_new]
    # A parked row of the same event may be there: the newer delivery takes its place.
    gone = [place for tick in ticks for place in tick.finished] + [_place(saved) for saved in new]
    delete_rows(session, (place for place in gone if place in states))
    if new:
        session.execute(insert(DeliveryRow), [_row(saved, now) for saved in new])
    if known:
        # What somebody gave up while it was under way stays so, whatever came of it.
        is_wanted = col(DeliveryRow.state) != "cancelled"
        changed = update(DeliveryRow).where(*AT_PLACE, is_wanted).values(**_CHANGED)
        session.connection().execute(changed, known)


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


def _write_spans(session: Session, ticks: Sequence[Tick]) -> None:
    spans = [span for tick in ticks for span in tick.spans]
    drained = [key for tick in ticks for key in tick.drained]
    if drained:
        keys = [{"at_endpoint": e, "at_topic_id": t, "at_partition": p} for e, t, p in drained]
        session.connection().execute(delete(BacklogRow).where(*_SPAN), keys)
    if spans:
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
            for span in spans
        ]
        session.connection().execute(_KEEP_SPAN, rows)


# In place: a range changes with every tick for as long as its endpoint is away, and a row that is deleted and
# made anew leaves something behind each time until the table is vacuumed.
_KEEP_SPAN = text(
    "INSERT INTO gateway_backlog"
    " (endpoint, topic, topic_id, partition, from_offset, to_offset, events, began_at)"
    " VALUES (:endpoint, :topic, :topic_id, :partition, :from_offset, :to_offset, :events, :began_at)"
    " ON CONFLICT (endpoint, topic_id, partition) DO UPDATE SET topic = excluded.topic,"
    " from_offset = excluded.from_offset, to_offset = excluded.to_offset,"
    " events = excluded.events, began_at = excluded.began_at"
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
_SPAN = (
    col(BacklogRow.endpoint) == bindparam("at_endpoint"),
    col(BacklogRow.topic_id) == bindparam("at_topic_id"),
    col(BacklogRow.partition) == bindparam("at_partition"),
)
