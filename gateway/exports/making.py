"""Makes the files of an export from the log: for the job, which cuts them, and for whoever asks for one.

Reading is done on SQL threads, rows and files are made on one thread of the exports' own, a slice at a time:
the event loop only waits. What an export would not prove is found here, before it is handed out: each leaf is
compared with its evidence, and the job compares each file with the nodes of the log.
"""

import base64
import hashlib
from asyncio import Semaphore, get_running_loop
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import msgspec
from sqlmodel import Session

from audit import ranges
from audit.bulk import find_rows
from audit.errors import DamagedLogError, NotInLogError
from audit.evidence import Kind, leaf_of
from audit.export_avro import encode_container
from audit.export_lines import encode_lines
from audit.export_parquet import encode_table
from audit.export_row import CONTENT_PREFIX, Value, erased_row, row_of
from audit.manifest import Format
from audit.merkle import hash_leaf, hash_node
from audit.ranges import Held
from gateway.database import Database
from gateway.errors import BugError, OverloadedError
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

_ENCODERS: Final[dict[Format, Callable[[Sequence[Row]], bytes]]] = {
    "jsonl": encode_lines,
    "avro": encode_container,
    "parquet": encode_table,
}
_KINDS: Final = {kind.value: kind for kind in Kind}


async def _silent() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Made:
    """A file, and what is to be known of it."""

    part: Part
    raw: bytes = field(repr=False)


@dataclass(slots=True)
class _Draft:
    """Rows of a file, as they are gathered. `most`: bytes and entries after which it is full."""

    most: tuple[int, int]
    rows: list[Row] = field(default_factory=list)
    size: int = 0
    erased: int = 0
    first_at: int | None = None
    last_at: int | None = None

    @property
    def is_full(self) -> bool:
        return self.size >= self.most[0] or len(self.rows) >= self.most[1]


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
            draft = await self._gather(wish, of, (first, of.end), alive, is_cut=True)
            part_end = first + len(draft.rows)
            await self._verify_nodes(of, first, part_end, draft.rows)
            return await self._file(wish, draft, (number, stretch, first, part_end))

    async def again(self, wish: Wish, part: Part) -> Made:
        """A file of which the job knows, as it is today. Raises as `next`, and OverloadedError."""
        if self._waiting >= MOST_WAITING:
            raise OverloadedError("too many files of exports are being made; try again")
        self._waiting += 1
        try:
            async with self._turns:
                of = wish.stretches[part.stretch]
                draft = await self._gather(wish, of, (part.first, part.end), _silent, is_cut=False)
                return await self._file(wish, draft, (part.number, part.stretch, part.first, part.end))
        finally:
            self._waiting -= 1

    async def _gather(
        self,
        wish: Wish,
        of: Stretch,
        within: tuple[int, int],
        alive: Callable[[], Awaitable[None]],
        *,
        is_cut: bool,
    ) -> _Draft:
        draft, (first, end) = _Draft((self.part_bytes, self.part_entries)), within
        place = first
        epoch = int(of.origin.rpartition("/")[2])
        while place < end and not (is_cut and draft.is_full):
            held = await self.database.read(
                partial(ranges.read, origin=of.origin, first=place, end=min(place + _READ, end))
            )
            if [one.place for one in held] != list(range(place, min(place + _READ, end))):
                raise DamagedLogError(f"{of.origin}: entries are missing from index {place} on")
            contents = await self._contents(wish, held) if wish.has_content else {}
            await self._compute(partial(_fill, draft, epoch, held, contents, is_cut=is_cut))
            place = first + len(draft.rows)
            await alive()
        return draft

    async def _contents(self, wish: Wish, held: Sequence[Held]) -> dict[bytes, bytes]:
        """Content as received by ref, of events whose content is kept, as far as one file takes it."""
        sizes = await self._compute(partial(_content_sizes, held))
        found: dict[bytes, bytes] = {}
        taken: list[bytes] = []
        size = total = 0
        for ref, length in sizes:
            taken.append(ref)
            size += length
            if size >= _CONTENT_BYTES or ref is sizes[-1][0]:
                some = await self.database.read(partial(_read_contents, partner=wish.partner, refs=taken))
                found |= some
                # What is not kept any more takes no room in the file: what stands behind it is read too.
                total += sum(map(len, some.values()))
                taken, size = [], 0
            if total >= self.part_bytes:
                break
        return found

    async def _verify_nodes(self, of: Stretch, first: int, end: int, rows: Sequence[Row]) -> None:
        """The leaves are those that the log's tree was made of."""
        try:
            before, after = await self.database.read(
                lambda session: ranges.edges(session, of.origin, (first, end))
            )
        except NotInLogError as error:
            raise DamagedLogError(str(error)) from error
        grown = await self._compute(partial(_grown, before, first, rows))
        if grown != after:
            raise DamagedLogError(f"{of.origin}: entries from index {first} on are not those of its tree")

    async def _file(self, wish: Wish, draft: _Draft, place: tuple[int, int, int, int]) -> Made:
        def work() -> tuple[bytes, bytes]:
            raw = _ENCODERS[wish.format](draft.rows)
            return raw, hashlib.sha256(raw).digest()

        raw, digest = await self._compute(work)
        number, stretch, first, end = place
        times = draft.first_at, draft.last_at
        return Made(Part(number, stretch, first, end, draft.erased, len(raw), digest, *times), raw)

    async def _compute(self, work: Callable[[], T]) -> T:
        return await get_running_loop().run_in_executor(self._threads, work)


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


def _fill(
    draft: _Draft, epoch: int, held: Sequence[Held], contents: dict[bytes, bytes], *, is_cut: bool
) -> None:
    # Everything that each entry takes is at hand here: a call more for each of them shows.
    decode, rows, size = _MEMBERS.decode, draft.rows, draft.size
    most_bytes, most_entries = draft.most if is_cut else (_ENDLESS, _ENDLESS)
    first_at, last_at = draft.first_at, draft.last_at
    for one in held:
        if size >= most_bytes or len(rows) >= most_entries:
            break
        index, leaf, raw, _, _ = one
        if raw is None:
            rows.append(erased_row(epoch, index, leaf.decode()))
            draft.erased += 1
            continue
        told = decode(raw)
        at = told.at
        if leaf_of(raw, _KINDS[told.kind], at) != leaf:
            raise DamagedLogError(f"entry {index} is not the leaf of its evidence")
        content = _content(one, contents) if contents else None
        rows.append(row_of(epoch, index, leaf.decode(), raw.decode(), told, content))
        size += len(raw) if content is None else len(raw) + len(content)
        first_at = at if first_at is None or at < first_at else first_at
        last_at = at if last_at is None or at > last_at else last_at
    draft.size, draft.first_at, draft.last_at = size, first_at, last_at


def _content(one: Held, contents: dict[bytes, bytes]) -> str | None:
    raw = None if one.ref is None or one.kind != Kind.ACCEPTED.value else contents.get(one.ref)
    if raw is None or one.raw is None:
        return None
    if hashlib.sha256(raw).hexdigest() != _ACCEPTED.decode(one.raw).content.sha256:
        return None
    return CONTENT_PREFIX + base64.b64encode(raw).decode()


def _content_sizes(held: Sequence[Held]) -> list[tuple[bytes, int]]:
    """Refs of accepted events, and how long their content is."""
    return [
        (one.ref, _ACCEPTED.decode(one.raw).content.length)
        for one in held
        if one.kind == Kind.ACCEPTED.value and one.raw is not None and one.ref is not None
    ]


def _read_contents(session: Session, *, partner: str, refs: Sequence[bytes]) -> dict[bytes, bytes]:
    rows = find_rows(session, ClaimRow, ("ref", "partner", "content"), key="ref", among=refs)
    return {ref: content for ref, owner, content in rows if owner == partner and content is not None}


def _grown(edge: Sequence[bytes], size: int, rows: Sequence[Row]) -> tuple[bytes, ...]:
    """The edge of a tree of `size` leaves, grown by the leaves of these rows."""
    grown = list(edge)
    for row in rows:
        value, place = hash_leaf(_leaf(row)), size
        while place & 1:
            value, place = hash_node(grown.pop(), value), place >> 1
        grown.append(value)
        size += 1
    return tuple(grown)


def _leaf(row: Row) -> bytes:
    leaf = row[-3]
    if not isinstance(leaf, str):
        raise BugError("the leaf of a row is a text, third from its end")
    return leaf.encode()
