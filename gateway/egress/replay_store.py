"""Replays in SQL: made and cancelled by administration, worked off in the ticks of whoever has the shard.

A step is written under the shard's lease, with what it decided; nothing here commits.
"""

import functools
import json
import operator
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Exists,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    not_,
    select,
    tuple_,
    update,
)
from sqlmodel import Session, col

from gateway.egress.replay import OPEN, Counts, Part, Replay, State, Step, Stretch, Which, Wish
from gateway.egress.rows import ReplayRangeRow, ReplayRow
from gateway.positions import share
from gateway.rows import DeliveryRow
from partners.endpoint import house_of
from partners.owners import is_of

_COUNTS = (
    col(ReplayRangeRow.handed),
    col(ReplayRangeRow.delivered),
    col(ReplayRangeRow.waiting),
    col(ReplayRangeRow.cancelled),
    col(ReplayRangeRow.passed),
    col(ReplayRangeRow.lost),
)
_FEW = 100


def create(session: Session, replay_id: str, wish: Wish, stretches: Sequence[Stretch], *, now: int) -> Replay:
    """Make a replay over these stretches; with nothing in them it is done at once."""
    is_empty = all(one.start >= one.end for one in stretches)
    row = {
        "id": replay_id,
        "partner": wish.owner,
        "endpoint": wish.endpoint,
        "which": wish.which,
        "types": json.dumps(sorted(wish.types)),
        "since_at": wish.since,
        "until_at": wish.until,
        "rate": wish.rate,
        "dry_run": wish.dry_run,
        "state": "done" if is_empty else "waiting",
        "created_at": now,
        "ended_at": now if is_empty else None,
    }
    session.execute(insert(ReplayRow), [row])
    rows = [
        {
            "replay": replay_id,
            "endpoint": one.endpoint,
            "topic_id": one.topic_id,
            "partition": one.partition,
            "topic": one.topic,
            "from_offset": one.start,
            "next_offset": one.start,
            "to_offset": max(one.start, one.end),
            **asdict(Counts()),
        }
        for one in stretches
    ]
    if rows:
        session.execute(insert(ReplayRangeRow), rows)
    return cast("Replay", find(session, replay_id, wish.owner))


def find(session: Session, replay_id: str, owner: str) -> Replay | None:
    """One replay of an owner; what is another's is asked for as what does not exist."""
    mine = and_(col(ReplayRow.id) == replay_id, col(ReplayRow.partner) == owner)
    found = _load(session, mine, limit=1)
    return found[0] if found else None


def page(session: Session, owner: str, *, after: tuple[int, str] | None, limit: int) -> list[Replay]:
    """Replays of an owner (as in `is_of`), newest first. `after`: time and id of the last one before."""
    mine = is_of(col(ReplayRow.partner), owner)
    if after is not None:
        mine &= tuple_(col(ReplayRow.created_at), col(ReplayRow.id)) < tuple_(*after)
    return _load(session, mine, limit=limit)


def count_open(session: Session, owner: str) -> int:
    """How many have not ended."""
    query = select(func.count()).select_from(ReplayRow)
    query = query.where(col(ReplayRow.partner) == owner, col(ReplayRow.state).in_(OPEN))
    return int(session.execute(query).scalar_one())


def cancel(session: Session, replay_id: str, *, now: int) -> bool:
    """End a replay that has not ended; whether it had not. The relay hears of it soon."""
    mine = update(ReplayRow).where(col(ReplayRow.id) == replay_id, col(ReplayRow.state).in_(OPEN))
    ended = mine.values(state="cancelled", ended_at=now).execution_options(synchronize_session=False)
    return bool(session.execute(ended).rowcount)  # type: ignore[attr-defined]  # of an UPDATE there is one


def is_in_open() -> Exists:
    """A condition: the record of a delivery's row is in a replay that has not ended."""
    row, delivery = ReplayRangeRow, DeliveryRow
    return exists().where(
        col(ReplayRow.id) == col(row.replay),
        col(ReplayRow.state).in_(OPEN),
        col(row.endpoint) == col(delivery.endpoint),
        col(row.topic_id) == col(delivery.topic_id),
        col(row.partition) == col(delivery.partition),
        col(row.from_offset) <= col(delivery.offset),
        col(row.to_offset) > col(delivery.offset),
    )


def purge(session: Session, *, before: int) -> None:
    """Forget replays that ended before this time."""
    old = select(col(ReplayRow.id)).where(col(ReplayRow.ended_at) < before).limit(_FEW)
    ids = session.execute(old).scalars().all()
    if ids:
        session.execute(delete(ReplayRangeRow).where(col(ReplayRangeRow.replay).in_(ids)))
        session.execute(delete(ReplayRow).where(col(ReplayRow.id).in_(ids)))


def open_parts(session: Session) -> tuple[Part, ...]:
    """Every part that is left to do, of whichever shard."""
    row = ReplayRangeRow
    query = (
        select(ReplayRow, ReplayRangeRow)
        .join(ReplayRangeRow, col(row.replay) == col(ReplayRow.id))
        .where(col(ReplayRow.state).in_(OPEN), col(row.next_offset) < col(row.to_offset))
        .order_by(col(ReplayRow.created_at), col(ReplayRow.id))
        .execution_options(populate_existing=True)
    )
    return tuple(
        Part(
            replay.id,
            _wish(replay),
            Stretch(
                each.endpoint, each.topic, each.topic_id, each.partition, each.from_offset, each.to_offset
            ),
            each.next_offset,
            Counts(each.handed, each.delivered, each.waiting, each.cancelled, each.passed, each.lost),
        )
        for replay, each in session.execute(query)
    )


def write_steps(session: Session, steps: Sequence[Step], *, now: int) -> None:
    """Keep how far parts are; a replay all of whose parts are at their ends is done."""
    for step in steps:
        at = step.stretch
        mine = (
            col(ReplayRangeRow.replay) == step.replay,
            col(ReplayRangeRow.endpoint) == at.endpoint,
            col(ReplayRangeRow.topic_id) == at.topic_id,
            col(ReplayRangeRow.partition) == at.partition,
        )
        changed = update(ReplayRangeRow).where(*mine)
        session.execute(
            changed.values(next_offset=step.next, **asdict(step.counts)).execution_options(
                synchronize_session=False
            )
        )
    for replay_id in sorted({step.replay for step in steps}):
        named = col(ReplayRow.id) == replay_id
        begun = update(ReplayRow).where(named, col(ReplayRow.state) == "waiting").values(state="running")
        session.execute(begun.execution_options(synchronize_session=False))
        left = exists().where(
            col(ReplayRangeRow.replay) == replay_id,
            col(ReplayRangeRow.next_offset) < col(ReplayRangeRow.to_offset),
        )
        done = update(ReplayRow).where(named, col(ReplayRow.state).in_(OPEN), ~left)
        session.execute(done.values(state="done", ended_at=now).execution_options(synchronize_session=False))


def _load(session: Session, which: object, *, limit: int) -> list[Replay]:
    newest = select(ReplayRow).where(which)  # type: ignore[arg-type]  # a condition of ours
    newest = newest.order_by(col(ReplayRow.created_at).desc(), col(ReplayRow.id).desc()).limit(limit)
    rows = session.execute(newest.execution_options(populate_existing=True)).scalars().all()
    if not rows:
        return []
    span = func.sum(_records_up_to(col(ReplayRangeRow.to_offset)))
    done = func.sum(_records_up_to(col(ReplayRangeRow.next_offset)))
    sums = select(col(ReplayRangeRow.replay), span, done, *(func.sum(each) for each in _COUNTS))
    ids = [row.id for row in rows]
    sums = sums.where(col(ReplayRangeRow.replay).in_(ids)).group_by(col(ReplayRangeRow.replay))
    # PostgreSQL sums to decimals.
    found = {each[0]: tuple(map(int, each[1:])) for each in session.execute(sums)}
    return [_replay(row, found.get(row.id, ())) for row in rows]


def _records_up_to(offset: Any) -> ColumnElement[int]:
    """How many of a range; in another partner's topic those that were found to be the owner's.

    How much that partner sends is nobody's business whom it forwards a part of it to.
    """
    topic_id = col(ReplayRangeRow.topic_id)
    is_shared = topic_id.contains(share("", ""), autoescape=True)
    is_house = topic_id.contains(share("", house_of("")), autoescape=True)
    counted = functools.reduce(operator.add, _COUNTS)
    return case((and_(is_shared, not_(is_house)), counted), else_=offset - col(ReplayRangeRow.from_offset))


def _replay(row: ReplayRow, numbers: Sequence[int]) -> Replay:
    total, done, *counts = numbers or (0, 0)
    state = cast("State", row.state)
    return Replay(row.id, _wish(row), state, total, done, Counts(*counts), row.created_at, row.ended_at)


def _wish(row: ReplayRow) -> Wish:
    return Wish(
        row.partner,
        row.endpoint,
        cast("Which", row.which),
        tuple(json.loads(row.types)),
        row.since_at,
        row.until_at,
        row.rate,
        row.dry_run,
    )
