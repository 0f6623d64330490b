"""The way from an entry of one log to a checkpoint that witnesses cosigned, and its verification.

Witnesses cosign one log, the anchor; each of its entries commits to the heads of all other logs at one
moment, blinded. A proof of anchoring leads from an entry to the head of its log, from there by an opening to
the anchor's entry, and from there to a checkpoint of the anchor. Nothing but the policy is believed: neither
the key of the entry's own log nor anything that came along.

Source: docs/formats.md section 14. Standard library and cryptography only.
"""

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from audit.checkpoint import Checkpoint, read_checkpoint, split_origin, verify_log_signature
from audit.cosignature import verify_cosignatures
from audit.errors import MalformedError, VerificationError
from audit.evidence import Evidence, Kind, parse_evidence
from audit.heads import Opening, commit_head
from audit.merkle import HASH_BYTES, hash_leaf, verify_inclusion
from audit.note import decode_base64
from audit.policy import Policy
from audit.proof import MOST_HASHES, parse_proof

ANCHOR_BYTES: Final = 2_000_000
VERSION: Final = "gateway-anchor-proof/v1"
_OF_HEAD: Final = ("log", "size", "root", "index", "hashes")
_OF_ROLL: Final = ("salt", "place", "path", "evidence", "tlog_proof")
_MEMBERS: Final = {"format", *_OF_HEAD, *_OF_ROLL}
_WIDEST: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class AnchorProof:
    """A proof of anchoring, unverified.

    head: of the entry's log, at the anchored moment. index, hashes: the entry's place in it, and the way from
    it to the head's root. opening: of the head, under the root that `evidence` names, the anchor's entry.
    proof: the `.tlog-proof` text of that entry, whose checkpoint may bear cosignatures.
    """

    head: Checkpoint
    index: int
    hashes: tuple[bytes, ...] = field(repr=False)
    opening: Opening = field(repr=False)
    evidence: bytes = field(repr=False)
    proof: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Anchored:
    """What a proof of anchoring shows.

    at: when the gateway says that it anchored, Unix milliseconds. checkpoint: of the anchor. seen: names of
    witnesses of the policy that cosigned it, each with the time that it states (POSIX seconds). is_enough:
    whether the policy's quorum is met.
    """

    head: Checkpoint
    at: int
    checkpoint: Checkpoint
    seen: tuple[tuple[str, int], ...]
    is_enough: bool
    witnesses: int


def format_anchor_proof(proof: AnchorProof) -> bytes:
    """One JSON object."""
    whole = {
        "format": VERSION,
        "log": proof.head.origin,
        "size": proof.head.size,
        "root": _text_of(proof.head.root),
        "index": proof.index,
        "hashes": [_text_of(one) for one in proof.hashes],
        "salt": _text_of(proof.opening.salt),
        "place": proof.opening.place,
        "path": [_text_of(one) for one in proof.opening.path],
        "evidence": proof.evidence.decode(),
        "tlog_proof": proof.proof.decode(),
    }
    return json.dumps(whole, ensure_ascii=False, indent=1).encode() + b"\n"


def parse_anchor_proof(raw: bytes) -> AnchorProof:
    """Read a proof of anchoring; nothing inside is verified.

    Raises:
        MalformedError: The bytes are none.
    """
    if len(raw) > ANCHOR_BYTES:
        raise MalformedError(f"anchor proof: more than {ANCHOR_BYTES} bytes")
    try:
        whole = json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise MalformedError("anchor proof: expected one JSON object in UTF-8") from error
    if not isinstance(whole, dict) or whole.get("format") != VERSION:
        raise MalformedError(f"anchor proof: expected one JSON object of the format {VERSION}")
    if whole.keys() != _MEMBERS:
        # What a proof does not say, another reader of the same paper could take for something else.
        others = ", ".join(sorted(whole.keys() ^ _MEMBERS))
        raise MalformedError(f"anchor proof: it has other members than a proof has: {others}")
    root = _one_hash(whole, "root")
    return AnchorProof(
        head=Checkpoint(_text(whole, "log"), _number(whole, "size"), root),
        index=_number(whole, "index"),
        hashes=_hashes(whole, "hashes"),
        opening=Opening(_one_hash(whole, "salt"), _number(whole, "place"), _hashes(whole, "path")),
        evidence=_utf8(_text(whole, "evidence")),
        proof=_utf8(_text(whole, "tlog_proof")),
    )


def verify_anchor_proof(
    proof: AnchorProof, leaf: bytes, policy: Policy, *, latest: int | None = None
) -> Anchored:
    """Check the whole way from an entry to the cosignatures.

    1. The entry leads to the root of its log's head.
    2. The opened commitment to that head leads to the root that the anchor's entry names.
    3. The anchor's entry leads to the root of the anchor's checkpoint.
    4. One of the policy's logs signed that checkpoint, and it is the log that the anchor's entry names.
    5. Every cosignature by a witness of the policy is right, and states no time that has not come yet.

    Args:
        proof: What was handed in.
        leaf: The entry, made by the verifier itself from the evidence that it holds.
        policy: Whom the verifier believes.
        latest: The verifier's own time, POSIX seconds; None: any time is taken.

    Returns:
        What is shown, also where too few witnesses cosigned for the policy.

    Raises:
        UnpinnedKeyError: The policy knows none of the keys that signed the anchor's checkpoint.
        VerificationError: Something does not hold; the text says what.
    """
    head, opening = proof.head, proof.opening
    verify_inclusion(hash_leaf(leaf), proof.index, head.size, proof.hashes, head.root)  # 1
    anchor = _read_entry(proof.evidence)
    width, root = anchor.members["width"], decode_base64(anchor.members["root"], "anchor: root")
    if len(root) != HASH_BYTES or not 0 < width <= _WIDEST:
        raise MalformedError("anchor: its entry names no root")
    commitment = commit_head(opening.salt, head)
    verify_inclusion(hash_leaf(commitment), opening.place, width, opening.path, root)  # 2
    inclusion = parse_proof(proof.proof)
    checkpoint, note = read_checkpoint(inclusion.checkpoint)
    verify_inclusion(  # 3
        hash_leaf(anchor.leaf()), inclusion.index, checkpoint.size, inclusion.hashes, checkpoint.root
    )
    verify_log_signature(checkpoint, note, policy.log_keys)  # 4
    if split_origin(checkpoint.origin)[0] != anchor.log:
        raise VerificationError(
            f"anchor: the entry is of {anchor.log}, the checkpoint of {checkpoint.origin}"
        )
    times = verify_cosignatures(note, checkpoint, policy.cosigners, latest=latest)  # 5
    seen = tuple((one.name, times[one.key]) for one in policy.witnesses if one.key in times)
    return Anchored(head, anchor.at, checkpoint, seen, policy.is_met(times), len(policy.witnesses))


def format_seen(found: Anchored) -> str:
    """In words: who saw it, and when at the latest."""
    when = [f"{name} at {_instant(time)}" for name, time in found.seen]
    names, head, anchor = ", ".join(when) or "none", found.head, found.checkpoint
    return (
        f"the head of {head.size} entries of {head.origin} was seen by {len(found.seen)} of "
        f"{found.witnesses} witnesses: {names}{', each by its own word' if when else ''} "
        f"(anchor {anchor.origin}, {anchor.size} entries)"
    )


def doubtful_times(found: Anchored) -> str | None:
    """What is to be said of the times that witnesses state; None: there are none.

    A witness signs its time, and nothing shows that its clock was right. Several that are far apart, or one
    of long before the entry was made, cannot all be.
    """
    times = sorted(time for _, time in found.seen)
    if not times:
        return None
    text = "when witnesses saw it: each states a time of its own"
    if times[-1] - times[0] > APART_SECONDS:
        text += f", and they contradict each other by {times[-1] - times[0]} s"
    if found.at // 1_000 - times[0] > APART_SECONDS:
        text += f", and one of them is {found.at // 1_000 - times[0]} s before the anchor's own entry"
    return text


APART_SECONDS: Final = 3_600
"""Witnesses are asked to cosign what is new: those of one checkpoint answer within minutes."""


def _read_entry(raw: bytes) -> Evidence:
    entry = parse_evidence(raw)
    if entry.kind is not Kind.HEADS_ANCHORED:
        raise MalformedError(f"anchor: an entry of the kind {entry.kind.value} anchors nothing")
    return entry


def _instant(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"second {seconds}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object each of whose members stands once."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member that stands twice")
    return found


def _text_of(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _text(whole: dict[str, Any], name: str) -> str:
    value = whole.get(name)
    if not isinstance(value, str):
        raise MalformedError(f'anchor proof: "{name}" must be a text')
    return value


def _number(whole: dict[str, Any], name: str) -> int:
    value = whole.get(name)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise MalformedError(f'anchor proof: "{name}" must be a whole number')
    return value


def _hashes(whole: dict[str, Any], name: str) -> tuple[bytes, ...]:
    value = whole.get(name)
    if (
        not isinstance(value, list)
        or len(value) > MOST_HASHES
        or not all(isinstance(one, str) for one in value)
    ):
        raise MalformedError(f'anchor proof: "{name}" must be a list of at most {MOST_HASHES} texts')
    return tuple(_hash(text, name) for text in value)


def _one_hash(whole: dict[str, Any], name: str) -> bytes:
    return _hash(_text(whole, name), name)


def _hash(text: str, name: str) -> bytes:
    value = decode_base64(text, f"anchor proof: {name}")
    if len(value) != HASH_BYTES:
        raise MalformedError(f'anchor proof: "{name}" must hold {HASH_BYTES} bytes')
    return value


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MalformedError("anchor proof: a text holds half of a surrogate pair") from error
