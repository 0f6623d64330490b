"""The schema registry of the house, where it is another program: asked off the loop, watched, never guessed.

It is where schemas of contracts are registered, and where ids that our own tables do not hold are looked up.
While it does not answer, both wait. What our tables hold needs no look: a schema never changes under its id.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar
from uuid import UUID

from gateway.errors import AwayError
from gateway.logs import logger
from schemas.errors import SchemaError
from schemas.remote_answers import Agreed, RemoteError, RemoteRefusedError
from schemas.schema import Schema

T = TypeVar("T")

LOOK_SECONDS: Final = 5.0
"""Between two looks whether it is there."""

GRACE_SECONDS: Final = 3.0
"""Away for no longer than this is no reason to be called not ready."""

ABSENT_SECONDS: Final = 5.0
"""How long it counts that there is no such schema: it may be registered in the next moment."""

_WHOLE_SECONDS: Final = 15.0
_AGAIN_SECONDS: Final = 1.0
_MOST_AT_ONCE: Final = 3
"""Questions of others: our own two, whether it is there and what a schema is, have a turn each besides."""

_MOST_KNOWN: Final = 1_024
_MOST_WANTED: Final = 256
_MOST_WARNINGS: Final = 10


class Remote(Protocol):
    """What is asked; blocks. `schemas.remote.RemoteRegistry` fits."""

    url: str

    def look_up(self, subject: str, schema: Schema) -> Agreed | None:
        """The version of a subject that a schema is."""
        ...

    def register(self, subject: str, schema: Schema) -> Agreed:
        """Make a schema a version of a subject."""
        ...

    def compare(self, subject: str, schema: Schema) -> tuple[str, ...]:
        """Why a schema cannot become a version of a subject."""
        ...

    def by_id(self, schema_id: int) -> Schema | None:
        """The schema of an id."""
        ...

    def by_guid(self, guid: UUID) -> Schema | None:
        """The schema of a GUID."""
        ...

    def health(self) -> None:
        """Ask for as little as can be asked."""
        ...

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """What the calling thread asks until the block ends takes no longer."""
        ...

    def close(self) -> None:
        """Let the connections go."""
        ...


class Aside(Protocol):
    """Runs what may block for ever on a thread that nobody waits for at the end."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """The result of `work`."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """What an id or a GUID stands for; `schema` None: nothing that could be used here."""

    schema: Schema | None = field(repr=False)
    until: float


class ExternalRegistry:
    """A role, and what asks. See the module."""

    def __init__(self, remote: Remote, *, aside: Aside, ticks: Callable[[], float]) -> None:
        """`ticks`: seconds of a clock that nobody sets."""
        self.url = remote.url
        self._remote = remote
        self._aside = aside
        self._ticks = ticks
        self._turns = asyncio.Semaphore(_MOST_AT_ONCE)
        self._watch_turn, self._look_up_turn = asyncio.Semaphore(1), asyncio.Semaphore(1)
        self._found: dict[int | UUID, Found] = {}
        self._wanted: dict[int | UUID, float] = {}
        self._work = asyncio.Event()
        self._told = asyncio.Event()
        self._has_failed = False
        self._away_since: float | None = None
        self._why = ""

    @property
    def problem(self) -> str:
        """Why the registry counts as away, in words; empty while it does not."""
        if self._away_since is None:
            return ""
        seconds = self._ticks() - self._away_since
        if seconds < GRACE_SECONDS:
            return ""
        return f"the schema registry {self.url} has been away for {int(seconds)} s ({self._why})"

    def warnings(self) -> list[str]:
        """What records wait for, longer than it should take to be told."""
        now = self._ticks()
        late = [
            (wanted, now - since) for wanted, since in self._wanted.items() if now - since > GRACE_SECONDS
        ]
        return [
            f"records wait for schema {wanted}, which the schema registry {self.url} has not told for "
            f"{int(seconds)} s"
            for wanted, seconds in late[:_MOST_WARNINGS]
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Look every few seconds whether it is there, and look up what is wanted, until `stop`."""
        async with asyncio.TaskGroup() as tasks:
            working = [tasks.create_task(self._watch()), tasks.create_task(self._serve())]
            await stop.wait()
            for each in working:
                each.cancel()

    def close(self) -> None:
        """Let the connections go."""
        self._remote.close()

    async def _watch(self) -> None:
        while True:
            with suppress(AwayError, RemoteRefusedError):
                await self._ask(self._watch_turn, lambda remote: remote.health())
            await asyncio.sleep(LOOK_SECONDS)

    async def _serve(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            if not await self._look_up_wanted():
                self._work.set()
                await asyncio.sleep(_AGAIN_SECONDS)

    async def ask(self, work: Callable[[Remote], T], *, seconds: float = _WHOLE_SECONDS) -> T:
        """Do what blocks, on a thread of its own; wait for it, and for a turn, at most so many seconds.

        Raises:
            AwayError: `registry_unavailable`: it is away, does not know us, or makes no sense; or others have
                all turns.
            RemoteRefusedError: it does not do it.
        """
        return await self._ask(self._turns, work, seconds)

    async def _ask(
        self, turns: asyncio.Semaphore, work: Callable[[Remote], T], seconds: float = _WHOLE_SECONDS
    ) -> T:
        until = self._ticks() + seconds
        running: asyncio.Future[T] | None = None
        try:
            async with asyncio.timeout(seconds):
                await turns.acquire()
                thread = self._aside(lambda: self._do(work, until))
                running = asyncio.ensure_future(thread)  # noqa: TID251 - it outlives whoever waits for it
                # The turn is the thread's: who gives up waiting leaves a thread behind, and a connection.
                running.add_done_callback(lambda _: turns.release())
                result = await asyncio.shield(running)
        except TimeoutError as error:
            if running is None:
                text = f"the schema registry {self.url} is busy with other questions of ours"
                raise AwayError("registry_unavailable", text) from error
            raise self._away("no answer in time") from error
        except RemoteRefusedError as error:
            if error.is_about_us:
                raise self._away(str(error)) from error
            self._is_there()
            raise
        except RemoteError as error:
            raise self._away(str(error)) from error
        self._is_there()
        return result

    def _do(self, work: Callable[[Remote], T], until: float) -> T:
        with self._remote.within(max(0.0, until - self._ticks())):
            return work(self._remote)

    def find(self, wanted: int | UUID) -> Found | None:
        """What an id or a GUID stands for, from memory; None: not known yet, and asked for from now on."""
        found = self._found.get(wanted)
        if found is not None and self._ticks() < found.until:
            return found
        if wanted not in self._wanted and len(self._wanted) < _MOST_WANTED:
            logger(__name__).info("a schema is asked for at the schema registry", schema=str(wanted))
            self._wanted[wanted] = self._ticks()
            self._work.set()
        return None

    async def told(self, seconds: float) -> bool:
        """Wait until something that was wanted is known or cannot be, at most so long; whether it is."""
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return False
        return not self._has_failed

    async def _look_up_wanted(self) -> bool:
        """Ask for all that is wanted; whether everything was answered."""
        for wanted in list(self._wanted):
            try:
                schema = await self._ask(self._look_up_turn, partial(_look_up, wanted=wanted))
            except (AwayError, RemoteRefusedError):
                # The next round begins with another: one that is never answered holds up none of them.
                self._wanted[wanted] = self._wanted.pop(wanted)
                self._tell(has_failed=True)
                return False
            self._keep(wanted, schema)
        return True

    def _keep(self, wanted: int | UUID, schema: Schema | None) -> None:
        self._found.pop(wanted, None)
        while len(self._found) >= _MOST_KNOWN:
            del self._found[next(iter(self._found))]
        until = self._ticks() + ABSENT_SECONDS if schema is None else float("inf")
        self._found[wanted] = Found(schema, until)
        del self._wanted[wanted]
        self._tell(has_failed=False)

    def _tell(self, *, has_failed: bool) -> None:
        self._has_failed = has_failed
        self._told.set()
        self._told = asyncio.Event()

    def _away(self, why: str) -> AwayError:
        if self._away_since is None:
            self._away_since = self._ticks()
            logger(__name__).warning("the schema registry is away", reason=why)
        self._why = why
        return AwayError("registry_unavailable", f"the schema registry {self.url} is away: {why}")

    def _is_there(self) -> None:
        if self._away_since is not None:
            logger(__name__).info("the schema registry is back")
        self._away_since = None
        self._why = ""


def _look_up(remote: Remote, *, wanted: int | UUID) -> Schema | None:
    """None too for what must not be used here: no contract can be like it."""
    try:
        return remote.by_guid(wanted) if isinstance(wanted, UUID) else remote.by_id(wanted)
    except SchemaError:
        return None
