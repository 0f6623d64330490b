"""Works exports off: one file after the other is made, and what is to be known of it is kept.

Crash order of a step: the file is made, then its size, its digest and how far the job is are committed
together. Killed between the two, or without an answer of the database, the next owner makes the same file
again, from where the job is. Nothing is promised before the last file: then the export is done.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from audit.errors import DamagedLogError, MissingLibraryError
from gateway.database import Database
from gateway.errors import AwayError, LeaseLostError
from gateway.exports import store
from gateway.exports.job import Export, Failure
from gateway.exports.making import Made, Maker
from gateway.logs import logger
from gateway.waits import rest

STEPS: Final = 20
"""Files after which others have their turn."""

_LOOK_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 0.5


@dataclass(slots=True, kw_only=True, eq=False)
class Exporter:
    """A role of whoever serves requests; see the module. One export at a time in a process.

    `owner`: this process. `lease_ms`: how long an export is ours without a word; `kept_ms`: how long one that
    has ended is kept.
    """

    database: Database
    maker: Maker
    clock: Callable[[], int]
    owner: str
    lease_ms: int
    kept_ms: int
    step: Callable[[str], None]
    wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stop: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; then let go of what is not done, so that others can go on."""
        self._stop = stop
        sweep_at = asyncio.get_running_loop().time()
        while not stop.is_set():
            is_more, now = False, asyncio.get_running_loop().time()
            with suppress(AwayError, LeaseLostError):
                is_more = await self._round()
            with suppress(AwayError):
                if now >= sweep_at:
                    sweep_at = now + (0.1 if await self._sweep() else _SWEEP_SECONDS)
            if not is_more:
                await self._rest()

    def take_up(self) -> None:
        """There may be something to do."""
        self.wake.set()

    async def _round(self) -> bool:
        """Work on one export for a while; whether there was one."""
        if not await self.database.read(store.has_work):
            return False
        held = await self.database.write(
            lambda session: store.lease(session, self.owner, lease_ms=self.lease_ms)
        )
        if held is None:
            return False
        self.step("export.2.leased")
        try:
            if await self._work(held):
                return True
        except LeaseLostError as error:
            # Another's by now, or it was stored after all: whoever takes it up goes on from where it is.
            logger("gateway.exports").info("export left", job=held.id, reason=str(error))
        except AwayError as error:
            logger("gateway.exports").info("export left", job=held.id, reason=str(error))
            await rest(self._stop, _AGAIN_SECONDS)
        except Exception:  # noqa: BLE001 - whatever it was, one export ends by it, and not the program
            logger("gateway.exports").exception("export failed", job=held.id)
            await self._end(held, Failure("internal", "We made a mistake; the export was given up."))
            return True
        with suppress(LeaseLostError):
            await self.database.write(lambda session: store.release(session, held))
        return True

    async def _work(self, held: Export) -> bool:
        """Make some files; whether the export has ended."""
        alive = self._alive(held)
        for _ in range(STEPS):
            place = held.wish.place(held.done)
            if place is None:
                return await self._end(held, None)
            if self._stop.is_set():
                return False
            try:
                made = await self.maker.next(held.wish, held.parts + 1, *place, alive=alive)
            except DamagedLogError as error:
                text = f"The log is not whole: {error}."
                return await self._end(held, Failure("internal", text, "Ask the operator to check the log."))
            except MissingLibraryError as error:
                return await self._end(held, Failure("state_conflict", str(error), "Ask for jsonl or avro."))
            self.step("export.3.made")
            held = await self._settle(held, made)
            if not held.is_open:
                return True
            self.step("export.4.settled")
        return False

    def _alive(self, held: Export) -> Callable[[], Awaitable[None]]:
        """Renews the lease where that is due: a slow machine makes one file for longer than a lease."""
        loop = asyncio.get_running_loop()
        renewed_at = loop.time()

        async def renew() -> None:
            nonlocal renewed_at
            if loop.time() - renewed_at >= self.lease_ms / 3_000:
                await self.database.write(lambda session: store.renew(session, held, lease_ms=self.lease_ms))
                renewed_at = loop.time()

        return renew

    async def _settle(self, held: Export, made: Made) -> Export:
        return await self.database.write(
            lambda session: store.settle(session, held, made.part, lease_ms=self.lease_ms)
        )

    async def _end(self, held: Export, failure: Failure | None) -> bool:
        now = self.clock()
        await self.database.write(lambda session: store.end(session, held, failure, now=now))
        self.step("export.5.ended")
        return True

    async def _sweep(self) -> bool:
        now = self.clock()
        return await self.database.write(lambda session: store.sweep(session, now=now, kept_ms=self.kept_ms))

    async def _rest(self) -> None:
        """Until there may be work, or the program stops."""
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(one.wait()) for one in (self._stop, self.wake)]
            await asyncio.wait(waiting, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for one in waiting:
                one.cancel()
        self.wake.clear()
