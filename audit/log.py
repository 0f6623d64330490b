"""The Merkle log in SQL: evidence goes in, heads, proofs and tiles come out.

`submit` belongs to whoever decides, in the transaction of the decision. Everything from `open_log` to
`publish_all` belongs to the one sequencer that holds the log's lease; the comparison in `append_all` is the
last guard, not the first. Order of a crash-safe round: append and commit, sign the head, publish the
checkpoint, `publish_all` and commit, serve. A head that is not committed must never be signed.

Source: docs/formats.md section 6.
"""

from collections.abc import Collection, Mapping, Sequence

from sqlmodel import Session

from audit import entering, store
from audit.checkpoint import Checkpoint, read_checkpoint, split_origin
from audit.entry import Draft, Entry
from audit.errors import EvidenceRuleError, InconsistentError, NotInLogError, StaleHeadError
from audit.evidence import Evidence
from audit.proof import ConsistencyProof, InclusionProof, format_consistency, format_proof
from audit.store import LogState, Pending
from audit.tile import Tile, encode_bundle
from audit.tree import Head, Node, NodeKey, NodeReader, prove_consistency, prove_inclusion, root_at

__all__ = [
    "LogState",
    "Pending",
    "append_all",
    "check_published",
    "consistency",
    "consistency_text",
    "entries",
    "entry",
    "entry_named",
    "epochs",
    "has_pending_before",
    "heads",
    "is_newest",
    "oldest_pending",
    "open_log",
    "open_logs",
    "pending",
    "pending_logs",
    "proof_text",
    "prove",
    "publish_all",
    "published_of",
    "settle",
    "state",
    "states",
    "submit",
    "submit_all",
    "tile",
]


def submit(session: Session, evidence: Evidence, *, id: bytes) -> None:  # noqa: A002 - the row's own word
    """Keep evidence for the sequencer, in the caller's transaction. `id`: 16 random bytes."""
    store.insert_pending(session, [Pending(id, evidence)])


def submit_all(session: Session, batch: Sequence[Pending]) -> None:
    """Keep many at once."""
    store.insert_pending(session, batch)


def pending(session: Session, log: str, limit: int) -> tuple[Pending, ...]:
    """The oldest evidence that waits for the log (its name without an epoch)."""
    return store.load_pending(session, log, limit)


def pending_logs(session: Session) -> tuple[str, ...]:
    """Names of all logs that evidence waits for."""
    return store.load_pending_logs(session)


def has_pending_before(session: Session, log: str, before: int) -> bool:
    """Whether evidence older than `before` (Unix ms) waits for the log (its name without an epoch)."""
    return store.has_pending_before(session, log, before)


def oldest_pending(session: Session) -> Mapping[str, int]:
    """By log (its name without an epoch): when the oldest evidence that waits for it was made, Unix ms."""
    return store.load_oldest_pending(session)


def settle(session: Session, ids: Sequence[bytes]) -> None:
    """Delete pending evidence, in the transaction that appends it.

    Raises:
        StaleHeadError: Somebody else appended some of it; roll back.
    """
    if (gone := len(ids) - store.delete_pending(session, ids)) != 0:
        raise StaleHeadError(f"{gone} pieces of evidence were appended by somebody else")


def open_log(session: Session, origin: str) -> Head:
    """The head of a log; a log that does not exist is made, empty."""
    return open_logs(session, [origin])[origin]


def open_logs(session: Session, origins: Collection[str]) -> Mapping[str, Head]:
    """The heads of logs, by origin; those that do not exist are made, empty."""
    found = store.find_states(session, origins)
    missing = set(origins) - found.keys()
    if missing:
        store.insert_heads(session, missing)
        found = {**found, **store.find_states(session, missing)}
    return {origin: one.head for origin, one in found.items()}


def state(session: Session, origin: str) -> LogState:
    """Head and published checkpoint of one log.

    Raises:
        NotInLogError: There is no such log.
    """
    return states(session, [origin])[origin]


def states(session: Session, origins: Collection[str]) -> Mapping[str, LogState]:
    """Heads and published checkpoints of logs, by origin.

    Raises:
        NotInLogError: One of them does not exist.
    """
    found = store.find_states(session, origins)
    missing = set(origins) - found.keys()
    if missing:
        raise NotInLogError(f"no log {min(missing)}")
    return found


def heads(session: Session) -> tuple[LogState, ...]:
    """Every log in every epoch, ordered by name and epoch."""
    return store.load_states(session)


def epochs(session: Session, log: str) -> tuple[LogState, ...]:
    """A log (its name without an epoch) in all its epochs, the newest last."""
    return store.load_epochs(session, log)


def is_newest(session: Session, origin: str) -> bool:
    """Whether no later epoch of the log was begun; numbers may be missing between two of them."""
    known = epochs(session, split_origin(origin)[0])
    return bool(known) and known[-1].head.origin == origin


def append_all(
    session: Session, batches: Mapping[str, Sequence[Draft]], before: Mapping[str, Head] | None = None
) -> Mapping[str, Head]:
    """Append entries to logs, in the caller's transaction; the caller has checked its lease in it.

    Args:
        session: The caller's transaction.
        batches: By log with its epoch, opened before: drafts of that log, in order. An empty batch changes
            nothing.
        before: Their heads, where this transaction has read them already.

    Returns:
        By log, the head after it; to be signed only once the transaction is committed.

    Raises:
        EvidenceRuleError: A record names another log.
        NotInLogError: There is no such log.
        StaleHeadError: Somebody else appended; roll back.
    """
    if before is None:
        before = {origin: one.head for origin, one in states(session, batches).items()}
    heads = dict(before)
    grown: list[tuple[Head, Head]] = []
    nodes: dict[str, Sequence[Node]] = {}
    entered: list[entering.Batch] = []
    for origin, batch in batches.items():
        log, _epoch = split_origin(origin)
        for draft in batch:
            if draft.log != log:
                raise EvidenceRuleError(f"evidence of {draft.log} does not belong into {origin}")
        if batch:
            old, leaves = heads[origin], [draft.leaf() for draft in batch]
            heads[origin], nodes[origin] = old.append(leaves, lowest=store.LOWEST_LEVEL)
            grown.append((old, heads[origin]))
            entered.append(entering.Batch(origin, old.size, batch, leaves))
    # The comparison comes first: it locks the heads' rows, so that what follows sees all that was committed.
    if not store.replace_heads(session, grown):
        raise StaleHeadError(_moved(session, grown))
    store.insert_nodes(session, nodes)
    entering.insert_entries(session, entered)
    return heads


def _moved(session: Session, grown: Sequence[tuple[Head, Head]]) -> str:
    now = store.find_states(session, [old.origin for old, _ in grown])
    moved = [old for old, new in grown if old.origin not in now or now[old.origin].head != new]
    return ", ".join(f"{old.origin} no longer has {old.size} entries" for old in moved)


def publish_all(session: Session, checkpoints: Mapping[str, bytes]) -> Mapping[str, Checkpoint]:
    """Remember signed checkpoints, by log, that the world was shown, so that they can be served.

    Raises:
        InconsistentError: One is not of its log at any of its sizes.
        StaleHeadError: Somebody else published a newer one.
        NotInLogError: There is no such log, or it has fewer entries.
        MalformedError: The bytes are no checkpoint.
    """
    shown = {origin: read_checkpoint(note)[0] for origin, note in checkpoints.items()}
    for origin, one in shown.items():
        if one.origin != origin:
            raise InconsistentError(f"a checkpoint of {one.origin} is none of {origin}")
    known = states(session, shown)
    for origin, one in shown.items():
        if one.size < known[origin].checkpoint_size:
            raise StaleHeadError(
                f"{origin}: a checkpoint of {one.size} entries is older than the published one"
            )
        if (one.size, one.root) != (known[origin].head.size, known[origin].head.root()):
            check_published(session, one)
    texts = [
        (origin, note.decode(), shown[origin].size, known[origin].checkpoint_size)
        for origin, note in checkpoints.items()
    ]
    if not store.save_checkpoints(session, texts):
        raise StaleHeadError(f"another checkpoint was published meanwhile, among {len(texts)} logs")
    return shown


def check_published(session: Session, checkpoint: Checkpoint) -> None:
    """Make sure that a checkpoint the world was shown is one that this database can stand by.

    Raises:
        NotInLogError: The log is unknown here, or shorter: a restored backup or a wiped database. Do not
        append. InconsistentError: The log has another root at that size. Do not append.
    """
    head = state(session, checkpoint.origin).head
    if checkpoint.size > head.size:
        raise NotInLogError(
            f"{checkpoint.origin}: {checkpoint.size} entries were published, the database has {head.size}"
        )
    if root_at(checkpoint.size, _reader(session, checkpoint.origin)) != checkpoint.root:
        raise InconsistentError(
            f"{checkpoint.origin}: another root was published at {checkpoint.size} entries"
        )


def published_of(state: LogState) -> tuple[Checkpoint, ...]:
    """The checkpoint that is kept of a log, if there is one.

    Raises:
        MalformedError: what is kept is none.
    """
    return () if state.checkpoint is None else (read_checkpoint(state.checkpoint.encode())[0],)


def prove(session: Session, origin: str, index: int, size: int) -> tuple[bytes, ...]:
    """Hashes from the entry at `index` to the root of the log as it was with `size` entries, leaf first.

    Raises:
        NotInLogError: There is no such log, entry or size.
    """
    _check_size(state(session, origin), size)
    if not 0 <= index < size:
        raise NotInLogError(f"{origin}: no entry {index} within the first {size}")
    return prove_inclusion(index, size, _reader(session, origin))


def consistency(session: Session, origin: str, old_size: int, new_size: int) -> tuple[bytes, ...]:
    """Hashes from the log with `old_size` entries to the log with `new_size`; none from size 0.

    Raises:
        NotInLogError: There is no such log or size.
    """
    _check_size(state(session, origin), new_size)
    if not 0 <= old_size <= new_size:
        raise NotInLogError(f"{origin}: {old_size} is no size before {new_size}")
    return prove_consistency(old_size, new_size, _reader(session, origin))


def proof_text(session: Session, origin: str, index: int) -> bytes:
    """The `.tlog-proof` file of an entry under the published checkpoint.

    Raises:
        NotInLogError: No published checkpoint covers the entry (yet).
    """
    current = state(session, origin)
    if current.checkpoint is None or index >= current.checkpoint_size:
        raise NotInLogError(f"{origin}: no published checkpoint covers entry {index} yet")
    hashes = prove(session, origin, index, current.checkpoint_size)
    return format_proof(InclusionProof(index, hashes, current.checkpoint.encode()))


def consistency_text(session: Session, origin: str, old_size: int) -> bytes:
    """Proof that the published checkpoint continues the log of `old_size` entries, as text.

    Raises:
        NotInLogError: Nothing is published, or less than `old_size`.
    """
    current = state(session, origin)
    if current.checkpoint is None or old_size > current.checkpoint_size:
        raise NotInLogError(f"{origin}: no checkpoint of {old_size} entries or more is published")
    hashes = consistency(session, origin, old_size, current.checkpoint_size)
    return format_consistency(ConsistencyProof(old_size, hashes, current.checkpoint.encode()))


def tile(session: Session, origin: str, level: int, index: int, width: int) -> bytes:
    """A tile of hashes under the published checkpoint: `width` times 32 bytes.

    Raises:
        NotInLogError: The published log does not have it.
        MalformedError: No log has such a tile.
    """
    wanted = Tile(level, index, width)
    _check_tile(session, origin, wanted)
    hashes = store.load_node_range(session, origin, wanted.tree_level, first=wanted.first, count=width)
    if len(hashes) != width:
        raise NotInLogError(f"{origin}: nodes of tile level {level} index {index} are missing")
    return b"".join(hashes)


def entries(session: Session, origin: str, index: int, width: int) -> bytes:
    """An entry bundle under the published checkpoint: leaves, each behind its length.

    Raises:
        NotInLogError: The published log does not have it.
        MalformedError: No log has such a bundle.
    """
    wanted = Tile(None, index, width)
    _check_tile(session, origin, wanted)
    leaves = store.load_leaves(session, origin, first=wanted.first, count=width)
    if len(leaves) != width:
        raise NotInLogError(f"{origin}: leaves of bundle {index} are missing")
    return encode_bundle(leaves)


def entry(session: Session, origin: str, index: int) -> Entry:
    """One entry.

    Raises:
        NotInLogError: There is none.
    """
    found = store.load_entry(session, origin, index)
    if found is None:
        raise NotInLogError(f"{origin}: no entry {index}")
    return found


def entry_named(session: Session, log: str, event_id: str) -> Entry | None:
    """The entry of a log (its name without an epoch) whose evidence has this `id`."""
    return store.load_entry_named(session, log, event_id)


def _reader(session: Session, origin: str) -> NodeReader:
    def read(keys: Sequence[NodeKey]) -> dict[NodeKey, bytes]:
        return dict(store.load_nodes(session, origin, keys))

    return read


def _check_size(current: LogState, size: int) -> None:
    if not 0 <= size <= current.head.size:
        raise NotInLogError(f"{current.head.origin}: has {current.head.size} entries, not {size}")


def _check_tile(session: Session, origin: str, wanted: Tile) -> None:
    published = state(session, origin).checkpoint_size
    if not wanted.is_within(published):
        raise NotInLogError(f"{origin}: a log of {published} published entries has no such tile")
