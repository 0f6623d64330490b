"""Proof files: an inclusion proof with its checkpoint, a consistency proof with its checkpoint.

Both are text that other tools of the transparency-log world read and write. Nothing here verifies.

Source: C2SP tlog-proof (`.tlog-proof`); C2SP tlog-witness, body of add-checkpoint (consistency).
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from audit.checkpoint import parse_number
from audit.errors import MalformedError
from audit.merkle import HASH_BYTES
from audit.note import NOTE_BYTES, decode_base64

MOST_HASHES = 63
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
CONSISTENCY_PREFIX = "old "
_PROOF_BYTES = NOTE_BYTES + 10_000
_EXTRA = "extra "
_INDEX = "index "


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """Place of an entry, the hashes from it to the root (leaf first), and the signed checkpoint, unverified.

    `extra` is anybody's remark: nothing vouches for it.
    """

    index: int
    hashes: tuple[bytes, ...] = field(repr=False)
    checkpoint: bytes = field(repr=False)
    extra: bytes | None = None


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """Hashes that lead from the tree of `old_size` entries to that of the signed checkpoint, unverified."""

    old_size: int
    hashes: tuple[bytes, ...] = field(repr=False)
    checkpoint: bytes = field(repr=False)


def format_proof(proof: InclusionProof) -> bytes:
    """The text of a `.tlog-proof` file."""
    lines = [PROOF_HEADER]
    if proof.extra is not None:
        lines.append(_EXTRA + base64.b64encode(proof.extra).decode())
    lines.append(f"{_INDEX}{proof.index}")
    return _join(lines, proof.hashes, proof.checkpoint)


def parse_proof(raw: bytes) -> InclusionProof:
    """Read a `.tlog-proof` file.

    Raises:
        MalformedError: Any other text.
    """
    lines, checkpoint = _split(raw, "proof")
    if lines[0] != PROOF_HEADER:
        raise MalformedError(f"proof: the first line must be {PROOF_HEADER}")
    rest, extra = lines[1:], None
    if rest and rest[0].startswith(_EXTRA):
        extra = decode_base64(rest[0].removeprefix(_EXTRA), "proof: extra")
        rest = rest[1:]
    if not rest or not rest[0].startswith(_INDEX):
        raise MalformedError("proof: expected a line 'index <decimal>'")
    index = parse_number(rest[0].removeprefix(_INDEX), "proof: index")
    return InclusionProof(index, _hashes(rest[1:], "proof"), checkpoint, extra)


def format_consistency(proof: ConsistencyProof) -> bytes:
    """The text of a consistency proof: `old <size>`, hashes, an empty line, the new checkpoint."""
    return _join([f"{CONSISTENCY_PREFIX}{proof.old_size}"], proof.hashes, proof.checkpoint)


def parse_consistency(raw: bytes) -> ConsistencyProof:
    """Read the text of a consistency proof.

    Raises:
        MalformedError: Any other text.
    """
    lines, checkpoint = _split(raw, "consistency proof")
    if not lines[0].startswith(CONSISTENCY_PREFIX):
        raise MalformedError("consistency proof: the first line must be 'old <size>'")
    old_size = parse_number(lines[0].removeprefix(CONSISTENCY_PREFIX), "consistency proof: old size")
    return ConsistencyProof(old_size, _hashes(lines[1:], "consistency proof"), checkpoint)


def _join(lines: Sequence[str], hashes: Sequence[bytes], checkpoint: bytes) -> bytes:
    """Lines, hashes, an empty line, the checkpoint verbatim."""
    encoded = [base64.b64encode(value).decode() for value in hashes]
    return "\n".join([*lines, *encoded, "", ""]).encode() + checkpoint


def _split(raw: bytes, what: str) -> tuple[list[str], bytes]:
    """The lines before the first empty line, and what follows it."""
    if len(raw) > _PROOF_BYTES:
        raise MalformedError(f"{what}: more than {_PROOF_BYTES} bytes")
    head, separator, checkpoint = raw.partition(b"\n\n")
    if not separator:
        raise MalformedError(f"{what}: expected hashes, an empty line, and a checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedError(f"{what}: not ASCII at byte {error.start}") from error
    return lines, checkpoint


def _hashes(lines: Sequence[str], what: str) -> tuple[bytes, ...]:
    """Base64 of 32 bytes, each line."""
    if len(lines) > MOST_HASHES:
        raise MalformedError(f"{what}: {len(lines)} hashes, at most {MOST_HASHES} make sense")
    hashes = tuple(decode_base64(line, f"{what}: hash {number}") for number, line in enumerate(lines, 1))
    if any(len(value) != HASH_BYTES for value in hashes):
        raise MalformedError(f"{what}: every hash has {HASH_BYTES} bytes")
    return hashes
