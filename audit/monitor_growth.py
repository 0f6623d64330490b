"""From a known log to a larger one: every entry in between is read, and the tree made of them again.

A tree that is made of the known one and the entries behind it has the signed root, or something is wrong;
then the hashes that are handed out say what: where they lead from the one signed root to the other, the log
only grew, and the entries are not its own. Hashes prove that much, whoever hands them out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from audit.alarm import AlarmError, Suspicion, proven, stop
from audit.checkpoint import Checkpoint
from audit.errors import MalformedError
from audit.log_source import (
    AnswerUnfitError,
    LogMissingError,
    TileNodes,
    Tiles,
    edges_of,
    perfect,
    read_entries,
    read_hashes,
)
from audit.merkle import hash_leaf
from audit.monitor_state import Kept
from audit.proof import ConsistencyProof, format_consistency
from audit.tile import FULL_WIDTH, TREE_LEVELS
from audit.tree import Head, NodeKey, prove_consistency, root_at

MOST_SIZE: Final = 10**9
"""Entries that a log can have: paths name them by nine digits."""

_LOWEST: Final = (1 << TREE_LEVELS) - 1

Check = Callable[[Sequence[bytes]], bool]


@dataclass(slots=True)
class Grown:
    """The larger log, or as much of it as was read: its head, and where each new leaf is, by its hash.

    nodes: those that tiles stand on. doubt: hashes of the lowest level were others than the entries'.
    """

    head: Head
    leaves: dict[bytes, int] = field(default_factory=dict, repr=False)
    nodes: dict[NodeKey, bytes] = field(default_factory=dict, repr=False)
    doubt: AlarmError | None = None


def grow(
    kept: Kept | None,
    shown: Checkpoint,
    raw: bytes,
    source: Tiles,
    *,
    start: Head | None = None,
    is_enough: Callable[[int], bool] = lambda _: False,
) -> Grown:
    """Read the entries of a signed checkpoint beyond what is kept, and compare.

    Args:
        kept: What is known; None: nothing.
        shown: The signed checkpoint, of the same log, with more entries.
        raw: Its note.
        source: Where entries and hashes are read.
        start: What an earlier call for the same checkpoint came to.
        is_enough: Asked after each bundle, with the number of entries that were read. What was read by then
            is given back with a head of fewer entries than `shown`, and was compared with no root yet.

    Raises:
        AlarmError: fork, entries or tiles.
        MalformedError, AnswerUnfitError, LogAwayError: nothing was found out.
    """
    first = Head(shown.origin) if kept is None else kept.head
    known = start or first
    if shown.size > MOST_SIZE:
        raise AnswerUnfitError(f"a checkpoint of {shown.size} entries: no log has more than {MOST_SIZE}")
    try:
        grown = _read(known, shown, source, is_enough)
    except LogMissingError as error:
        raise stop(
            Suspicion.ENTRIES,
            f"{shown.origin} {known.size}",
            f"{shown.origin}: entries of the {shown.size} that are signed are not handed out ({error})",
            shown=raw,
        ) from error
    size = grown.head.size
    if not known.size < size < shown.size and (size, grown.head.root()) != (shown.size, shown.root):
        raise _apart(kept, shown, raw, source)
    if grown.doubt is not None:
        raise grown.doubt
    _verify_tiles((first, known), grown, shown, source)
    return grown


def _read(known: Head, shown: Checkpoint, source: Tiles, is_enough: Callable[[int], bool]) -> Grown:
    """Make the tree of what is known and of the entries behind it; ends where these are others than known."""
    rest = known.size % FULL_WIDTH
    full = known.size - rest
    grown = Grown(Head(shown.origin, full, known.edge[: full.bit_count()]))
    for index, width in _bundles(full, shown.size):
        head = grown.head
        leaves = read_entries(source, shown.origin, index, width)
        if head.size < known.size and head.append(leaves[:rest])[0].edge != known.edge:
            return grown
        for place, leaf in enumerate(leaves, head.size):
            if place >= known.size:
                grown.leaves[hash_leaf(leaf)] = place
        grown.head, nodes = head.append(leaves)
        for node in nodes:
            if node.level % TREE_LEVELS == 0:
                grown.nodes[node.level, node.index] = node.hash
        try:
            _verify_lowest(grown, shown.origin, (index, width), source)
        except AlarmError as error:
            # Which of the two lies is known once there is a root.
            grown.doubt = grown.doubt or error
        if is_enough(grown.head.size - known.size):
            break
    return grown


def _bundles(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Index and width of each bundle from leaf `start` on, which begins one."""
    for first in range(start, end, FULL_WIDTH):
        yield first // FULL_WIDTH, min(FULL_WIDTH, end - first)


def _verify_lowest(grown: Grown, origin: str, tile: tuple[int, int], source: Tiles) -> None:
    """The hashes of one bundle's entries; of a full tile nothing but its root is needed from then on."""
    index, width = tile
    first = index * FULL_WIDTH
    ours = tuple(grown.nodes.pop((0, place)) for place in range(first, first + width))
    _compare(origin, (0, index, width), source, lambda hashes: hashes == ours)


def _verify_tiles(known: tuple[Head, Head], grown: Grown, shown: Checkpoint, source: Tiles) -> None:
    """The hashes of higher levels: each tile that has come to be full, and the one at the right.

    That one only where all is read: of a smaller log than the one that is shown it need not be there.
    `known`: what is kept, and what an earlier look came to.
    """
    level, size = 1, grown.head.size
    while size >> (TREE_LEVELS * level):
        count, *earlier = (one.size >> (TREE_LEVELS * level) for one in (grown.head, *known))
        for index in range(earlier[1] // FULL_WIDTH, count // FULL_WIDTH):
            above = grown.nodes[TREE_LEVELS * (level + 1), index]
            _compare(shown.origin, (level, index, FULL_WIDTH), source, _makes(above))
        width = count % FULL_WIDTH
        if width and count != earlier[0] and size == shown.size:
            right = _right(grown.head.edge, size, level)
            _compare(shown.origin, (level, count // FULL_WIDTH, width), source, _ends_in(right))
        level += 1


def _makes(above: bytes) -> Check:
    return lambda hashes: perfect(hashes) == above


def _ends_in(right: tuple[bytes, ...]) -> Check:
    return lambda hashes: edges_of(hashes) == right


def _right(edge: tuple[bytes, ...], size: int, level: int) -> tuple[bytes, ...]:
    """Those subtrees of an edge that the tile at the right of a level is made of."""
    above = (size >> (TREE_LEVELS * (level + 1))).bit_count()
    here = (size >> (TREE_LEVELS * level) & _LOWEST).bit_count()
    return edge[above : above + here]


def _compare(origin: str, tile: tuple[int, int, int], source: Tiles, is_right: Check) -> None:
    level, index, width = tile
    named = f"tile/{level}, number {index} of {width} hashes"
    try:
        hashes = read_hashes(source, origin, level, index, width)
    except LogMissingError as error:
        raise stop(
            Suspicion.TILES, origin, f"{origin}: {named} is not handed out, and the log has it"
        ) from error
    if not is_right(hashes):
        text = f"{origin}: {named} has other hashes than the entries that are signed"
        raise stop(Suspicion.TILES, origin, text, tile=b"".join(hashes))


def _apart(kept: Kept | None, shown: Checkpoint, raw: bytes, source: Tiles) -> Exception:
    """What it is, where the entries do not make the signed root."""
    known = Head(shown.origin) if kept is None else kept.head
    subject = f"{shown.origin} {known.size}"
    note = b"" if kept is None else kept.note
    entries = stop(
        Suspicion.ENTRIES,
        subject,
        f"{shown.origin}: the entries that are handed out do not make the root of {shown.size} entries that "
        "is signed: one is missing, changed, too many, or in another place",
        known=note,
        shown=raw,
    )
    if kept is None or known.size == 0:
        return entries
    try:
        nodes = TileNodes(source, shown.origin, shown.size)
        before, after = root_at(known.size, nodes), root_at(shown.size, nodes)
        hashes = prove_consistency(known.size, shown.size, nodes)
    except (MalformedError, LogMissingError):
        return entries
    if after != shown.root or before == known.root():
        return entries
    # The hashes make the root that is signed now, and another one than was signed before of as many entries.
    return proven(
        Suspicion.FORK,
        subject,
        f"{shown.origin}: the checkpoint of {shown.size} entries does not continue the one of {known.size} "
        "that was signed before",
        known=note,
        shown=raw,
        growth=format_consistency(ConsistencyProof(known.size, hashes, raw)),
    )
