"""Every entry, node, head and checkpoint of a log derived anew, and compared with what is stored.

Reads in ranges, each for itself: entries and nodes below a head never change, so that a log can be examined
while it grows, and ranges by several processes, each in a snapshot of its own. What does change is evidence
that is erased; whatever is compared with that is read in the same snapshot. The heads were read first.
Writes nothing, repairs nothing; memory does not grow with the log.

Source: RFC 6962 section 2.1; docs/formats.md sections 4 and 6.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain, islice, product
from typing import Any, Final

from sqlmodel import Session

from audit import store
from audit.accounted import unaccounted
from audit.bulk import read_slices
from audit.checkpoint import Checkpoint, read_checkpoint, split_origin, verify_checkpoint
from audit.errors import AuditError, MalformedError, NotInLogError, VerificationError
from audit.examination import COLUMNS, Flaw, Row, examine, halves
from audit.firsts import Firsts, several
from audit.note import VerifierKey
from audit.store import LOWEST_LEVEL, LogState
from audit.tree import NodeKey, edge_keys, root_at

_EVIDENCE: Final = COLUMNS.index("evidence")
_KIND: Final = COLUMNS.index("kind")
_REF: Final = COLUMNS.index("ref")
_IS_FIRST: Final = len(COLUMNS)

RANGE_LEVEL: Final = 13
"""Of a range, a perfect subtree: 8,192 entries, some ten megabytes of evidence."""

_MOST_BEYOND: Final = 10_000
"""Places beyond a head that are named."""

Told = Callable[[int], None]
"""Called with the number of entries that were examined since the last call."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it must be.

    what: a word of docs/backup.md. origin: the log with its epoch, or without where it is about no epoch.
    first, last: the entries (for nodes: of that level) that it is about; None: the log as a whole.
    """

    what: str
    origin: str
    first: int | None = None
    last: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ranged:
    """What was found in a range of entries. `tops`: the hash over it, where it is a whole one."""

    count: int
    tops: tuple[bytes, ...]
    faults: tuple[Fault, ...]


Ranges = Callable[[str, int], Iterator[Ranged]]
"""Examines all ranges of a log, given its origin and size, in their order."""


def examine_log(
    session: Session,
    state: LogState,
    told: Told = lambda _: None,
    *,
    level: int = RANGE_LEVEL,
    ranges: Ranges | None = None,
) -> Iterator[Fault]:
    """Examine entries, nodes and head of one epoch of a log, as it stood when `state` was read.

    `level`: of the ranges that it is read in. `ranges`: who examines them, where that is somebody else.
    """

    def here(origin: str, size: int) -> Iterator[Ranged]:
        for first in range(0, size, 1 << level):
            yield examine_range(session, origin, first, min(1 << level, size - first), level=level)

    origin, tops = state.head.origin, list[bytes]()
    for found in (ranges or here)(origin, state.head.size):
        tops += found.tops
        yield from found.faults
        told(found.count)
    yield from _upper_nodes(_Place(session, origin), tops, level)
    yield from _head(session, state)
    yield from _beyond(session, origin)


def examine_range(
    session: Session, origin: str, first: int, count: int, *, level: int = RANGE_LEVEL
) -> Ranged:
    """Examine `count` entries from `first` on, a multiple of a range's size, and the nodes over them."""
    tops: list[bytes] = []
    faults = (*_range(_Place(session, origin), first, count, tops, level),)
    return Ranged(count, tuple(tops), faults)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where rows are read."""

    session: Session
    origin: str


def examine_checkpoint(session: Session, state: LogState, keys: Sequence[bytes]) -> Iterator[Fault]:
    """Examine the checkpoint that is kept of a log: its form, its size, its root, its signature.

    `keys`: every public key that ever signed checkpoints here.
    """
    origin, text = state.head.origin, state.checkpoint
    if text is None:
        if state.checkpoint_size:
            yield Fault("checkpoint_missing", origin, detail=f"one of {state.checkpoint_size} entries")
        return
    try:
        shown = read_checkpoint(text.encode())[0]
    except MalformedError as error:
        yield Fault("checkpoint_malformed", origin, detail=str(error))
        return
    if (shown.origin, shown.size) != (origin, state.checkpoint_size):
        yield Fault("checkpoint_foreign", origin, detail=f"it is of {shown.origin} at {shown.size}")
        return
    try:
        verify_checkpoint(text.encode(), [VerifierKey(origin, key) for key in keys])
    except VerificationError as error:
        yield Fault("checkpoint_unsigned", origin, detail=str(error))
    yield from examine_root(session, state, shown)


def examine_root(session: Session, state: LogState, shown: Checkpoint) -> Iterator[Fault]:
    """Compare a checkpoint that was shown of the log with the log."""
    origin = state.head.origin
    if shown.size > state.head.size:
        detail = f"{shown.size} entries were published, the database has {state.head.size}"
        yield Fault("checkpoint_ahead", origin, state.head.size, shown.size - 1, detail)
        return
    try:
        root = root_at(shown.size, lambda wanted: dict(store.load_nodes(session, origin, wanted)))
    except NotInLogError as error:
        yield Fault("checkpoint_wrong", origin, detail=str(error))
        return
    if root != shown.root:
        yield Fault("checkpoint_wrong", origin, detail=f"another root was published at {shown.size} entries")


def examine_events(session: Session, states: Sequence[LogState]) -> Iterator[Fault]:
    """Examine events that several entries of one log are of, in these epochs of logs, as they stood then."""
    total = sum(one.head.size for one in store.load_states(session))
    sizes = {one.head.origin: one.head.size for one in states}
    for origin, wrong in several(session, sizes, total):
        for index, what, words in wrong:
            yield Fault(what, origin, index, index, words)


def examine_pending(session: Session, log: str) -> Iterator[Fault]:
    """Examine the evidence that waits for a log (its name, without an epoch)."""
    try:
        store.load_pending(session, log, 1 << 31)
    except AuditError as error:
        yield Fault("pending_unreadable", log, detail=str(error))


def accepted_at(session: Session, refs: Sequence[bytes]) -> Mapping[tuple[str, bytes], set[int]]:
    """Where these events were accepted: indexes, by log (without an epoch) and ref."""
    found: dict[tuple[str, bytes], set[int]] = {}
    for log, ref, index in store.find_accepted(session, refs):
        found.setdefault((log, ref), set()).add(index)
    return found


def strays(session: Session, known: Sequence[LogState]) -> Iterator[Fault]:
    """Entries and nodes of logs that have no head."""
    origins = {one.head.origin for one in known}
    for table, what in (("audit_entry", "entries"), ("audit_node", "nodes")):
        place: tuple[Any, ...] = ("", -1)
        query = f"SELECT log, epoch FROM {table} WHERE (log, epoch) > (?, ?) ORDER BY log, epoch LIMIT 1"  # noqa: S608 - fixed names
        while rows := _fetch(session, query, place):
            (place,) = rows
            if (origin := f"{place[0]}/{place[1]}") not in origins:
                yield Fault("head_missing", origin, detail=f"there are {what} of it")


def _range(walk: _Place, first: int, count: int, tops: list[bytes], top: int) -> Iterator[Fault]:
    """Entries of a range, and the nodes of all perfect subtrees in it; of level `top` they go into `tops`."""
    read = _read(walk, first, count)
    missing_evidence = unaccounted(walk.session, walk.origin, read.bare)
    yield from folded("evidence_missing", walk.origin, missing_evidence)
    hashes, missing = read.hashes, list[int]()
    if len(read.indexes) != count:
        missing = sorted(set(range(first, first + count)) - set(read.indexes))
        yield from folded("entry_missing", walk.origin, missing)
        there = dict(zip(read.indexes, hashes, strict=True))
        hashes = [there.get(index, bytes(32)) for index in range(first, first + count)]
    known: Mapping[int, bytes] = {}
    if read.flaws or missing:
        known = _nodes(walk, LOWEST_LEVEL, first >> LOWEST_LEVEL, count >> LOWEST_LEVEL)
    judged = _judged(hashes, first, read.flaws, known)
    for flaw, row in read.flaws:
        what = flaw.what
        if what == "leaf_wrong" and row[_EVIDENCE] is not None and flaw.index in judged:
            what, hashes[flaw.index - first] = judged[flaw.index]
        yield Fault(what, walk.origin, flaw.index, flaw.index, flaw.detail)
    level, gaps = 0, {index >> LOWEST_LEVEL for index in missing}
    yield from _compare(walk, 0, first, hashes, _nodes(walk, 0, first, count), frozenset(missing))
    while len(hashes) > 1 and level < top:
        hashes, level, first = _parents(hashes), level + 1, first >> 1
        if level == LOWEST_LEVEL:
            # The tree goes on with what it has over entries that are gone: so its other faults are found too.
            for index in gaps & known.keys():
                hashes[index - first] = known[index]
        under = frozenset(index >> level for index in missing) if level < LOWEST_LEVEL else frozenset()
        yield from _compare(walk, level, first, hashes, _nodes(walk, level, first, len(hashes)), under)
    if level == top:
        tops += hashes
    for index, what, words in read.firsts.alone(walk.session, walk.origin):
        yield Fault(what, walk.origin, index, index, words)


@dataclass(slots=True)
class _Read:
    """What was read of the entries of a range. `bare`: leaf hashes, by index, of those without evidence."""

    firsts: Firsts = field(default_factory=Firsts)
    indexes: list[int] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    bare: dict[int, bytes] = field(default_factory=dict)
    flaws: list[tuple[Flaw, Row]] = field(default_factory=list)


def _read(walk: _Place, first: int, count: int) -> _Read:
    log, epoch = split_origin(walk.origin)
    read = _Read()
    for rows in read_slices(walk.session, _ENTRIES, (log, epoch, first, first + count - 1)):
        found = examine(log, rows)
        indexes = [row[0] for row in rows]
        read.indexes += indexes
        read.hashes += found.hashes
        if None in [row[_EVIDENCE] for row in rows]:
            pairs = zip(rows, found.hashes, strict=True)
            read.bare |= {row[0]: value for row, value in pairs if row[_EVIDENCE] is None}
        if found.flaws:
            by_index = dict(zip(indexes, rows, strict=True))
            read.flaws += [(flaw, by_index[flaw.index]) for flaw in found.flaws]
        read.firsts.note([(row[0], row[_KIND], row[_REF], row[_IS_FIRST]) for row in rows])
    return read


def _judged(
    hashes: Sequence[bytes], first: int, flaws: Sequence[tuple[Flaw, Row]], known: Mapping[int, bytes]
) -> dict[int, tuple[str, bytes]]:
    """Which half of entries was changed, where leaf and evidence differ: the stored node over them tells.

    By index: the word of the fault, and the leaf hash that the tree was made with.
    """
    unsure: dict[int, dict[int, tuple[bytes, bytes]]] = {}
    for flaw, row in flaws:
        if flaw.what == "leaf_wrong" and row[_EVIDENCE] is not None and flaw.index >> LOWEST_LEVEL in known:
            unsure.setdefault(flaw.index >> LOWEST_LEVEL, {})[flaw.index] = halves(row)
    found: dict[int, tuple[str, bytes]] = {}
    for block, pairs in unsure.items():
        start = (block << LOWEST_LEVEL) - first
        for chosen in product(range(len(_ALTERED)), repeat=len(pairs)):
            picked = {
                index: (_ALTERED[half], pair[half])
                for half, (index, pair) in zip(chosen, pairs.items(), strict=True)
            }
            tree = list(hashes[start : start + (1 << LOWEST_LEVEL)])
            for index, (_, value) in picked.items():
                tree[index - first - start] = value
            while len(tree) > 1:
                tree = _parents(tree)
            if tree[0] == known[block]:
                found |= picked
                break
    return found


_ALTERED: Final = ("leaf_altered", "evidence_altered")
"""What was changed, where the tree was made with the half in this place of `halves`."""


def _upper_nodes(walk: _Place, hashes: list[bytes], level: int) -> Iterator[Fault]:
    """Nodes above the ranges, whose hashes these are."""
    while len(hashes) > 1:
        hashes, level = _parents(hashes), level + 1
        for start in range(0, len(hashes), 1 << RANGE_LEVEL):
            some = hashes[start : start + (1 << RANGE_LEVEL)]
            yield from _compare(walk, level, start, some, _nodes(walk, level, start, len(some)))


def _compare(
    walk: _Place,
    level: int,
    first: int,
    hashes: Sequence[bytes],
    stored: Mapping[int, bytes],
    unknown: frozenset[int] = frozenset(),
) -> Iterator[Fault]:
    """`unknown`: places whose hash is not known. Of a level that is not stored, what is there is compared."""
    if list(stored.values()) == hashes or (level < LOWEST_LEVEL and not stored):
        return
    among = [(index, value) for index, value in enumerate(hashes, first) if index not in unknown]
    wrong = [index for index, value in among if stored.get(index, value) != value]
    missing = [index for index, _ in among if index not in stored and level >= LOWEST_LEVEL]
    yield from folded("node_wrong", walk.origin, wrong, f"level {level}")
    yield from folded("node_missing", walk.origin, missing, f"level {level}")


def _head(session: Session, state: LogState) -> Iterator[Fault]:
    """The head's edge, which the next entry is appended to."""
    head = state.head
    keys: Sequence[NodeKey] = edge_keys(head.size)
    try:
        nodes = store.load_nodes(session, head.origin, keys)
    except NotInLogError:
        return  # told already
    if head.edge != tuple(nodes[key] for key in keys):
        yield Fault("head_wrong", head.origin, detail="its edge is not made of the log's nodes")


def _beyond(session: Session, origin: str) -> Iterator[Fault]:
    """Entries and nodes that the head does not know of, or came to know meanwhile."""
    log, epoch = split_origin(origin)
    where = 'log = ? AND epoch = ? AND "index" >= ?'
    now = store.find_states(session, [origin])[origin].head.size
    query = f'SELECT "index" FROM audit_entry WHERE {where} ORDER BY "index" LIMIT {_MOST_BEYOND}'  # noqa: S608 - fixed names
    found = [row[0] for row in _fetch(session, query, (log, epoch, now))]
    yield from folded("entry_beyond", origin, found)
    for level in range(64):
        query = (
            f'SELECT "index" FROM audit_node WHERE log = ? AND epoch = ? AND level = ? AND "index" >= ? '  # noqa: S608 - fixed names
            f'ORDER BY "index" LIMIT {_MOST_BEYOND}'
        )
        found = [row[0] for row in _fetch(session, query, (log, epoch, level, now >> level))]
        yield from folded("node_beyond", origin, found, f"level {level}")


def folded(what: str, origin: str, indexes: Sequence[int], detail: str = "") -> Iterator[Fault]:
    """One fault for each run of neighbours among sorted indexes."""
    rest = iter(indexes)
    for start in islice(rest, 1):
        first = last = start
        for index in rest:
            if index != last + 1:
                yield Fault(what, origin, first, last, detail)
                first = index
            last = index
        yield Fault(what, origin, first, last, detail)


_INDEX: Final = '"index"'
_HERE: Final = f"log = ? AND epoch = ? AND {_INDEX} BETWEEN ? AND ?"
_NAMES: Final = ", ".join(f'"{name}"' for name in (*COLUMNS, "is_first"))
_ENTRIES: Final = f'SELECT {_NAMES} FROM audit_entry WHERE {_HERE} ORDER BY "index"'  # noqa: S608 - fixed text


def _parents(hashes: Sequence[bytes]) -> list[bytes]:
    """Hashes of the nodes over each two; the last one of an odd number has none yet."""
    pairs = iter(hashes)
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]


def _nodes(walk: _Place, level: int, first: int, count: int) -> dict[int, bytes]:
    log, epoch = split_origin(walk.origin)
    query = (
        'SELECT "index", hash FROM audit_node WHERE log = ? AND epoch = ? AND level = ? '
        'AND "index" BETWEEN ? AND ? ORDER BY "index"'
    )
    return dict(_fetch(walk.session, query, (log, epoch, level, first, first + count - 1)))


def _fetch(session: Session, query: str, values: Sequence[Any]) -> list[Any]:
    return list(chain.from_iterable(read_slices(session, query, values)))
