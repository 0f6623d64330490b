"""Works imports off, a few items at a time, through the very ingress that requests use.

Crash order of a step: the events are taken, each by claim, record and receipt; then their results and how far
the job is are committed together. Killed between the two, the next owner takes the same items again, which
are repeats then. So no item is lost and none is doubled, and all that may differ is that a result says
`duplicate`.

Live traffic comes first: one step at a time in a process, whichever import it is of, and after each a rest as
long as the step took; of a partner's rate, half at most.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar

from gateway.catalog import Catalog
from gateway.database import Database
from gateway.errors import AwayError, CallerError, LeaseLostError
from gateway.imports import results, store
from gateway.imports.job import Failure, Piece
from gateway.imports.leave import Leave
from gateway.imports.reading import Items, Some, name_generated
from gateway.imports.store import Advance, Held
from gateway.imports.sweep import sweep
from gateway.ingress.accept import Submission
from gateway.ingress.outcome import Failed, Outcome
from gateway.ingress.quotas import Quotas
from gateway.logs import logger
from schemas.container import ContainerLimits

T = TypeVar("T")

STEP_BYTES: Final = 1024 * 1024
MOST_AT_ONCE: Final = 4
"""Imports that one process works on; their steps take turns. Those that wait are not counted."""

MOST_HELD: Final = 32
"""Imports that one process has, a piece of each, those that wait too."""

_LOOK_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 30.0
_FIRST_WAIT_SECONDS: Final = 0.2
_LONGEST_REST_SECONDS: Final = 2.0


class Accepts(Protocol):
    """Who takes events: `gateway.ingress.accept.Ingress`."""

    async def accept(self, submission: Submission) -> Sequence[Outcome]:
        """What became of each item, in order."""
        ...


class _OverError(Exception):
    """The import ends here, with this failure or as it is; never leaves this module."""

    def __init__(self, failure: Failure | None = None) -> None:
        super().__init__("over")
        self.failure = failure


class _LeftError(Exception):
    """Somebody else may go on, or nobody needs to; never leaves this module."""


@dataclass(slots=True, kw_only=True, eq=False)
class Importer:
    """A role of whoever serves requests; see the module.

    `owner`: this process. `lease_ms`: how long an import is ours without a word; `kept_ms`: how long one that
    has ended is kept. `longest_wait_seconds`: between two tries of what is waited for.
    """

    database: Database
    catalog: Catalog
    ingress: Accepts
    quotas: Quotas
    clock: Callable[[], int]
    owner: str
    lease_ms: int
    kept_ms: int
    limits: ContainerLimits
    step: Callable[[str], None]
    longest_wait_seconds: float = 5.0
    wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stop: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _free_at: float = field(default=0.0, init=False)
    _mine: set[str] = field(default_factory=set, init=False)
    _waiting: set[str] = field(default_factory=set, init=False)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="imports"), init=False, repr=False
    )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; then let go of what is not done, so that others can go on."""
        self._stop = stop
        loop = asyncio.get_running_loop()
        sweep_at = loop.time()
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                with suppress(AwayError):
                    while (held := await self._lease()) is not None:
                        tasks.create_task(self._work(held))
                    if loop.time() >= sweep_at:
                        sweep_at = loop.time() + (0.1 if await self._sweep() else _SWEEP_SECONDS)
                await _first_of((stop, self.wake), min(_LOOK_SECONDS, max(0.05, sweep_at - loop.time())))
                self.wake.clear()

    def take_up(self) -> None:
        """There may be something to do."""
        self.wake.set()

    async def _lease(self) -> Held | None:
        is_full = len(self._mine) >= MOST_HELD or len(self._mine - self._waiting) >= MOST_AT_ONCE
        if is_full or not await self.database.read(store.has_work):
            return None
        mine = frozenset(self._mine)
        held = await self.database.write(
            lambda session: store.lease(session, self.owner, lease_ms=self.lease_ms, but=mine)
        )
        if held is not None:
            self._mine.add(held.job.id)
            self.step("import.4.leased")
        return held

    async def _sweep(self) -> bool:
        now = self.clock()
        return await self.database.write(lambda session: sweep(session, now=now, kept_ms=self.kept_ms))

    async def _work(self, held: Held) -> None:
        try:
            await self._all_pieces(held)
        except _LeftError:
            with suppress(AwayError, LeaseLostError):
                await self.database.write(lambda session: store.release(session, held))
        except (AwayError, LeaseLostError) as error:
            # What is ours no more is another's; what the database did not hear is done again after the lease.
            logger("gateway.imports").info("import left", job=held.job.id, reason=str(error))
        except Exception:  # noqa: BLE001 - whatever it was, one import ends by it, and not the program
            logger("gateway.imports").exception("import failed", job=held.job.id)
            text = "We made a mistake on these items; what was taken before has its results."
            with suppress(AwayError, LeaseLostError):
                await self._end(held, Failure("internal", text))
        finally:
            self._mine.discard(held.job.id)
            self.take_up()

    async def _all_pieces(self, held: Held) -> None:
        done = held.job.counts.done
        failure = held.job.broken
        try:
            while (piece := await self._next_piece(held)) is not None:
                done = await self._one_piece(held, piece, done)
        except _OverError as over:
            failure = over.failure
        await self._end(held, failure)

    async def _next_piece(self, held: Held) -> Piece | None:
        return await self.database.read(lambda session: store.next_piece(session, held.job.id))

    async def _end(self, held: Held, failure: Failure | None) -> None:
        now = self.clock()
        await self.database.write(lambda session: store.end(session, held, failure, now=now))
        self.step("import.7.ended")

    async def _one_piece(self, held: Held, piece: Piece, done: int) -> int:
        """Take its items from the index `done` on; returns the index after the last."""
        items = Items(held.job, piece, self.limits, start=done)
        leave = Leave(held.job)
        while done < piece.first + piece.count:
            some = await self._compute(partial(items.take, leave.most(self.catalog.current), STEP_BYTES))
            if not some.items:
                raise _OverError(items.failure or _short(piece))
            began = asyncio.get_running_loop().time()
            outcomes = await self._accepted(held, leave, some, done)
            self.step("import.5.worked")
            counts, after = results.count(outcomes), done + len(some.items)
            used_up = piece.number if after >= piece.first + piece.count else None
            await self._settle(held, Advance(done, counts, results.pack(outcomes), used_up))
            done = after
            taken = asyncio.get_running_loop().time() - began
            with self._apart(held):
                await self._pause(leave.rest_seconds(self.catalog.current, counts.done) - taken)
        return done

    async def _settle(self, held: Held, advance: Advance) -> None:
        state = await self.database.write(lambda session: store.settle(session, held, advance))
        self.step("import.6.settled")
        if state == "cancelled":
            raise _OverError

    async def _accepted(self, held: Held, leave: Leave, some: Some, first: int) -> Sequence[Outcome]:
        """What became of the items; until that is known, or the import may not go on, it is waited for."""
        wait = _FIRST_WAIT_SECONDS
        while True:
            seconds = wait
            try:
                # The turn first: what the quota holds back meanwhile is not there for live traffic, and who
                # was revoked while it was waited for sends nothing more.
                async with self._turn_of(held):
                    outcomes, code = await self._try(held, leave, some, first)
            except CallerError as error:
                code, seconds = error.code, min(leave.seconds_of(error), self.longest_wait_seconds)
            if not code:
                return outcomes
            with self._apart(held):
                await self._wait(held, code, seconds)
            wait = min(2 * wait, self.longest_wait_seconds)

    async def _try(self, held: Held, leave: Leave, some: Some, first: int) -> tuple[Sequence[Outcome], str]:
        """What became of the items; and where that is not known yet, the code of what is waited for.

        Raises:
            _OverError: the import may not go on.
            CallerError: `quota_exceeded`.
        """
        snapshot = self.catalog.current
        if not snapshot.is_read or self.catalog.is_stale():
            return (), "store_unavailable"
        failure = leave.refusal(snapshot, self.clock())
        if failure is not None:
            raise _OverError(failure)
        items = name_generated(some.items, held.job, snapshot, first=first)
        with leave.quota(snapshot, self.quotas, len(items)) as entry:
            outcomes = await self.ingress.accept(leave.submission(items))
            failed = next((one for one in outcomes if isinstance(one, Failed)), None)
            # What could not be taken is asked for again, and counts once.
            entry.spend(*((len(items), some.size) if failed is None else (0, 0)))
        return outcomes, "" if failed is None else failed.code

    @asynccontextmanager
    async def _turn_of(self, held: Held) -> AsyncIterator[None]:
        """One step at a time, and only once live traffic has had as long as the last one took."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(self.lease_ms / 3_000):
                    await self._turn.acquire()
                break
            except TimeoutError:
                await self._renew(held, None)
        try:
            await self._pause(self._free_at - loop.time())
            began = loop.time()
            yield
            self._free_at = loop.time() + min(loop.time() - began, _LONGEST_REST_SECONDS)
        finally:
            self._turn.release()

    @contextmanager
    def _apart(self, held: Held) -> Iterator[None]:
        """While it waits, for a day's quota perhaps, others are worked on in its place."""
        self._waiting.add(held.job.id)
        try:
            yield
        finally:
            self._waiting.discard(held.job.id)

    async def _renew(self, held: Held, waits_for: str | None) -> None:
        state = await self.database.write(lambda session: store.renew(session, held, waits_for))
        if state == "cancelled":
            raise _OverError

    async def _wait(self, held: Held, code: str, seconds: float) -> None:
        """Wait, and keep the import ours meanwhile.

        Raises:
            _OverError: it was cancelled.
            _LeftError: the program stops.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            await self._renew(held, code)
            left = until - loop.time()
            if left <= 0:
                return
            await self._pause(min(left, self.lease_ms / 3_000))

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await _first_of((self._stop,), seconds)
        if self._stop.is_set():
            raise _LeftError

    async def _compute(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _short(piece: Piece) -> Failure:
    text = f"The part of the body from byte {piece.offset} on holds fewer items than it says."
    return Failure("body_malformed", text, offset=piece.offset)


async def _first_of(events: Sequence[asyncio.Event], seconds: float) -> None:
    """Until one of the events is set, or the time is up."""
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(one.wait()) for one in events]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()
