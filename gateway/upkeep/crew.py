"""A large log is examined by several processes: each takes ranges of it, on a connection of its own.

Only hashing and comparing leave the process: what is found comes back, in the order of the ranges. They need
no snapshot in common. What is below a head, which was read before them, never changes but by erasure, and an
erasure commits together with what accounts for it: any one snapshot tells of a range what a common one would.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Final

from audit.fsck import RANGE_LEVEL, Ranged, Ranges, examine_range
from gateway.database import Database

WORTH: Final = 200_000
"""Entries from which on the start of processes, where it takes a second or two each, is worth it."""

MOST: Final = 64
"""Processes, each with a connection of its own."""

_AHEAD: Final = 4
"""Ranges that wait for each process."""

_database: list[Database] = []
"""Of a process of the crew."""


@dataclass(slots=True)
class _Turn:
    """A range: who examines it, or what was found in it here."""

    first: int
    count: int
    future: Future[Ranged]
    found: Ranged | None = None


@contextmanager
def examining_crew(
    url: str, total: int, *, most: int, worth: int = WORTH, level: int = RANGE_LEVEL
) -> Iterator[Ranges | None]:
    """Who examines ranges of the logs in the database at `url`; None: nobody else, it is too little.

    `total`: entries in all. `most`: processes at the same time, this one among them: it begins at once, while
    the others start. `level`: of the ranges, as of `audit.fsck`.

    To be entered while this process has no database open: the others may be forked off it.
    """
    count = min(most, MOST)
    if total < worth or count < 2:  # noqa: PLR2004 - one would be no faster than none
        yield None
        return
    context = get_context("fork" if _is_single() else "spawn")
    pool = ProcessPoolExecutor(count - 1, mp_context=context, initializer=_open, initargs=(url,))
    # They start with the first thing to do: forked ones now, before this process opens anything.
    try:
        pool.submit(_begin)
    except OSError:
        # No more processes, or no memory for them: those that are there wait for nobody, and it goes alone.
        for one in active_children():
            one.kill()
        yield None
        return
    ours = Database(url)

    def begin(origin: str, first: int, some: int) -> _Turn:
        return _Turn(first, some, pool.submit(_examine, origin, first, some, level))

    def ranges(origin: str, size: int) -> Iterator[Ranged]:
        places = ((first, min(1 << level, size - first)) for first in range(0, size, 1 << level))
        waiting = deque(begin(origin, *place) for place in islice(places, count * _AHEAD))
        while waiting:
            if waiting[0].found is None and not waiting[0].future.done():
                # The first that nobody has begun is ours; where all are begun, the next one is waited for.
                free = next((one for one in waiting if one.found is None and one.future.cancel()), None)
                if free is not None:
                    free.found = _examine_on(ours, origin, free.first, free.count, level)
                    continue
            turn = waiting.popleft()
            waiting.extend(begin(origin, *place) for place in islice(places, 1))
            yield turn.found or turn.future.result()

    try:
        yield ranges
    finally:
        pool.shutdown(cancel_futures=True)
        ours.close()


def _is_single() -> bool:
    """Whether this process has one thread, by the system's own count: then nothing is halfway when it forks.

    What is forked has loaded all that it needs: half a second of CPU time a process. Not known outside of
    Linux.
    """
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir()) == 1
    except OSError:
        return False


def _begin() -> None:
    """Be there."""


def _open(url: str) -> None:
    _database.append(Database(url))


def _examine(origin: str, first: int, count: int, level: int) -> Ranged:
    return _examine_on(_database[0], origin, first, count, level)


def _examine_on(database: Database, origin: str, first: int, count: int, level: int) -> Ranged:
    with database.looking() as session:
        return examine_range(session, origin, first, count, level=level)
