"""Looks for what is asked of a relay: deliveries to be tried at once or given up, replays to be worked off.

Asked about in SQL by whoever serves requests; found here within a second, by the relay that has the shard.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from sqlmodel import Session

from audit.outcomes import Fate, Pair, fates
from gateway.database import Database
from gateway.egress import asking, replay_store
from gateway.egress.asking import Asked
from gateway.egress.deliveries import load_gone, load_states
from gateway.egress.reading import Today
from gateway.egress.replay import Part
from gateway.egress.shard import Shard
from gateway.errors import AwayError
from gateway.logs import logger

LOOK_SECONDS: Final = 0.5

_log = logger(__name__)

Shards = Callable[[], Iterable[tuple[Shard, Callable[[], None]]]]
"""The shards at work, each with what tells it that its lanes hold something new."""


class Recaller:
    """One a relay."""

    def __init__(self, database: Database, catalog: Today, clock: Callable[[], int]) -> None:
        self._database = database
        self._catalog = catalog
        self._clock = clock
        self._known: set[str] = set()

    async def run(self, shards: Shards) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look(shards)
            except AwayError as error:
                _log.warning("relay.asked_unread", code=error.code)

    async def look(self, shards: Shards) -> None:
        """Look once, and hand what is found to the shards that have the partners.

        A replay is begun by contracts that are as new as it is: by older ones, fewer events may be for its
        endpoint.

        Raises:
            AwayError: the database is away.
        """
        asked, parts = await self._database.read(_load)
        replays = {one.replay for one in parts}
        if not replays <= self._known:
            await self._catalog.follow()
        self._known = replays
        now = self._clock()
        for shard, wake in shards():
            if asked or parts or shard.has_asked:
                has_heard = shard.hear_all([one for one in asked if shard.knows(one.delivery.partner)], now)
                theirs = [one for one in parts if shard.knows(one.wish.owner)]
                if shard.recall.adopt(theirs) or has_heard:
                    wake()
            strangers = shard.strangers()
            if strangers:
                shard.bury(await self._database.read(partial(load_gone, strangers=strangers)))
                wake()

    async def judge(
        self, log: str, refs: Sequence[bytes]
    ) -> tuple[Mapping[Pair, Fate], Mapping[Pair, str]] | None:
        """What evidence and rows say of the deliveries of these events; None: nobody can say yet."""
        try:
            return await self._database.read(lambda session: _judge(session, log, refs))
        except AwayError:
            return None


def _load(session: Session) -> tuple[tuple[Asked, ...], tuple[Part, ...]]:
    if asking.is_idle(session):
        return (), ()
    return asking.load(session), replay_store.open_parts(session)


def _judge(
    session: Session, log: str, refs: Sequence[bytes]
) -> tuple[Mapping[Pair, Fate], Mapping[Pair, str]] | None:
    known = fates(session, log, refs)
    return None if known is None else (known, load_states(session, refs))
