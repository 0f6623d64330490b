"""Lets deliveries that are tried again begin evenly, so that very many which are due delay nothing new.

An endpoint that was away for an hour, or a relay that starts after a night, makes a hundred thousand retries
due in one moment. Each costs as much as a new event; begun together they would stand before all that comes.
So shards take a few at a time, each shard in its turn, and these begin one by one, once their bodies have
come; `gateway.egress.tempo` says when. Those that have their turn in their lane, before something new, wait
for nobody here; the others wait for them.

Nothing waits here for an answer: what waits is a task of its own, and goes with it.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from gateway.egress.tempo import Tempo
from gateway.waits import rest

_SOME: Final = 2
"""Retries of one shard a turn: few, since each takes a place in its lane while it waits here."""

_LOOK_SECONDS: Final = 0.01
"""A shard that was asked may have nothing to send any more: the next is asked after so long."""


class Waiting(Protocol):
    """A shard at work. `granted`: how many retries it may take; `wake` makes it look."""

    granted: int
    wake: asyncio.Event


class Turnstile:
    """One a relay."""

    def __init__(self) -> None:
        self._tempo = Tempo()
        self._waiting: dict[Waiting, None] = {}
        self._ready: deque[tuple[asyncio.Future[None], float]] = deque()
        self._loading = 0
        self._stirred = asyncio.Event()
        self._is_open = False

    def note_new(self) -> None:
        """Something new is sent."""
        self._tempo.note_new(_time())

    def note_ahead(self, count: int) -> None:
        """So many more retries were taken than might be."""
        self._tempo.note_ahead(count)

    def join(self, waiting: Waiting) -> None:
        """It has retries that may not be taken yet; once, however often it says so."""
        self._waiting[waiting] = None
        self._stirred.set()

    @contextmanager
    def loading(self, count: int) -> Iterator[None]:
        """So many retries were taken, and their bodies are on their way."""
        self._loading += count
        try:
            yield
        finally:
            self._loading -= count
            self._stirred.set()

    async def pass_through(self) -> None:
        """Wait until one more may begin; while nobody lets anything begin, nothing waits."""
        if not self._is_open:
            return
        turn = asyncio.get_running_loop().create_future()
        self._ready.append((turn, _time()))
        self._stirred.set()
        await turn

    async def run(self) -> None:
        """Let shards take retries, and these begin, until cancelled; then nothing waits any more."""
        self._is_open = True
        try:
            while True:
                self._stirred.clear()
                self._grant()
                if await self._let_begin():
                    await asyncio.sleep(0)  # what has come since goes on before another one begins
                elif self._waiting:
                    await rest(self._stirred, _LOOK_SECONDS)
                else:
                    await self._stirred.wait()
        finally:
            self._is_open = False
            while self._ready:
                self._open(self._ready.popleft()[0])

    def _grant(self) -> None:
        """Have some shards take some, as many as are to be ready, once half of these have begun."""
        stock, here = self._tempo.stock(_time()), len(self._ready) + self._loading
        lacking = stock - here if here <= stock // 2 else 0
        while lacking > 0 and self._waiting:
            first = next(iter(self._waiting))
            del self._waiting[first]
            first.granted = min(_SOME, lacking)
            first.wake.set()
            lacking -= first.granted

    async def _let_begin(self) -> bool:
        """Let the next begin, once it may, or see again soon; whether there was one."""
        while self._ready and self._ready[0][0].done():
            self._ready.popleft()  # its task was cancelled
        if not self._ready:
            return False
        wait = self._tempo.wait(_time())
        if wait:
            await asyncio.sleep(min(wait, _LOOK_SECONDS))
        if wait > _LOOK_SECONDS:
            return True
        turn, ready_at = self._ready.popleft()
        if self._open(turn):
            self._tempo.begin(_time(), ready_at=ready_at)
        return True

    @staticmethod
    def _open(turn: "asyncio.Future[None]") -> bool:
        if turn.done():
            return False
        turn.set_result(None)
        return True


def _time() -> float:
    return asyncio.get_running_loop().time()
