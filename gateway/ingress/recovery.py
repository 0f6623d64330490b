"""After a restart on one machine: claims that nobody confirmed are taken over at once.

Only for the one process that owns the data folder: its lock tells that no other attempt is under way. A claim
that cannot be settled now (its topic takes no record of its size any more, or is gone; the schema is gone) is
tried again after a pause that grows, holds up no other, and is told of. It is never given up here: what may
have been produced is an operator's to judge (`gateway claims abandon`).
"""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from sqlmodel import Session

from audit.ref import format_ref
from gateway.broker.port import BrokerError, Position
from gateway.database import Database, clock
from gateway.errors import AwayError
from gateway.ingress.claims import Claim, Found, read, unconfirmed, unsettled
from gateway.ingress.publish import Fate
from gateway.ingress.takeover import TakeOvers
from gateway.logs import logger
from gateway.waits import rest

_LIMIT: Final = 200
_ROUND_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 300.0
_LONGEST_REST_SECONDS: Final = 5.0
_TOLD_AFTER: Final = 5
"""Tries; pauses of three seconds lie between them."""

_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Stuck:
    """A claim that was not settled. `tries`: in a row. `next_at`: of the loop's clock, seconds."""

    claim: Claim
    tries: int
    next_at: float
    reason: str

    def words(self) -> str:
        """Which one, and why."""
        claim = self.claim
        return (
            f"{format_ref(claim.ref)} ({claim.type} of {claim.key.partner}, for {claim.topic} "
            f"[{claim.partition}]; tried {self.tries} times): {self.reason}"
        )


@dataclass(slots=True, kw_only=True, eq=False)
class Recovery:
    """Publishes, or finds on their topics, the events that a killed process had claimed."""

    database: Database
    takeovers: TakeOvers
    _stuck: dict[bytes, Stuck] = field(default_factory=dict, init=False)

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
                await self._round()
            await rest(stop, self._pause())
        self._stuck.clear()
        await stop.wait()

    def warnings(self) -> list[str]:
        """What an operator has to see to: the claims that were tried in vain, some of many by name."""
        told = [one for one in self._stuck.values() if one.tries >= _TOLD_AFTER]
        if not told:
            return []
        named = "; ".join(one.words() for one in told[:_MOST_NAMED])
        more = f"; and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
        words = (
            "events that were claimed before the last restart are not on their topics, and nobody has a "
            f"receipt of them: {named}{more}. Mend what is named, or give them up: gateway claims abandon"
        )
        return [words]

    async def _round(self) -> None:
        loop = asyncio.get_running_loop()
        paused = {ref for ref, one in self._stuck.items() if one.next_at > loop.time()}
        found = await self.database.read(partial(_find, paused=paused))
        fates = await self.takeovers.settle(found, loop.time() + _ROUND_SECONDS)
        is_away = self.takeovers.broker.away_for_ms() > 0
        for one in found:
            self._note(one.claim, fates.get(one.claim.ref), loop.time(), is_away=is_away)
        await self._recall(paused | {one.claim.ref for one in found})

    async def _recall(self, seen: Collection[bytes]) -> None:
        """Look after those that were due and not found: settled by others, or held by a lease once more."""
        missing = [ref for ref in self._stuck if ref not in seen]
        if not missing:
            return
        there = await self.database.read(partial(read, refs=missing))
        now = asyncio.get_running_loop().time()
        for ref in missing:
            claim = there.get(ref)
            if claim is None or claim.state != "unconfirmed":
                del self._stuck[ref]
            else:
                self._stuck[ref] = replace(self._stuck[ref], next_at=now + _LONGEST_REST_SECONDS)

    def _note(self, claim: Claim, fate: Fate | None, now: float, *, is_away: bool) -> None:
        if fate is None or isinstance(fate, Position):
            self._stuck.pop(claim.ref, None)
            return
        known = self._stuck.get(claim.ref)
        tries = 0 if known is None else known.tries
        pause = min(_PAUSE_SECONDS * 2 ** min(tries, 20), _LONGEST_PAUSE_SECONDS)
        if is_away:
            # No fault of this claim: it goes on as soon as the broker is back.
            self._stuck[claim.ref] = Stuck(claim, tries, now + _PAUSE_SECONDS, fate.detail)
            return
        stuck = Stuck(claim, tries + 1, now + pause, fate.detail)
        self._stuck[claim.ref] = stuck
        if stuck.tries == _TOLD_AFTER:
            logger("gateway.ingress").warning("a claim cannot be settled", reason=stuck.words())

    def _pause(self) -> float:
        """Until the first of those that wait is due; others may be freed by their leases meanwhile."""
        now = asyncio.get_running_loop().time()
        first = min((one.next_at - now for one in self._stuck.values()), default=_PAUSE_SECONDS)
        return min(max(first, _PAUSE_SECONDS), _LONGEST_REST_SECONDS)


def _find(session: Session, paused: Collection[bytes]) -> Sequence[Found]:
    now = clock(session)
    return [Found(claim, mine=False, now=now) for claim in unconfirmed(session, _LIMIT, without=paused)]
