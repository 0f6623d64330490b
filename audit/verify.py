"""Offline verification: receipts, inclusion, consistency. Standard library and cryptography only.

The verifier trusts the keys that its caller pinned, and nothing else: keys that come with the papers are used
to check the arithmetic, but the answer is then "signed by a key you have not pinned", never "proved".

Source: docs/formats.md, sections 3 to 6.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from audit.bundle import Bundle, Keys, parse_bundle
from audit.checkpoint import Checkpoint, read_checkpoint, split_origin, verify_log_signature
from audit.errors import InconsistentError, MalformedError, UnpinnedKeyError, VerificationError
from audit.evidence import Evidence
from audit.merkle import EMPTY_ROOT, hash_leaf, verify_consistency, verify_inclusion
from audit.proof import PROOF_HEADER, parse_consistency, parse_proof
from audit.receipt import Receipt, parse_receipt, verify_receipt_signature

CONTENT_MISPLACED: Final = (
    "--content goes with a receipt or a bundle: a checkpoint says nothing about the content of one event"
)


class Outcome(Enum):
    """How far the papers go. A failure is an error, not an outcome."""

    PROVED = "proved"
    OPERATORS_WORD = "the operator's word only"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was verified, by which key, and what was not."""

    outcome: Outcome
    proved: tuple[str, ...]
    not_proved: tuple[str, ...]
    evidence: Evidence | None = None
    checkpoint: Checkpoint | None = None


@dataclass(slots=True)
class _Findings:
    """Statements gathered along the steps; `unpinned` names keys that only the papers vouch for."""

    proved: list[str] = field(default_factory=list)
    unpinned: list[str] = field(default_factory=list)

    def verdict(self, outcome: Outcome, *not_proved: str) -> Verdict:
        """The verdict, unless a key is one that nobody pinned."""
        if self.unpinned:
            raise UnpinnedKeyError(
                "signed by a key you have not pinned: "
                + ", ".join(self.unpinned)
                + ". Get the key from the operator by a way you trust, and pin it."
            )
        return Verdict(outcome, tuple(self.proved), not_proved)


def verify_receipt_and_proof(bundle: Bundle, pinned: Keys, *, content: bytes | None = None) -> Verdict:
    """Check one event's receipt and, where there is one, the proof that the log holds it.

    1. Take the receipt apart: one header, evidence in its exact form.
    2. Check its signature, by a pinned key or else by one that came along.
    3. Compare the content, where the caller has its copy, with the digest in the evidence.
    4. Take the proof and its checkpoint apart.
    5. Check the checkpoint's signature, by a key that bears the name of its origin.
    6. The origin must be the log that the evidence names, in one of its epochs.
    7. Make the leaf again from the evidence bytes, and walk the proof from it to the root.
    8. Anything signed by a key that is not pinned proves nothing.

    Args:
        bundle: The papers.
        pinned: The keys that the caller trusts.
        content: The bytes as they were sent, before any content encoding was undone.

    Raises:
        UnpinnedKeyError: All that could be checked holds, but under a key that nobody pinned.
        VerificationError: Anything else; the text names the step.
    """
    findings = _Findings()
    receipt = parse_receipt(bundle.receipt)  # 1
    _check_receipt(receipt, pinned, bundle.offered, findings)  # 2
    if content is not None:
        _check_content(receipt.evidence, content, findings)  # 3
    if bundle.proof is None:
        verdict = findings.verdict(Outcome.OPERATORS_WORD, "that the log holds it: no proof was given")  # 8
        return Verdict(verdict.outcome, verdict.proved, verdict.not_proved, receipt.evidence)
    checkpoint = _check_inclusion(receipt.evidence, bundle, pinned, findings)  # 4 to 7
    verdict = findings.verdict(  # 8
        Outcome.PROVED,
        "that everybody is shown this same log: compare checkpoints with others, or with one you kept",
        *([] if content is not None else ["what the content says: give your copy to compare it"]),
    )
    return Verdict(verdict.outcome, verdict.proved, verdict.not_proved, receipt.evidence, checkpoint)


def verify_one_checkpoint(raw: bytes, pinned: Keys, offered: Keys | None = None) -> Verdict:
    """Check who signed a checkpoint.

    Raises:
        VerificationError: As `verify_receipt_and_proof`.
    """
    findings = _Findings()
    checkpoint = _check_checkpoint(raw, pinned, offered or Keys(), findings)
    verdict = findings.verdict(
        Outcome.OPERATORS_WORD, "that the log only ever grew: give an older checkpoint"
    )
    return Verdict(verdict.outcome, verdict.proved, verdict.not_proved, checkpoint=checkpoint)


def verify_growth(old: bytes, consistency: bytes, pinned: Keys, offered: Keys | None = None) -> Verdict:
    """Check that a log only grew between two of its checkpoints.

    1. Check the signatures of the old checkpoint, which the caller kept, and of the new one, in the proof.
    2. Both must name one origin: another origin is another log.
    3. The proof must start at the old size.
    4. Walk the hashes to both roots.
    5. Anything signed by a key that is not pinned proves nothing.

    Args:
        old: A signed checkpoint.
        consistency: `old <size>`, hashes, an empty line, the new signed checkpoint.
        pinned: The keys that the caller trusts.
        offered: Keys that came with the papers.

    Raises:
        InconsistentError: The log was rewritten, or the proof does not show that it was not.
        VerificationError: As `verify_receipt_and_proof`.
    """
    findings = _Findings()
    proof = parse_consistency(consistency)
    before = _check_checkpoint(old, pinned, offered or Keys(), findings)  # 1
    after = _check_checkpoint(proof.checkpoint, pinned, offered or Keys(), findings)
    if before.origin != after.origin:  # 2
        raise InconsistentError(f"consistency: {before.origin} and {after.origin} are different logs")
    if proof.old_size != before.size:  # 3
        raise InconsistentError(
            f"consistency: the proof starts at {proof.old_size}, the checkpoint at {before.size}"
        )
    if before.size == 0:  # 4
        if before.root != EMPTY_ROOT or proof.hashes:
            raise InconsistentError("consistency: an empty log has the empty root, and needs no hashes")
    else:
        verify_consistency(before.size, before.root, after.size, after.root, proof.hashes)
    findings.proved.append(f"{after.origin} only grew from {before.size} to {after.size} entries")
    verdict = findings.verdict(Outcome.PROVED, "what the entries between the two say")  # 5
    return Verdict(verdict.outcome, verdict.proved, verdict.not_proved, checkpoint=after)


def verify_files(files: Sequence[bytes], pinned: Keys, *, content: bytes | None = None) -> Verdict:
    """Recognise the papers by their first bytes, and verify them.

    They are a bundle, a receipt, one of both with a proof file, or a checkpoint.

    Raises:
        VerificationError: They prove nothing, or are no such papers.
    """
    receipts = [raw for raw in files if not _is_proof(raw) and not _is_checkpoint(raw)]
    proofs = [raw for raw in files if _is_proof(raw)]
    if len(files) == 1 and not receipts and not proofs:
        return verify_one_checkpoint(files[0], pinned)
    if len(receipts) != 1 or len(proofs) > 1 or len(receipts) + len(proofs) != len(files):
        raise MalformedError(
            "expected a receipt or a bundle, with or without one proof file, or one checkpoint"
        )
    if receipts[0].lstrip().startswith(b"{"):
        bundle = parse_bundle(receipts[0])
    else:
        bundle = Bundle(receipts[0].strip())
    if proofs:
        bundle = Bundle(bundle.receipt, proofs[0], bundle.offered)
    return verify_receipt_and_proof(bundle, pinned, content=content)


def has_receipt(files: Sequence[bytes]) -> bool:
    """Whether one of the papers is of one event, so that there is a content to compare: no checkpoint is."""
    return any(not _is_checkpoint(raw) for raw in files)


def format_verdict(verdict: Verdict) -> str:
    """The verdict for people: outcome, what is proved and by which key, what is not."""
    lines = [verdict.outcome.value]
    lines += [f"  + {statement}" for statement in verdict.proved]
    lines += [f"  - not shown: {statement}" for statement in verdict.not_proved]
    return _printable("\n".join(lines) + "\n")


def format_failure(error: VerificationError) -> str:
    """The same for what is not proved, and why."""
    return _printable(f"not proved\n  ! {error}\n")


def _printable(text: str) -> str:
    """Names come from outside; a terminal must not obey them."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def _is_proof(raw: bytes) -> bool:
    return raw.startswith(PROOF_HEADER.partition("@")[0].encode())


def _is_checkpoint(raw: bytes) -> bool:
    return b"\n\n\xe2\x80\x94 " in raw and not _is_proof(raw) and not raw.lstrip().startswith(b"{")


def _check_receipt(receipt: Receipt, pinned: Keys, offered: Keys, findings: _Findings) -> None:
    """Step 2."""
    key = pinned.receipts.get(receipt.key_id) or offered.receipts.get(receipt.key_id)
    if key is None:
        raise UnpinnedKeyError(
            f"receipt: signed by a key you have not pinned ({receipt.key_id}); the signature was not checked"
        )
    verify_receipt_signature(receipt, key)
    if receipt.key_id not in pinned.receipts:
        findings.unpinned.append(f"receipt key {receipt.key_id}")
    evidence = receipt.evidence
    at = datetime.fromtimestamp(evidence.at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    findings.proved.append(
        f"{evidence.iss} accepted {evidence.text('type')} {evidence.text('id')!r} "
        f"from {evidence.text('source')!r} for {evidence.text('partner')} at {at}: "
        f"receipt signed by {receipt.key_id}"
    )


def _check_content(evidence: Evidence, content: bytes, findings: _Findings) -> None:
    """Step 3."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != evidence.members["content"]["sha256"]:
        raise VerificationError(
            f"content: your copy has SHA-256 {digest}, the receipt is for another content"
        )
    findings.proved.append(f"the content is your copy, byte for byte (SHA-256 {digest})")


def _check_inclusion(evidence: Evidence, bundle: Bundle, pinned: Keys, findings: _Findings) -> Checkpoint:
    """Steps 4 to 7."""
    proof = parse_proof(bundle.proof or b"")  # 4
    checkpoint = _check_checkpoint(proof.checkpoint, pinned, bundle.offered, findings)  # 5
    log, _epoch = split_origin(checkpoint.origin)  # 6
    if log != evidence.log:
        raise VerificationError(f"proof: it is about {log}, the receipt about {evidence.log}")
    leaf_hash = hash_leaf(evidence.leaf())  # 7
    verify_inclusion(leaf_hash, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    findings.proved.append(f"it is entry {proof.index} of the {checkpoint.size} in {checkpoint.origin}")
    return checkpoint


def _check_checkpoint(raw: bytes, pinned: Keys, offered: Keys, findings: _Findings) -> Checkpoint:
    """A checkpoint signed by its log, by a pinned key or else by one that came along."""
    checkpoint, note = read_checkpoint(raw)
    try:
        key = verify_log_signature(checkpoint, note, pinned.logs)
    except UnpinnedKeyError:
        key = verify_log_signature(checkpoint, note, offered.logs)
        findings.unpinned.append(f"log key {key}")
    findings.proved.append(f"checkpoint of {checkpoint.size} entries signed by {key}")
    return checkpoint
