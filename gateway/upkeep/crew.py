"""A large log is examined by several processes: each takes ranges of it, on a connection of its own.

Only hashing and comparing leave the process: what is found comes back, in the order of the ranges. They need
no snapshot in common. What is below a head, which was read before them, never changes but by erasure, and an
erasure commits together with what accounts for it: any one snapshot tells of a range what a common one would.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from typing import Final

from audit.fsck import RANGE_LEVEL, Ranged, Ranges, examine_range
from gateway.database import Database

WORTH: Final = 200_000
"""Entries from which on the start of processes, a second or two each, is worth it."""

MOST: Final = 64
"""Processes, each with a connection of its own."""

_AHEAD: Final = 2
"""Ranges that wait for each process."""

_database: list[Database] = []
"""Of a process of the crew."""


@contextmanager
def examining_crew(url: str, total: int, *, most: int, worth: int = WORTH) -> Iterator[Ranges | None]:
    """Who examines ranges of the logs in the database at `url`; None: nobody else, it is too little.

    `total`: entries in all. `most`: processes at the same time.
    """
    count = min(most, MOST)
    if total < worth or count < 2:  # noqa: PLR2004 - one would be no faster than none
        yield None
        return
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_open, initargs=(url,))

    def ranges(origin: str, size: int) -> Iterator[Ranged]:
        places = ((first, min(1 << RANGE_LEVEL, size - first)) for first in range(0, size, 1 << RANGE_LEVEL))
        waiting: deque[Future[Ranged]] = deque()
        for first, some in islice(places, count * _AHEAD):
            waiting.append(pool.submit(_examine, origin, first, some))
        while waiting:
            found = waiting.popleft().result()
            for first, some in islice(places, 1):
                waiting.append(pool.submit(_examine, origin, first, some))
            yield found

    try:
        yield ranges
    finally:
        pool.shutdown(cancel_futures=True)


def _open(url: str) -> None:
    _database.append(Database(url))


def _examine(origin: str, first: int, count: int) -> Ranged:
    with _database[0].looking() as session:
        return examine_range(session, origin, first, count)
