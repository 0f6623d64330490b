"""Changes that are asked for under a key: carried out once, however often they are asked for.

Crash order: 1. the key's row is inserted, without an answer; 2. the change is made, and the answer is put
into the row by the same transaction. *Killed after 1: nothing was changed; a repeat hears that the first is
still under way until its lease has run out, then takes the row over.* Whoever lost the row meanwhile cannot
put an answer into it, and its change is rolled back with that.

Source: draft-ietf-httpapi-idempotency-key-header, sections 2.6 and 2.7.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import delete, select, text, tuple_
from sqlmodel import Session, col

from gateway.database import Database, clock
from gateway.errors import CallerError
from gateway.rows import RepeatRow

KEPT_MS: Final = 86_400_000
"""An answer is given again for so long."""

LEASE_MS: Final = 60_000
"""A change takes no longer, unless its process is dead."""

_LATER: Final = {"retry": "later", "headers": {"Retry-After": "1"}}
_TAKE: Final = text(
    "INSERT INTO gateway_repeat (credential, key, digest, token, answer, open_until, until)"
    " VALUES (:credential, :key, :digest, :token, NULL, :open_until, :until)"
    " ON CONFLICT (credential, key) DO UPDATE SET digest = excluded.digest, token = excluded.token,"
    " answer = NULL, open_until = excluded.open_until, until = excluded.until"
    " WHERE gateway_repeat.until <= :now OR (gateway_repeat.answer IS NULL"
    " AND gateway_repeat.open_until <= :now AND gateway_repeat.digest = excluded.digest)"
    " RETURNING token"
)
_KEEP: Final = text(
    "UPDATE gateway_repeat SET answer = :answer"
    " WHERE credential = :credential AND key = :key AND token = :token AND answer IS NULL RETURNING key"
)
_GIVE_UP: Final = text(
    "DELETE FROM gateway_repeat"
    " WHERE credential = :credential AND key = :key AND token = :token AND answer IS NULL"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request under a key. `credential`: whose key it is; `digest`: of what is asked for, 32 bytes."""

    credential: str
    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Turn:
    """It is ours to carry out."""

    asked: Asked
    token: bytes = field(repr=False)


@dataclass(slots=True, eq=False)
class Repeats:
    """See the module. `entropy`: so many random bytes."""

    database: Database
    entropy: Callable[[int], bytes]

    async def begin(self, asked: Asked) -> Turn | bytes:
        """Have the turn to carry a request out; or the answer that it got before.

        Raises:
            CallerError: `idempotency_conflict`: the key stands for another request, or the first is still
                under way.
            StoreError: the database is away.
        """
        token = self.entropy(16)
        return await self.database.write(lambda session: _begin(session, Turn(asked, token)))

    async def settle(self, turn: Turn, answer: bytes) -> None:
        """Keep the answer to what changed nothing, by itself.

        Raises:
            CallerError: as `keep`.
            StoreError: the database is away.
        """
        await self.database.write(lambda session: keep(session, turn, answer))

    async def give_up(self, turn: Turn) -> None:
        """Nothing was changed: the key is free again.

        Raises:
            StoreError: the database is away; the key is free once its lease has run out.
        """
        await self.database.write(lambda session: session.execute(_GIVE_UP, _key_of(turn)))


def keep(session: Session, turn: Turn, answer: bytes) -> None:
    """Keep the answer, in the transaction of the change.

    Raises:
        CallerError: `idempotency_conflict`: we took so long that somebody else has the turn; roll back.
    """
    if session.execute(_KEEP, {**_key_of(turn), "answer": answer}).first() is None:
        text = "Another request with this key was carried out instead: this took too long."
        raise CallerError("idempotency_conflict", text, members=_LATER)


@dataclass(slots=True, eq=False)
class Keeper:
    """Keeps the answer that is made of what a change came to. `is_called`: by a change, perhaps in vain."""

    turn: Turn
    answer: Callable[[object], bytes]
    is_called: bool = False

    def __call__(self, session: Session, result: object) -> None:
        """As `keep`."""
        self.is_called = True
        keep(session, self.turn, self.answer(result))


def drop_repeats(session: Session, *, now: int, limit: int) -> int:
    """Forget some of those whose time is over; how many."""
    key = (col(RepeatRow.credential), col(RepeatRow.key))
    old = select(*key).where(col(RepeatRow.until) < now)
    rows = session.execute(old.order_by(col(RepeatRow.until)).limit(limit)).all()
    if rows:
        session.execute(delete(RepeatRow).where(tuple_(*key).in_([tuple(row) for row in rows])))
    return len(rows)


def _begin(session: Session, turn: Turn) -> Turn | bytes:
    now, asked = clock(session), turn.asked
    times = {"now": now, "open_until": now + LEASE_MS, "until": now + KEPT_MS}
    if session.execute(_TAKE, {**_key_of(turn), "digest": asked.digest, **times}).first() is not None:
        return turn
    row = session.get(RepeatRow, (asked.credential, asked.key))
    if row is not None and row.digest != asked.digest:
        text = "This Idempotency-Key was used for another request, less than a day ago."
        raise CallerError("idempotency_conflict", text)
    if row is None or row.answer is None:
        text = "The first request with this Idempotency-Key is still under way."
        raise CallerError("idempotency_conflict", text, members=_LATER)
    return row.answer


def _key_of(turn: Turn) -> dict[str, object]:
    return {"credential": turn.asked.credential, "key": turn.asked.key, "token": turn.token}
