"""Makes the files of an export from the log: for the job, which cuts them, and for whoever asks for one.

Entries are read and made into rows on SQL threads, a slice at a time, and rows into files on one thread of
the exports' own, while the next ones are read: the event loop only waits. What an export would not prove is
found here, before it is handed out: each leaf is compared with its evidence, and the job compares each file
with the nodes of the log.
"""

import base64
import hashlib
from asyncio import Future, Semaphore, get_running_loop
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar

import msgspec
from sqlmodel import Session

from audit import ranges
from audit.bulk import find_rows
from audit.checkpoint import split_origin
from audit.errors import DamagedLogError, NotInLogError
from audit.evidence import Kind, leaf_of
from audit.export_avro import ContainerWriter
from audit.export_lines import LineWriter
from audit.export_parquet import TableWriter
from audit.export_row import CONTENT_PREFIX, Value, erased_row, row_of
from audit.manifest import Format
from audit.merkle import hash_leaf, hash_node
from audit.ranges import Held
from gateway.database import Database
from gateway.errors import OverloadedError
from gateway.exports.job import Part, Stretch, Wish
from gateway.rows import ClaimRow

T = TypeVar("T")
Row = tuple[Value, ...]

PART_BYTES: Final = 16 * 2**20
"""Bytes of evidence and content after which a file ends; one entry more at most."""

PART_ENTRIES: Final = 50_000
_ENDLESS: Final = 1 << 62
_READ: Final = 1_000
"""Entries that are read at a time."""

_CONTENT_BYTES: Final = 4 * 2**20
"""Bytes of content that are read at a time, one event more at most."""

MOST_AT_ONCE: Final = 2
"""Files that a process makes at once: each is in memory, several times over while it is made."""

MOST_WAITING: Final = 16

_KINDS: Final = {kind.value: kind for kind in Kind}


async def _silent() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Made:
    """A file, and what is to be known of it."""

    part: Part
    raw: bytes = field(repr=False)


class _Writer(Protocol):
    """What a file is made by."""

    def add(self, rows: Sequence[Row]) -> None:
        """Take the next rows."""

    def end(self) -> bytes:
        """The file over all of them."""


_WRITERS: Final[dict[Format, Callable[[], _Writer]]] = {
    "jsonl": LineWriter,
    "avro": ContainerWriter,
    "parquet": TableWriter,
}
_ACCEPTED_KIND: Final = Kind.ACCEPTED.value


@dataclass(slots=True)
class _Draft:
    """What is known of a file while it is made. `most`: bytes and entries after which it is full."""

    most: tuple[int, int]
    leaves: list[bytes] = field(default_factory=list)
    size: int = 0
    erased: int = 0
    first_at: int | None = None
    last_at: int | None = None

    @property
    def is_full(self) -> bool:
        return self.size >= self.most[0] or len(self.leaves) >= self.most[1]


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
            writer, draft = _WRITERS[wish.format](), _Draft((self.part_bytes, self.part_entries))
            await self._gather(wish, of, (first, of.end), draft, writer, alive=alive)
            part_end = first + len(draft.leaves)
            await self._verify_nodes(of, first, part_end, draft.leaves)
            return await self._file(writer, draft, (number, stretch, first, part_end))

    async def again(self, wish: Wish, part: Part) -> Made:
        """A file of which the job knows, as it is today. Raises as `next`, and OverloadedError."""
        if self._waiting >= MOST_WAITING:
            raise OverloadedError("too many files of exports are being made; try again")
        self._waiting += 1
        try:
            async with self._turns:
                of = wish.stretches[part.stretch]
                writer, draft = _WRITERS[wish.format](), _Draft((_ENDLESS, _ENDLESS))
                await self._gather(wish, of, (part.first, part.end), draft, writer, alive=_silent)
                return await self._file(writer, draft, (part.number, part.stretch, part.first, part.end))
        finally:
            self._waiting -= 1

    async def _gather(
        self,
        wish: Wish,
        of: Stretch,
        within: tuple[int, int],
        draft: _Draft,
        writer: _Writer,
        *,
        alive: Callable[[], Awaitable[None]],
    ) -> None:
        first, end = within
        reading = _Reading(wish, of.origin, self.part_bytes, draft)
        adding: Future[None] | None = None
        try:
            while (place := first + len(draft.leaves)) < end and not draft.is_full:
                rows = await self.database.read(
                    partial(reading.read, first=place, end=min(place + _READ, end))
                )
                if adding is not None:
                    await adding
                adding = self._begin(partial(writer.add, rows))
                await alive()
        finally:
            if adding is not None:
                await adding

    async def _verify_nodes(self, of: Stretch, first: int, end: int, leaves: Sequence[bytes]) -> None:
        """The leaves are those that the log's tree was made of."""
        try:
            before, after = await self.database.read(
                lambda session: ranges.edges(session, of.origin, (first, end))
            )
        except NotInLogError as error:
            raise DamagedLogError(str(error)) from error
        grown = await self._compute(partial(_grown, before, first, leaves))
        if grown != after:
            raise DamagedLogError(f"{of.origin}: entries from index {first} on are not those of its tree")

    async def _file(self, writer: _Writer, draft: _Draft, place: tuple[int, int, int, int]) -> Made:
        def work() -> tuple[bytes, bytes]:
            raw = writer.end()
            return raw, hashlib.sha256(raw).digest()

        raw, digest = await self._compute(work)
        number, stretch, first, end = place
        times = draft.first_at, draft.last_at
        return Made(Part(number, stretch, first, end, draft.erased, len(raw), digest, *times), raw)

    async def _compute(self, work: Callable[[], T]) -> T:
        return await self._begin(work)

    def _begin(self, work: Callable[[], T]) -> Future[T]:
        return get_running_loop().run_in_executor(self._threads, work)


class _Members(msgspec.Struct, gc=False):
    """The members of evidence that columns are made of; of others nothing is made."""

    kind: str
    at: int
    partner: object = None
    direction: object = None
    ref: object = None
    source: object = None
    id: object = None
    type: object = None
    endpoint: object = None
    auth: object = None
    by: object = None
    code: object = None
    outcome: object = None
    action: object = None
    reason: object = None
    status: object = None
    number: object = None
    ms: object = None


class _Content(msgspec.Struct):
    length: int
    sha256: str


class _Accepted(msgspec.Struct):
    content: _Content


_MEMBERS: Final = msgspec.json.Decoder(_Members)
_ACCEPTED: Final = msgspec.json.Decoder(_Accepted)


@dataclass(frozen=True, slots=True)
class _Reading:
    """How entries become rows, and what is noted of them in `draft`. `most`: bytes of content of one file."""

    wish: Wish
    origin: str
    most: int
    draft: _Draft

    def read(self, session: Session, first: int, end: int) -> list[Row]:
        """Rows of entries from `first` on, up to `end` or until the file is full.

        Raises:
            DamagedLogError: there are entries missing, or other ones than their leaves say.
        """
        draft, rows, epoch = self.draft, list[Row](), split_origin(self.origin)[1]
        for held in ranges.read(session, self.origin, first, end):
            place = first + len(rows)
            if [one[0] for one in held] != list(range(place, place + len(held))):
                break
            contents = self._contents(session, held) if self.wish.has_content else {}
            _fill(draft, rows, epoch, held, contents)
            if draft.is_full:
                return rows
        if first + len(rows) < end:
            raise DamagedLogError(f"{self.origin}: entries are missing from index {first + len(rows)} on")
        return rows

    def _contents(self, session: Session, held: Sequence[Held]) -> dict[bytes, bytes]:
        """Content as received by ref, of events whose content is kept, as far as one file takes it."""
        sizes = _content_sizes(held)
        found: dict[bytes, bytes] = {}
        taken: list[bytes] = []
        size = total = 0
        for ref, length in sizes:
            taken.append(ref)
            size += length
            if size >= _CONTENT_BYTES or ref is sizes[-1][0]:
                some = _read_contents(session, partner=self.wish.partner, refs=taken)
                found |= some
                # What is not kept any more takes no room in the file: what stands behind it is read too.
                total += sum(map(len, some.values()))
                taken, size = [], 0
            if total >= self.most:
                break
        return found


def _fill(
    draft: _Draft, rows: list[Row], epoch: int, held: Sequence[Held], contents: dict[bytes, bytes]
) -> None:
    # Everything that each entry takes is at hand here: a call more for each of them shows.
    decode, leaves, size = _MEMBERS.decode, draft.leaves, draft.size
    most_bytes, most_entries = draft.most
    first_at, last_at = draft.first_at, draft.last_at
    for one in held:
        if size >= most_bytes or len(leaves) >= most_entries:
            break
        index, leaf, raw, _, _ = one
        leaves.append(leaf)
        if raw is None:
            rows.append(erased_row(epoch, index, leaf.decode()))
            draft.erased += 1
            continue
        try:
            told = decode(raw)
            made = leaf_of(raw, _KINDS[told.kind], told.at)
        except (msgspec.DecodeError, KeyError) as error:
            raise DamagedLogError(f"entry {index} has evidence that cannot be read") from error
        at = told.at
        if made != leaf:
            raise DamagedLogError(f"entry {index} is not the leaf of its evidence")
        content = _content(one, contents) if contents else None
        rows.append(row_of(epoch, index, leaf.decode(), raw.decode(), told, content))
        size += len(raw) if content is None else len(raw) + len(content)
        first_at = at if first_at is None or at < first_at else first_at
        last_at = at if last_at is None or at > last_at else last_at
    draft.size, draft.first_at, draft.last_at = size, first_at, last_at


def _content(one: Held, contents: dict[bytes, bytes]) -> str | None:
    _, _, evidence, ref, kind = one
    raw = None if ref is None or kind != _ACCEPTED_KIND else contents.get(ref)
    if raw is None or evidence is None:
        return None
    if hashlib.sha256(raw).hexdigest() != _ACCEPTED.decode(evidence).content.sha256:
        return None
    return CONTENT_PREFIX + base64.b64encode(raw).decode()


def _content_sizes(held: Sequence[Held]) -> list[tuple[bytes, int]]:
    """Refs of accepted events, and how long their content is."""
    return [
        (ref, _ACCEPTED.decode(raw).content.length)
        for _, _, raw, ref, kind in held
        if kind == _ACCEPTED_KIND and raw is not None and ref is not None
    ]


def _read_contents(session: Session, *, partner: str, refs: Sequence[bytes]) -> dict[bytes, bytes]:
    rows = find_rows(session, ClaimRow, ("ref", "partner", "content"), key="ref", among=refs)
    return {ref: content for ref, owner, content in rows if owner == partner and content is not None}


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
