"""What witnesses saw of an event: `anchor.json` beside its papers, judged by a policy of the caller's."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from audit.anchor import (
    VERSION,
    AnchorProof,
    doubtful_times,
    format_seen,
    parse_anchor_proof,
    verify_anchor_proof,
)
from audit.checkpoint import read_checkpoint
from audit.errors import MalformedError, VerificationError
from audit.papers import leaf_of, log_of, read_evidence, read_json, read_receipt
from audit.policy import Policy
from audit.proof import parse_proof
from audit.verify import Verdict, open_paper

NAME: Final = "anchor.json"
UNSEEN: Final = "that any witness saw it: `gateway verify --policy FILE` looks at that"
"""As `audit.bundled` says it, too."""


def add_witnessed(verdict: Verdict, files: Sequence[bytes], policy: Policy) -> tuple[Verdict, bool]:
    """The verdict with what witnesses saw of it, and whether they are enough for the policy.

    Raises:
        VerificationError: there is nothing that they could have seen, or it does not fit.
    """
    held: dict[str, bytes] = {}
    anchors = [raw for raw in files if _is_anchor(raw)]
    for raw in files:
        held |= open_paper(raw)
    anchors += [held[NAME]] if NAME in held else []
    if not anchors:
        raise VerificationError(f"policy: no {NAME} was given, so that nothing shows what witnesses saw")
    proved, word, not_proved, is_enough = *map(list, verdict), True
    for raw in anchors:
        proof = parse_anchor_proof(raw)
        leaf, log = _entry(proof, held)
        if log_of(proof.head.origin) != log:
            text = f"{NAME}: it is about {proof.head.origin}, and the papers about {log}"
            raise VerificationError(text)
        found = verify_anchor_proof(proof, leaf, policy)
        if found.is_enough:
            proved.append(f"it is entry {proof.index}, and {format_seen(found)}")
        else:
            not_proved.append(f"that enough witnesses saw it: {format_seen(found)}")
        doubt = doubtful_times(found)
        word += [] if doubt is None else [doubt]
        is_enough = is_enough and found.is_enough
    kept = tuple(one for one in not_proved if one != UNSEEN)
    return Verdict(tuple(proved), tuple(word), kept), is_enough


def _entry(proof: AnchorProof, held: Mapping[str, bytes]) -> tuple[bytes, str]:
    """The entry that the proof is about, of those that the papers hold, and its log: verified before."""
    epoch = proof.head.origin.rpartition("/")[2]
    stem = f"entries/{epoch}/{proof.index}"
    if f"{stem}.leaf" in held:
        shown, _ = read_checkpoint(parse_proof(held.get(f"{stem}.tlog-proof", b"")).checkpoint)
        return held[f"{stem}.leaf"], log_of(shown.origin)
    raw = held.get(f"{stem}.json")
    if raw is None and "receipt.jws" in held:
        raw = read_receipt(held["receipt.jws"])[1]
    if raw is None:
        raise VerificationError(f"{NAME}: it is about entry {proof.index}, which is not among the papers")
    evidence = read_evidence(raw)
    return leaf_of(raw, evidence), str(evidence["log"])


def _is_anchor(raw: bytes) -> bool:
    if not raw.lstrip().startswith(b"{"):
        return False
    with suppress(MalformedError):
        return bool(read_json(raw, NAME).get("format") == VERSION)
    return False


def of_events(files: Sequence[bytes]) -> Iterator[bytes]:
    """Those that are no proofs of anchoring: what else verifies them."""
    return (raw for raw in files if not _is_anchor(raw))
