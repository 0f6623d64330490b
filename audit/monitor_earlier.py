"""What lies in epochs of a log that were over before: proved under the ends that the chain of openings names.

The first entry of each epoch names the end of the one before it. So the epoch that is followed, whose tree
was made of its entries, vouches for those before it, one after the other: by a hash, whoever signed them.
Where a restore has left less of an epoch than its end, nobody can show any more that what is left is how it
began, and the log's key signs any other tree as well: what is there proves nothing.

Source: docs/formats.md section 3, `epoch.opened`; RFC 6962 section 2.1.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from audit.alarm import Suspicion, stop
from audit.checkpoint import Checkpoint, read_checkpoint, split_origin
from audit.errors import MalformedError, VerificationError
from audit.evidence import Kind, leaf_of, parse_evidence
from audit.log_source import LogMissingError, Source, TileNodes, read_entries
from audit.merkle import hash_leaf, verify_inclusion
from audit.monitor_look import Look
from audit.monitor_state import Own
from audit.proof import InclusionProof
from audit.tree import prove_inclusion, root_at


class LostError(VerificationError):
    """Of an epoch that is over entries are lost: what is left of it cannot be proved, nor be refuted."""


def read_opening(source: Source, origin: str, subject: str) -> tuple[bytes, bytes, Mapping[str, Any] | None]:
    """The evidence of an epoch's first entry, its leaf, which must commit to it, and the end that it names.

    Raises:
        AlarmError: the first entry does not say how the epoch was opened; of this subject.
        MalformedError, AnswerUnfitError, LogAwayError, LogMissingError: it cannot be read.
    """
    raw = source.evidence(origin, 0)
    (leaf,) = read_entries(source, origin, 0, 1)
    evidence = parse_evidence(raw)
    is_committed = leaf_of(raw, evidence.kind, evidence.at) == leaf
    if evidence.kind is not Kind.EPOCH_OPENED or not is_committed or evidence.members["origin"] != origin:
        raise stop(
            Suspicion.EPOCH,
            subject,
            f"{origin}: its first entry does not say how it was opened",
            opening=raw,
        )
    return raw, leaf, evidence.members["previous"]


def root_of(previous: Mapping[str, Any]) -> bytes:
    """The root of the end that an opening names. Raises MalformedError: it is none."""
    try:
        return base64.b64decode(previous["root"], validate=True)
    except (binascii.Error, ValueError, KeyError) as error:
        raise MalformedError("epoch: the root of the end before is not base64") from error


def is_later(origin: str, known: str) -> bool:
    """Whether it is a later epoch of the same log."""
    (log, later), (name, epoch) = split_origin(origin), split_origin(known)
    return log == name and later > epoch


def verify_earlier(one: Look, own: Own, proof: InclusionProof) -> None:
    """Note where a receipt's entry is, in an epoch before the one that is followed.

    Nothing is noted while the entries of that one are still being read: it vouches for nothing yet.

    Raises:
        LostError: Nothing shows it, since the epoch, or one that came later, has lost entries.
        VerificationError: It is not there, or the epoch is shown otherwise than it ended.
        AnswerUnfitError, LogAwayError, LogMissingError: as the source says.
    """
    kept = one.state.kept
    if kept is None or one.state.reading is not None:
        return
    shown = read_checkpoint(proof.checkpoint)[0]
    _verify_ends_so(one.source, shown, _end_of(one, kept.checkpoint, shown.origin))
    verify_inclusion(own.leaf, proof.index, shown.size, proof.hashes, shown.root)
    own.origin, own.index = shown.origin, proof.index
    one.found.receipts += 1


def _end_of(one: Look, known: Checkpoint, wanted: str) -> Checkpoint:
    """How an epoch ended, by the chain that begins with what is known of the one that is followed."""
    while wanted not in one.ends:
        end = _end_before(one.source, known)
        if end is None or not is_later(known.origin, end.origin) or is_later(wanted, end.origin):
            raise VerificationError(f"{wanted}: no epoch that came later names it as the one before")
        one.ends[end.origin] = known = end
    return one.ends[wanted]


def _end_before(source: Source, known: Checkpoint) -> Checkpoint | None:
    """The end that the first entry of an epoch names, which has to lie under what is known of that epoch."""
    _, leaf, previous = read_opening(source, known.origin, known.origin)
    try:
        hashes = prove_inclusion(0, known.size, TileNodes(source, known.origin, known.size))
    except LogMissingError as error:
        text = f"of the {known.size} entries that {known.origin} ended with some are lost"
        raise LostError(f"{text}, and nothing shows that its first one was among them") from error
    verify_inclusion(hash_leaf(leaf), 0, known.size, hashes, known.root)
    if previous is None:
        return None
    return Checkpoint(str(previous["origin"]), int(previous["size"]), root_of(previous))


def _verify_ends_so(source: Source, shown: Checkpoint, end: Checkpoint) -> None:
    """A checkpoint that is shown of an epoch must be its end, or one that the end continues, by its tiles."""
    if shown == end:
        return
    otherwise = f"{end.origin}: it is shown otherwise than the next epoch says that it ended"
    if not 0 < shown.size < end.size:
        raise VerificationError(otherwise)
    nodes = TileNodes(source, end.origin, end.size)
    try:
        is_continued = (root_at(shown.size, nodes), root_at(end.size, nodes)) == (shown.root, end.root)
    except LogMissingError as error:
        text = f"of the {end.size} entries that {end.origin} ended with, {shown.size} are left"
        raise LostError(f"{text}, and nothing shows that they are the first ones") from error
    if not is_continued:
        raise VerificationError(otherwise)
