"""After a restart on one machine: claims that nobody confirmed are taken over at once.

Only for the one process that owns the data folder: its lock tells that no other attempt is under way.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from sqlmodel import Session

from gateway.broker.port import BrokerError
from gateway.database import Database, clock
from gateway.errors import AwayError
from gateway.ingress.claims import Found, unconfirmed, unsettled
from gateway.ingress.takeover import TakeOvers
from gateway.waits import rest

_LIMIT = 200
_ROUND_SECONDS = 10.0


@dataclass(slots=True, kw_only=True, eq=False)
class Recovery:
    """Publishes, or finds on their topics, the events that a killed process had claimed."""

    database: Database
    takeovers: TakeOvers

    async def run(self, stop: asyncio.Event) -> None:
        """Settle what is there at the start, then wait for `stop`. Later ones are their repeats' to take."""
        started: int | None = None
        while not stop.is_set():
            with suppress(AwayError, BrokerError):
                if started is None:
                    started = await self.database.read(clock)
                # A round that fails leaves new leases behind: what they hold back is still ours to settle.
                if not await self.database.read(partial(unsettled, before=started)):
                    break
                found = await self.database.read(_find)
                deadline = asyncio.get_running_loop().time() + _ROUND_SECONDS
                await self.takeovers.settle(found, deadline)
            await rest(stop, 0.2)
        await stop.wait()


def _find(session: Session) -> list[Found]:
    now = clock(session)
    return [Found(claim, mine=False, now=now) for claim in unconfirmed(session, _LIMIT)]
