"""Nonces of signed requests: whoever brings one first is heard, whichever process is asked.

Kept in SQL for as long as the signature that bore it could be played again, and not much longer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select, text, tuple_
from sqlmodel import Session, col

from gateway.database import Database
from gateway.errors import CallerError
from gateway.group_commit import GroupCommit
from gateway.rows import NonceRow

KEPT_MS: Final = 600_000
"""A signature is taken 300 s before and after its time: from the first to the last instant are 600 s."""

SLACK_MS: Final = 60_000
"""What is past its time stays a little longer, for the instance whose clock is behind."""

_INSERT: Final = text(
    "INSERT INTO gateway_nonce (credential, nonce, until) VALUES (:credential, :nonce, :until) "
    "ON CONFLICT DO NOTHING RETURNING nonce"
)


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a nonce. `until`: first instant at which it may be forgotten, Unix milliseconds."""

    credential: str
    nonce: str
    until: int


class Nonces:
    """The nonces that were used, of all processes on one database."""

    def __init__(self, database: Database) -> None:
        """Write in groups: many signed requests cost one transaction."""
        self._writes: GroupCommit[Use, bool] = GroupCommit(database, insert_uses)

    async def take(self, credential: str, nonce: str, *, now: int) -> None:
        """Use a nonce, once and for all.

        Raises:
            CallerError: `signature_replayed`; it was used before.
            StoreError, OverloadedError: the database is away or busy; nobody may be let in on this nonce.
        """
        if not await self._writes.submit(Use(credential, nonce, now + KEPT_MS)):
            raise CallerError(
                "signature_replayed",
                '"nonce": a request was signed with it before.',
                hint="Sign each request anew, with a new nonce of 128 random bits.",
                members={"component": "nonce"},
            )


def insert_uses(session: Session, uses: Sequence[Use]) -> list[bool]:
    """Insert those that are new; whether each was, in order. Twins in one group: the first is.

    A row at a time, in the order of keys: two processes with the same nonces never wait in a circle.
    """
    won = [False] * len(uses)
    for index in sorted(range(len(uses)), key=lambda one: (uses[one].credential, uses[one].nonce)):
        use = uses[index]
        row = {"credential": use.credential, "nonce": use.nonce, "until": use.until}
        won[index] = session.execute(_INSERT, row).first() is not None
    return won


def drop_nonces(session: Session, *, now: int, limit: int) -> int:
    """Forget some of those whose time is over; how many."""
    key = tuple_(col(NonceRow.credential), col(NonceRow.nonce))
    old = select(col(NonceRow.credential), col(NonceRow.nonce)).where(col(NonceRow.until) < now - SLACK_MS)
    rows = session.execute(old.order_by(col(NonceRow.until)).limit(limit)).all()
    if rows:
        session.execute(delete(NonceRow).where(key.in_([tuple(row) for row in rows])))
    return len(rows)
