"""The Merkle log in SQL: evidence goes in, heads, proofs and tiles come out.

`submit` belongs to whoever decides, in the transaction of the decision. Everything from `open_log` to
`publish` belongs to the one sequencer that holds the log's lease; the comparison in `append` is the last
guard, not the first. Order of a crash-safe round: append and commit, sign the head, publish the checkpoint,
`publish` and commit, serve. A head that is not committed must never be signed.

Source: docs/formats.md section 6.
"""

from collections.abc import Sequence

from sqlmodel import Session

from audit import store
from audit.checkpoint import Checkpoint, read_checkpoint, split_origin
from audit.entry import Entry
from audit.errors import EvidenceRuleError, InconsistentError, NotInLogError, StaleHeadError
from audit.evidence import Evidence
from audit.proof import ConsistencyProof, InclusionProof, format_consistency, format_proof
from audit.store import LogState, Pending
from audit.tile import Tile, encode_bundle
from audit.tree import Head, NodeKey, NodeReader, prove_consistency, prove_inclusion, root_at

__all__ = [
    "LogState",
    "Pending",
    "append",
    "check_published",
    "consistency",
    "consistency_text",
    "entries",
    "entry",
    "heads",
    "open_log",
    "pending",
    "pending_logs",
    "proof_text",
    "prove",
    "publish",
    "settle",
    "state",
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


def settle(session: Session, ids: Sequence[bytes]) -> None:
    """Delete pending evidence, in the transaction that appends it."""
    store.delete_pending(session, ids)


def open_log(session: Session, origin: str) -> Head:
    """The head of a log; a log that does not exist is made, empty."""
    store.insert_head(session, origin)
    return state(session, origin).head


def state(session: Session, origin: str) -> LogState:
    """Head and published checkpoint of one log.

    Raises:
        NotInLogError: There is no such log.
    """
    found = store.load_states(session, origin=origin)
    if not found:
        raise NotInLogError(f"no log {origin}")
    return found[0]


def heads(session: Session) -> tuple[LogState, ...]:
    """Every log in every epoch, ordered by name and epoch."""
    return store.load_states(session)


def append(session: Session, origin: str, batch: Sequence[Evidence]) -> Head:
    """Append evidence, in the caller's transaction; the caller has checked its lease in it.

    Args:
        session: The caller's transaction.
        origin: The log with its epoch; opened before.
        batch: Evidence of this log, in order. An empty batch changes nothing.

    Returns:
        The head after it; to be signed only once the transaction is committed. The first of the batch stands
        at index `size - len(batch)`.

    Raises:
        EvidenceRuleError: A record names another log.
        NotInLogError: There is no such log.
        StaleHeadError: Somebody else appended; roll back.
    """
    log, _epoch = split_origin(origin)
    old = state(session, origin).head
    for evidence in batch:
        if evidence.log != log:
            raise EvidenceRuleError(f"evidence of {evidence.log} does not belong into {origin}")
    if not batch:
        return old
    leaves = [evidence.leaf() for evidence in batch]
    new, nodes = old.append(leaves)
    # The comparison comes first: it locks the head's row, so that what follows sees all that was committed.
    if not store.replace_head(session, old, new):
        raise StaleHeadError(f"{origin} no longer has {old.size} entries")
    store.insert_nodes(session, origin, nodes)
    store.insert_entries(session, origin, batch, leaves, first=old.size)
    return new


def publish(session: Session, origin: str, checkpoint: bytes) -> Checkpoint:
    """Remember the signed checkpoint that the world was shown, so that it can be served.

    Raises:
        InconsistentError: It is not of this log at any of its sizes, or older than the one published before.
        NotInLogError: There is no such log, or it has fewer entries.
        MalformedError: The bytes are no checkpoint.
    """
    shown, _note = read_checkpoint(checkpoint)
    if shown.origin != origin:
        raise InconsistentError(f"a checkpoint of {shown.origin} is none of {origin}")
    if shown.size < state(session, origin).checkpoint_size:
        raise InconsistentError(
            f"{origin}: a checkpoint of {shown.size} entries is older than the published one"
        )
    check_published(session, shown)
    store.save_checkpoint(session, origin, checkpoint.decode(), shown.size)
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
