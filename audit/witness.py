"""What a witness decides: whether it may cosign a checkpoint that it was sent, given what it cosigned before.

Values alone: whoever keeps the state compares and stores in one step (`compare`), and answers only then.

Source: C2SP tlog-witness v1.0.0, add-checkpoint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from audit.checkpoint import Checkpoint, read_checkpoint, verify_log_signature
from audit.errors import MalformedError, VerificationError
from audit.merkle import EMPTY_ROOT, verify_consistency
from audit.note import Note, VerifierKey, format_line, parse_note, verify_note
from audit.proof import parse_consistency


class Fault(Enum):
    """Why a checkpoint is not cosigned."""

    MALFORMED = "malformed"
    UNKNOWN_LOG = "unknown log"
    UNSIGNED = "not signed by its log"
    SHRUNK = "smaller than the old size"
    CONFLICT = "another size was cosigned last"
    INCONSISTENT = "does not continue what was cosigned last"


@dataclass(frozen=True, slots=True)
class Refused:
    """It is not cosigned. `text` says more; `held`: the size that was cosigned last, for a conflict."""

    fault: Fault
    text: str
    held: int = 0


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint of a known log, signed by it, with the proof that it continues one of `old` entries.

    `note`: the checkpoint with the lines by which its log signed it, and no other: whoever sent it may
    have put more there.
    """

    checkpoint: Checkpoint
    old: int
    hashes: tuple[bytes, ...] = field(repr=False)
    note: bytes = field(repr=False)


def read_submission(raw: bytes, logs: Mapping[str, Sequence[VerifierKey]]) -> Submission | Refused:
    """Look at what was sent, as far as that needs no memory.

    Args:
        raw: The body: `old <size>`, hashes, an empty line, a signed checkpoint.
        logs: The keys that may sign for each origin.
    """
    try:
        proof = parse_consistency(raw)
        checkpoint, note = read_checkpoint(proof.checkpoint)
    except MalformedError as error:
        return Refused(Fault.MALFORMED, str(error))
    keys = logs.get(checkpoint.origin)
    if not keys:
        return Refused(Fault.UNKNOWN_LOG, "this witness does not know that log")
    try:
        verify_log_signature(checkpoint, note, keys)
    except VerificationError as error:
        return Refused(Fault.UNSIGNED, str(error))
    if proof.old_size > checkpoint.size:
        return Refused(Fault.SHRUNK, f"from {proof.old_size} entries to {checkpoint.size}: a log only grows")
    return Submission(checkpoint, proof.old_size, proof.hashes, _signed(note, keys))


def trim(raw: bytes, logs: Mapping[str, Sequence[VerifierKey]], own: tuple[str, bytes]) -> bytes:
    """A checkpoint that was cosigned and kept, with the lines of its log and the witness's own line alone.

    Args:
        raw: As it is kept, with however many lines.
        logs: As of `read_submission`.
        own: Name and key id of the witness, whose lines are taken as they are.

    Raises:
        MalformedError: It is no checkpoint.
    """
    text, separator, lines = raw.rpartition(b"\n\n")
    head = text + separator
    checkpoint, _ = read_checkpoint(head + lines.partition(b"\n")[0] + b"\n")
    kept: list[bytes] = []
    for line in lines.splitlines(keepends=True):
        note = parse_note(head + line)
        try:
            is_kept = (note.lines[0].name, note.lines[0].key_id) == own or bool(
                verify_note(note, logs.get(checkpoint.origin, ()))
            )
        except VerificationError:
            continue
        if is_kept and line not in kept:
            kept.append(line)
    if not kept:
        raise MalformedError("checkpoint: signed neither by its log nor by this witness")
    return head + b"".join(kept)


def _signed(note: Note, keys: Sequence[VerifierKey]) -> bytes:
    """The note with the first line of each key that signed it: those that were verified."""
    left = {(key.name, key.key_id) for key in verify_note(note, keys)}
    kept: list[str] = []
    for one in note.lines:
        if (one.name, one.key_id) in left:
            left.remove((one.name, one.key_id))
            kept.append(format_line(one.name, one.key_id, one.signature))
    return f"{note.text}\n{''.join(kept)}".encode()


def compare(sent: Submission, held: Checkpoint | None) -> Refused | None:
    """Compare with what was cosigned last of that log; None: it may be cosigned.

    The caller stores the checkpoint in the same step, so that nothing comes between.
    """
    size = 0 if held is None else held.size
    if sent.old != size:
        return Refused(Fault.CONFLICT, f"{size} entries were cosigned last", size)
    try:
        _verify(sent, size, EMPTY_ROOT if held is None else held.root)
    except VerificationError as error:
        return Refused(Fault.INCONSISTENT, str(error))
    return None


def _verify(sent: Submission, size: int, root: bytes) -> None:
    if size:
        verify_consistency(size, root, sent.checkpoint.size, sent.checkpoint.root, sent.hashes)
    elif sent.hashes:
        raise VerificationError("consistency: from an empty log there is nothing to prove")
    elif sent.checkpoint.size == 0 and sent.checkpoint.root != EMPTY_ROOT:
        raise VerificationError("consistency: an empty log has the empty root")
