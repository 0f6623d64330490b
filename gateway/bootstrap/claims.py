"""Claims without a record, for commands on the machine itself."""

import asyncio
from collections.abc import Sequence
from contextlib import closing

from gateway.bootstrap.ground import open_broker
from gateway.bootstrap.upkeep import alone, open_database
from gateway.broker.guest import GuestBroker
from gateway.database import Database
from gateway.settings import Settings
from gateway.upkeep import giving_up
from gateway.upkeep.giving_up import Unsettled


def list_unsettled(settings: Settings) -> Sequence[Unsettled]:
    """The claims that have no record yet, oldest first.

    Raises:
        SetupError: there is no database, or it was never set up.
        StoreError: it is away.
    """
    with closing(open_database(settings)) as database, database.looking() as session:
        return giving_up.unsettled(session)


def give_up(settings: Settings, ref: bytes, *, is_rehearsal: bool) -> Unsettled:
    """Give a claim up; the gateway must be stopped where its data folder is here.

    Raises:
        ClaimKeptError: it has a record, or may have one.
        SetupError: as `list_unsettled`; or a gateway is at work here.
        StoreError, BrokerError: one of them is away.
    """
    with alone(settings), closing(open_database(settings)) as database:
        return asyncio.run(_give_up(settings, database, ref, is_rehearsal=is_rehearsal))


async def _give_up(settings: Settings, database: Database, ref: bytes, *, is_rehearsal: bool) -> Unsettled:
    claim = await database.read(lambda session: giving_up.find(session, ref))
    broker = open_broker(settings)
    try:
        end = await giving_up.end_of(GuestBroker(broker), claim)
    finally:
        await broker.close()
    act = database.rehearse if is_rehearsal else database.write
    return await act(lambda session: giving_up.give_up(session, ref, end))
