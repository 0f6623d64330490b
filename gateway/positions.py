"""How far a role has read each partition: load, and advance under the lease's epoch.

Positions are keyed by topic id, so that a topic made again starts anew. They move in the transaction that
stores what was read, or not at all.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import func, select, tuple_, update
from sqlmodel import Session, col

from audit.bulk import Change, insert_new_rows, update_rows
from gateway.errors import PositionMovedError
from gateway.leases import Lease, check_all
from gateway.rows import PositionRow
from partners.endpoint import party_of

_SHARE: Final = ">"
"""No broker's topic id has it."""


def share(topic_id: str, owner: str) -> str:
    """What stands for a topic's id where several of a role read the topic, each for another owner."""
    return f"{topic_id}{_SHARE}{owner}"


def plain(topic_id: str) -> str:
    """The broker's id of the topic, shared or not."""
    return topic_id.partition(_SHARE)[0]


def is_forwarded(topic_id: str) -> bool:
    """Whether a topic is read for another partner than the one that sends into it."""
    owner = owner_in(topic_id)
    return owner is not None and party_of(owner)[1] == "partner"


def owner_in(topic_id: str) -> str | None:
    """For whom a shared topic is read; None: it is not shared."""
    return topic_id.partition(_SHARE)[2] or None


@dataclass(frozen=True, slots=True)
class Progress:
    """What is settled of a partition: every offset below `next`, and those in `finished` above it.

    `left_by`: the contract since which nothing goes on to whom it was read for, once all that those before it
    accepted is settled; 0: it is read, or was never left.
    """

    next: int
    finished: tuple[int, ...] = ()
    left_by: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        """Refuse a value that could hide an unfinished offset or be written in two ways."""
        if self.next < 0 or any(offset < self.next for offset in self.finished):
            raise ValueError("finished offsets lie at or above next, and next is not negative")
        if list(self.finished) != sorted(set(self.finished)):
            raise ValueError("finished offsets are sorted and without repeats")


@dataclass(frozen=True, slots=True)
class Move:
    """One partition's step. `before` is what this reader believes is stored; None: nothing yet."""

    topic: str
    topic_id: str
    partition: int
    before: Progress | None
    after: Progress


def load(session: Session, role: str, topic_id: str, partition: int) -> Progress | None:
    """The progress of a role in a partition; None where it never read there."""
    return _load(session, role, [(topic_id, partition)]).get((topic_id, partition))


def load_all(session: Session, role: str) -> Mapping[tuple[str, int], Progress]:
    """The progress of a role everywhere, by topic id and partition."""
    rows = select(
        col(PositionRow.topic_id),
        col(PositionRow.partition),
        col(PositionRow.next),
        col(PositionRow.finished),
        col(PositionRow.left_by),
    )
    found = session.execute(rows.where(col(PositionRow.role) == role)).all()
    return {(topic_id, partition): _progress(*kept) for topic_id, partition, *kept in found}


@dataclass(frozen=True, slots=True)
class Reached:
    """How far any role has come in a partition: the furthest of them."""

    topic: str
    topic_id: str
    partition: int
    next: int


def load_reached(session: Session) -> tuple[Reached, ...]:
    """The furthest position of each partition that was ever read, former topics of a name among them."""
    places = (col(PositionRow.topic), col(PositionRow.topic_id), col(PositionRow.partition))
    rows = select(*places, func.max(PositionRow.next)).group_by(*places).order_by(*places)
    found: dict[tuple[str, str, int], int] = {}
    for topic, topic_id, partition, next_ in session.execute(rows).all():
        place = (topic, plain(topic_id), partition)
        found[place] = max(next_, found.get(place, 0))
    return tuple(Reached(*place, next_) for place, next_ in found.items())


def advance(session: Session, lease: Lease, moves: Sequence[Move]) -> None:
    """As `advance_all`, for one shard."""
    advance_all(session, [(lease, moves)])


def advance_all(session: Session, steps: Sequence[tuple[Lease, Sequence[Move]]]) -> None:
    """Check the leases and every `before`, then store every `after`, under the leases' one role.

    Raises:
        LeaseLostError: a shard is another's; nothing was changed.
        PositionMovedError: a stored position differs from `before`; to be rolled back.
    """
    if not steps:
        return
    check_all(session, [lease for lease, _ in steps])
    role, moves = steps[0][0].role, [move for _, some in steps for move in some]
    known = [_values(role, move) | _before(move.before) for move in moves if move.before is not None]
    fresh = [move for move in moves if move.before is None]
    _refuse_moved(session, role, [(move, {None}) for move in fresh])
    if update_rows(session, PositionRow, known, _ADVANCE) != len(known):
        # Those that did match have moved in this transaction by now.
        _refuse_moved(session, role, [(move, {move.before, move.after}) for move in moves if move.before])
        raise PositionMovedError(f"{role}: another reader has moved the same positions")
    if insert_new_rows(session, PositionRow, [{**_values(role, move), **_NEW} for move in fresh]) != len(
        fresh
    ):
        raise PositionMovedError(f"{role}: another reader has begun with the same partitions")


def leave(session: Session, lease: Lease, move: Move, *, contract: int) -> None:
    """Note that all is settled that contracts before this one forwarded; `move`: what is stored, and to be.

    Raises:
        LeaseLostError, PositionMovedError: as `advance_all`.
    """
    advance(session, lease, [move])
    place = (
        col(PositionRow.role) == lease.role,
        col(PositionRow.topic_id) == move.topic_id,
        col(PositionRow.partition) == move.partition,
    )
    session.execute(update(PositionRow).where(*place).values(left_by=contract))


_NEW: Final[Mapping[str, object]] = {"left_by": 0}

# Rows of the one owner of the shard.
_ADVANCE: Final = Change(
    match=("topic_id", "role", "partition"),
    was=(("next_before", "next"), ("finished_before", "finished")),
    is_shared=False,
)


def _before(progress: Progress) -> dict[str, object]:
    return {"next_before": progress.next, "finished_before": _text(progress)}


def _refuse_moved(
    session: Session, role: str, moves: Sequence[tuple[Move, Collection[Progress | None]]]
) -> None:
    """Raise for the first whose stored position is none of those that it may be."""
    stored = _load(session, role, [(move.topic_id, move.partition) for move, _ in moves])
    for move, good in moves:
        found = stored.get((move.topic_id, move.partition))
        if found not in good:
            raise PositionMovedError(
                f"{role} at {move.topic} [{move.partition}]: stored {found}, expected {move.before}"
            )


def _load(session: Session, role: str, keys: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], Progress]:
    found: dict[tuple[str, int], Progress] = {}
    for start in range(0, len(keys), _CHUNK):
        rows = select(
            col(PositionRow.topic_id),
            col(PositionRow.partition),
            col(PositionRow.next),
            col(PositionRow.finished),
            col(PositionRow.left_by),
        )
        places = tuple_(col(PositionRow.topic_id), col(PositionRow.partition))
        query = rows.where(col(PositionRow.role) == role, places.in_(keys[start : start + _CHUNK]))
        for topic_id, partition, *kept in session.execute(query).all():
            found[topic_id, partition] = _progress(*kept)
    return found


_CHUNK = 200
"""Keys a query: SQLite bounds the variables of a statement."""


def _progress(next_: int, text: str, left_by: int) -> Progress:
    return Progress(next_, tuple(json.loads(text)), left_by)


def _values(role: str, move: Move) -> dict[str, object]:
    return {
        "role": role,
        "topic_id": move.topic_id,
        "partition": move.partition,
        "topic": move.topic,
        "next": move.after.next,
        "finished": _text(move.after),
    }


def _text(progress: Progress) -> str:
    return json.dumps(progress.finished, separators=(",", ":"))
