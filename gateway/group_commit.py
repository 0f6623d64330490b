"""The one queue between event loop and SQL: gathers what arrives while a commit runs, commits it together.

64 writers with a transaction each reach some hundred commits a second on SQLite; the same writers in groups
reach thousands. Never drops an item: each gets its result, its own error, or its group's error.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from sqlmodel import Session

from gateway.database import Database
from gateway.errors import BugError, OverloadedError, StoreError

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[Session, Sequence[T]], Sequence[R | Exception]]


class GroupCommit(Generic[T, R]):
    """A queue whose items are written in groups, in the order they came, one transaction a group.

    `work` gets a session and the group's items, and returns one result for each, in order; a result that is
    an exception is raised to that item's submitter alone, and the transaction still commits. What `work` or
    the COMMIT raises, every item of the group gets. Used from one event loop.
    """

    def __init__(
        self, database: Database, work: Work[T, R], *, limit: int = 500, waiting: int = 10_000
    ) -> None:
        """`limit`: items a transaction; `waiting`: items queued before new ones are refused."""
        self._database = database
        self._work = work
        self._limit = limit
        self._bound = waiting
        self._queue: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_closed = False

    async def submit(self, item: T) -> R:
        """Queue an item and wait until its group is committed.

        Cancelled while still queued, the item is dropped; cancelled later, it may be stored.

        Raises:
            OverloadedError: too many are waiting; nothing was queued.
            StoreError: nothing of the group is stored (also after `close`).
            StoreUnknownError: the group's COMMIT has no known outcome.
        """
        if self._is_closed:
            raise StoreError("store_unavailable", "the queue is closed: the program is stopping")
        if len(self._queue) >= self._bound:
            raise OverloadedError(f"{self._bound} writes are waiting already; try again")
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append((item, answer))
        if self._idle.is_set():
            self._start()
        return await answer

    async def close(self) -> None:
        """Refuse new items, and wait until the queued ones are settled. Idempotent."""
        self._is_closed = True
        await self._idle.wait()

    def _start(self) -> None:
        """Begin the next group; at most one is under way, the rest gathers meanwhile."""
        while group := self._take():
            if self._begin(group):
                return
        self._idle.set()

    def _begin(self, group: list[tuple[T, asyncio.Future[R]]]) -> bool:
        items = [item for item, _ in group]
        try:
            self._database.begin_write(
                lambda session: self._work(session, items), lambda done: self._settle(group, done)
            )
        except (OverloadedError, StoreError) as error:
            _fail(group, error)
            return False
        self._idle.clear()
        return True

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        group: list[tuple[T, asyncio.Future[R]]] = []
        while self._queue and len(group) < self._limit:
            entry = self._queue.popleft()
            if not entry[1].done():
                group.append(entry)
        return group

    def _settle(
        self, group: list[tuple[T, asyncio.Future[R]]], done: Future[Sequence[R | Exception]]
    ) -> None:
        error = StoreError("store_unavailable", "stopping") if done.cancelled() else done.exception()
        if error is not None:
            _fail(group, error)
        elif len(done.result()) != len(group):
            _fail(group, BugError(f"{len(done.result())} results for a group of {len(group)}"))
        else:
            for (_, answer), result in zip(group, done.result(), strict=True):
                _answer(answer, result)
        self._start()


def _answer(answer: asyncio.Future[R], result: R | Exception) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _fail(group: list[tuple[T, asyncio.Future[R]]], error: BaseException) -> None:
    for _, answer in group:
        if not answer.done():
            answer.set_exception(error)
