"""When a topic need not be read any more for a partner to which nothing of it is forwarded now.

What contracts forwarded once is owed, however late it is read. So who reads for a partner goes on when the
last line is gone, until nothing can come any more that those contracts accepted: no process accepts by them,
each event that they accepted has its record, and all up to the end that the topic had then is read, settled
and written down. That is noted beside the position, by the contract that ended it: nobody begins anew then.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sqlalchemy import select, text
from sqlmodel import Session, col

from gateway import positions
from gateway.broker.port import Broker, BrokerError
from gateway.database import Database
from gateway.errors import AwayError, LeaseLostError, PositionMovedError
from gateway.leases import Lease
from gateway.rows import ClaimRow
from partners.forwarding import Ended
from partners.partner import Partner

SURE_MS: Final = 600_000
"""So long after a contract came into force nobody accepts by an older one: a process that has not looked for
a minute takes nothing, and a claim is made within seconds of its receipt."""

_ASK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Leaving:
    """Asks how far somebody has to read, and notes that it was read."""

    database: Database = field(repr=False)
    broker: Broker = field(repr=False)

    async def end_of(self, sender: Partner, over: Ended) -> int | None:
        """Before which offset all lies that went on; None: that is not known yet, or nobody says now.

        To be asked `SURE_MS` after the contract that ended it. Where the topic ends is asked once each claim
        of then has its record: these lie before it.
        """
        if self.broker.away_for_ms():
            return None
        topics, until = sender.topics, over.at + SURE_MS
        try:
            if await self.database.read(partial(may_come, sender=sender.slug, until=until)):
                return None
            async with asyncio.timeout(_ASK_SECONDS):
                ((_, end),) = await self.broker.bounds([(topics.inbound, topics.inbound_partition)])
        except (AwayError, BrokerError, TimeoutError):
            return None
        return end

    async def note(self, lease: Lease, move: positions.Move, contract: int) -> bool:
        """Write down that all before `contract` was read; whether it is. `move`: as `positions.leave`."""
        work = partial(positions.leave, lease=lease, move=move, contract=contract)
        try:
            await self.database.write(work)
        except (AwayError, LeaseLostError, PositionMovedError):
            return False
        return True


def may_come(session: Session, *, sender: str, until: int) -> bool:
    """Whether an event that a partner sent before `until`, Unix milliseconds, may have no record yet."""
    waiting = select(col(ClaimRow.ref)).where(
        text("state = 'unconfirmed'"),
        col(ClaimRow.partner) == sender,
        col(ClaimRow.direction) == "inbound",
        col(ClaimRow.at) < until,
    )
    return session.execute(waiting.limit(1)).first() is not None
