"""When each credential was used last: noted in memory, written now and then, never on a request's path.

What the process has not written yet is lost with it if it is killed: half a minute at most.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress

from sqlalchemy import select, text
from sqlmodel import Session, col

from gateway.database import Database
from gateway.errors import AwayError
from gateway.rows import CredentialUseRow
from gateway.waits import rest

WRITE_SECONDS = 30.0
_CHUNK = 500
_KEEP = text(
    "INSERT INTO gateway_credential_use (credential, used_at) VALUES (:credential, :used_at)"
    " ON CONFLICT (credential) DO UPDATE SET used_at = excluded.used_at"
    " WHERE gateway_credential_use.used_at < excluded.used_at"
)


class CredentialUses:
    """A role of whoever serves requests."""

    def __init__(self, database: Database, *, write_seconds: float = WRITE_SECONDS) -> None:
        self._database = database
        self._write_seconds = write_seconds
        self._noted: dict[str, int] = {}
        self._unwritten: dict[str, int] = {}

    def note(self, ids: Iterable[str], now: int) -> None:
        """Take note that a request was proved by these. `now`: Unix milliseconds."""
        for one in ids:
            self._noted[one] = self._unwritten[one] = now

    def unwritten(self) -> Mapping[str, int]:
        """What is noted and not written yet."""
        return dict(self._unwritten)

    async def run(self, stop: asyncio.Event) -> None:
        """Write what was noted, now and then; what is left once `stop` is set, and return."""
        while not stop.is_set():
            await rest(stop, self._write_seconds)
            with suppress(AwayError):
                await self.write()

    async def write(self) -> None:
        """Write what was noted since the last time, in one statement.

        Raises:
            AwayError: the database is away; the next time tries again.
        """
        written, self._unwritten = self._unwritten, {}
        if not written:
            return
        try:
            await self._database.write(lambda session: save(session, written))
        except AwayError:
            self._unwritten = {**written, **self._unwritten}
            raise

    async def find(self, ids: Iterable[str]) -> Mapping[str, int]:
        """When each of these was used last, as far as this process knows; those never used are left out.

        Raises:
            AwayError: the database is away.
        """
        wanted = sorted(set(ids))
        found = await self._database.read(lambda session: load(session, wanted))
        own = {one: self._noted[one] for one in wanted if one in self._noted}
        return {one: max(found.get(one, 0), own.get(one, 0)) for one in {**found, **own}}


def save(session: Session, used: Mapping[str, int]) -> None:
    """Keep the later of what is there and what is given. In the order of the keys: others write too."""
    rows = [{"credential": one, "used_at": at} for one, at in sorted(used.items())]
    session.execute(_KEEP, rows)


def load(session: Session, ids: list[str]) -> dict[str, int]:
    """When these were used last, as it is written down."""
    found: dict[str, int] = {}
    for start in range(0, len(ids), _CHUNK):
        chosen = col(CredentialUseRow.credential).in_(ids[start : start + _CHUNK])
        columns = (col(CredentialUseRow.credential), col(CredentialUseRow.used_at))
        found.update((one, at) for one, at in session.execute(select(*columns).where(chosen)))
    return found
