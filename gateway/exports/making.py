"""Makes the files of an export from the log: for the job, which cuts them, and for whoever asks for one.

Entries are read on SQL threads, a page at a time, and made into files on one thread of the exports' own, on
PostgreSQL while the next ones are read: the event loop only waits. What an export would not prove is
found here, before it is handed out: each leaf is compared with its evidence, and the job compares each file
with the nodes of the log.
"""

import hashlib
from asyncio import Future, Semaphore, get_running_loop
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar

from sqlmodel import Session

from audit import ranges
from audit.checkpoint import split_origin
from audit.errors import DamagedLogError, NotInLogError
from audit.export_avro import ContainerWriter, Press
from audit.export_lines import LineWriter
from audit.export_parquet import TableWriter
from audit.manifest import Format
from audit.merkle import hash_leaf, hash_node
from gateway.database import Database
from gateway.errors import OverloadedError
from gateway.exports.filling import Columns, Draft, fill
from gateway.exports.job import Part, Stretch, Wish
from gateway.exports.reading import Page, Reading

T = TypeVar("T")

PART_BYTES: Final = 16 * 2**20
"""Bytes of evidence and content after which a file ends; one entry more at most."""

PART_ENTRIES: Final = 50_000
_ENDLESS: Final = 1 << 62
_READ: Final = 1_000
"""Entries that are read at a time."""

_SLICE: Final = 250
_SOME: Final = 50
"""Entries that are read at least, where a file is all but full."""

MOST_AT_ONCE: Final = 2
"""Files that a process makes at once: each is in memory, several times over while it is made."""

MOST_WAITING: Final = 16


async def _silent() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Made:
    """A file, and what is to be known of it."""

    part: Part
    raw: bytes = field(repr=False)


class _Writer(Protocol):
    """What a file is made by."""

    def add(self, columns: Columns) -> None:
        """Take the next rows, column by column."""

    def end(self) -> bytes:
        """The file over all of them."""


_WRITERS: Final[dict[Format, Callable[[Press], _Writer]]] = {
    "jsonl": lambda _: LineWriter(),
    "avro": ContainerWriter,
    "parquet": lambda _: TableWriter(),
}


@dataclass(slots=True, eq=False)
class Maker:
    """See the module. One for each process. `part_bytes`, `part_entries`: after which a file ends."""

    database: Database
    part_bytes: int = PART_BYTES
    part_entries: int = PART_ENTRIES
    _turns: Semaphore = field(default_factory=lambda: Semaphore(MOST_AT_ONCE), init=False, repr=False)
    _waiting: int = field(default=0, init=False)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="exports"), init=False, repr=False
    )
    _presses: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="exports-press"),
        init=False,
        repr=False,
    )

    async def next(
        self,
        wish: Wish,
        number: int,
        stretch: int,
        first: int,
        *,
        alive: Callable[[], Awaitable[None]] = _silent,
    ) -> Made:
        """The next file of a job: entries of a stretch from `first` on, as many as fit.

        `alive` is awaited from time to time.

        Raises:
            DamagedLogError: the log is not whole.
            StoreError: the database is away.
            MissingLibraryError: it is to be Parquet, and pyarrow is not installed.
        """
        of = wish.stretches[stretch]
        async with self._turns:
            writer, draft = _WRITERS[wish.format](self._press), Draft((self.part_bytes, self.part_entries))
            await self._gather(wish, of, (first, of.end), draft, writer, alive=alive)
            part_end, ending = first + len(draft.leaves), self._end(writer)
            try:
                await self._verify_nodes(of, first, part_end, draft.leaves)
            finally:
                file = await ending
            return _made(file, draft, (number, stretch, first, part_end))

    async def again(self, wish: Wish, part: Part) -> Made:
        """A file of which the job knows, as it is today. Raises as `next`, and OverloadedError."""
        if self._waiting >= MOST_WAITING:
            raise OverloadedError("too many files of exports are being made; try again")
        self._waiting += 1
        try:
            async with self._turns:
                of = wish.stretches[part.stretch]
                writer, draft = _WRITERS[wish.format](self._press), Draft((_ENDLESS, _ENDLESS))
                await self._gather(wish, of, (part.first, part.end), draft, writer, alive=_silent)
                place = part.number, part.stretch, part.first, part.end
                return _made(await self._end(writer), draft, place)
        finally:
            self._waiting -= 1

    async def _gather(
        self,
        wish: Wish,
        of: Stretch,
        within: tuple[int, int],
        draft: Draft,
        writer: _Writer,
        *,
        alive: Callable[[], Awaitable[None]],
    ) -> None:
        first, end = within
        epoch = split_origin(of.origin)[1]
        reading = Reading(wish, of.origin, self.part_bytes)
        ahead: Future[Page] | None = None
        try:
            while (place := first + len(draft.leaves)) < end and not draft.is_full:
                page = await (ahead or self._read(reading, place, min(place + _due(draft), end)))
                # PostgreSQL looks for the next ones while these are made into rows. SQLite's driver gives way
                # at each row that it reads: two threads would do little but take turns.
                after = place + len(page.held)
                due = min(_due(draft, len(page.held)), end - after)
                may_go_on = due > 0 and not (page.is_cut or wish.has_content or self.database.is_sqlite)
                ahead = self._read(reading, after, after + due) if may_go_on else None
                await self._begin(partial(_add, writer, draft, epoch, page))
                if page.is_cut and not draft.is_full:
                    gap = first + len(draft.leaves)
                    raise DamagedLogError(f"{of.origin}: entries are missing from index {gap} on")
                await alive()
        finally:
            if ahead is not None:
                ahead.cancel()

    def _read(self, reading: Reading, first: int, end: int) -> Future[Page]:
        page = self.database.ask(partial(reading.page, first=first, end=end))
        # What nobody waits for any more may fail, and nobody is told.
        page.add_done_callback(lambda done: done.cancelled() or done.exception())
        return page

    async def _verify_nodes(self, of: Stretch, first: int, end: int, leaves: Sequence[bytes]) -> None:
        """The leaves are those that the log's tree was made of."""

        def look(session: Session) -> bool:
            before, after = ranges.edges(session, of.origin, (first, end))
            return _grown(before, first, leaves) == after

        try:
            is_same = await self.database.read(look)
        except NotInLogError as error:
            raise DamagedLogError(str(error)) from error
        if not is_same:
            raise DamagedLogError(f"{of.origin}: entries from index {first} on are not those of its tree")

    def _end(self, writer: _Writer) -> Future[tuple[bytes, bytes]]:
        """The file, and its digest."""

        def work() -> tuple[bytes, bytes]:
            raw = writer.end()
            return raw, hashlib.sha256(raw).digest()

        return self._begin(work)

    def _press(self, block: Callable[[], bytes]) -> Callable[[], bytes]:
        """Have a block of a file pressed, while the next one is filled."""
        return self._presses.submit(block).result

    def _begin(self, work: Callable[[], T]) -> Future[T]:
        return get_running_loop().run_in_executor(self._threads, work)


def _add(writer: _Writer, draft: Draft, epoch: int, page: Page) -> None:
    """Put entries into the file, few enough at a time to be worked on while they are in the cache."""
    for start in range(0, len(page.held), _SLICE):
        if not draft.is_full:
            some = page.held[start : start + _SLICE]
            writer.add(fill(draft, epoch, some, page.contents))


def _due(draft: Draft, waiting: int = 0) -> int:
    """How many entries to read next, where so many are read that are not in the file yet.

    Until it is full, if they are as large as those before; none while those that are read may fill it.
    """
    count = len(draft.leaves)
    left = draft.most[1] - count
    if draft.size:
        left = min(left, -(-(draft.most[0] - draft.size) * count // draft.size))
    return min(_READ, left - waiting if waiting else max(left, _SOME))


def _made(file: tuple[bytes, bytes], draft: Draft, place: tuple[int, int, int, int]) -> Made:
    raw, digest = file
    number, stretch, first, end = place
    times = draft.first_at, draft.last_at
    return Made(Part(number, stretch, first, end, draft.erased, len(raw), digest, *times), raw)


def _grown(edge: Sequence[bytes], size: int, leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    """The edge of a tree of `size` leaves, grown by these."""
    grown = list(edge)
    for leaf in leaves:
        value, place = hash_leaf(leaf), size
        while place & 1:
            value, place = hash_node(grown.pop(), value), place >> 1
        grown.append(value)
        size += 1
    return tuple(grown)
