"""Signers, evidence and vectors for the tests of the audit log."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlmodel import Session

from audit import log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.entry import Draft, draft_entry
from audit.evidence import Evidence, Kind, make_evidence
from audit.note import VerifierKey, thumbprint
from audit.papers import Keys
from audit.proof import InclusionProof, format_proof
from audit.receipt import issue
from audit.ref import format_ref
from audit.tree import Head, Node, NodeReader, prove_inclusion
from audit.verify import Verdict
from audit.whole import verify_files

VECTORS = Path(__file__).parents[2] / "vectors"
LOG = "gw.example/log/k3v9q2"
ORIGIN = f"{LOG}/1"
AT = 1_795_352_745_123


@cache
def load_vectors(name: str) -> Any:
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class SeedSigner:
    """A signer whose key is made from 32 given bytes."""

    seed: bytes = field(repr=False)

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    @property
    def key_id(self) -> str:
        return thumbprint(self.public_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


RECEIPT_SIGNER = SeedSigner(bytes(range(0x60, 0x80)))
LOG_SIGNER = SeedSigner(bytes(range(32)))
OTHER_SIGNER = SeedSigner(b"\x99" * 32)


def drafts(batch: Sequence[Evidence]) -> list[Draft]:
    return [draft_entry(one) for one in batch]


def append_all(session: Session, batches: Mapping[str, Sequence[Evidence]]) -> Mapping[str, Head]:
    """Append evidence to logs that were opened before."""
    return log.append_all(session, {origin: drafts(batch) for origin, batch in batches.items()})


def append(session: Session, origin: str, batch: Sequence[Evidence]) -> Head:
    return append_all(session, {origin: batch})[origin]


def members_of(kind: str) -> dict[str, Any]:
    """The members of the vector of a kind, free to change."""
    kinds = load_vectors("formats.json")["evidence"]["kinds"]
    return dict(next(each["members"] for each in kinds if each["kind"] == kind))


def evidence(
    number: int, *, kind: Kind = Kind.ACCEPTED, at: int | None = None, log: str = LOG, **changes: Any
) -> Evidence:
    """Evidence about event `number`; `ref` is that number in 32 bytes."""
    members = members_of(kind.value)
    if "ref" in members:
        members["ref"] = format_ref(number.to_bytes(32, "big"))
    if "id" in members:
        members["id"] = f"A-{number}"
    members.update(changes)
    return make_evidence(
        kind,
        members,
        iss="https://gw.example",
        log=log,
        at=AT + number if at is None else at,
        salt=number.to_bytes(32, "big"),
    )


def reader(nodes: tuple[Node, ...]) -> NodeReader:
    """A node reader over nodes in memory."""
    stored = {(node.level, node.index): node.hash for node in nodes}
    return lambda keys: {key: stored[key] for key in keys}


@dataclass(frozen=True, slots=True)
class Papers:
    """A receipt, the proof of it as an entry of a log of `size`, and the keys that signed both."""

    evidence: Evidence
    receipt: bytes
    proof: bytes
    keys: Keys


def proof_of(
    said: Evidence, index: int, size: int = 11, *, others: str = "leaf", signers: Sequence[SeedSigner] = ()
) -> bytes:
    """A proof of evidence in a log whose other leaves are "`others` N". `signers`: other than the log's."""
    leaves = [said.leaf() if number == index else f"{others} {number}".encode() for number in range(size)]
    head, nodes = Head(ORIGIN).append(leaves)
    first, *more = signers or (LOG_SIGNER,)
    note = sign_checkpoint(Checkpoint(ORIGIN, size, head.root()), first, *more)
    return format_proof(InclusionProof(index, prove_inclusion(index, size, reader(nodes)), note))


def papers(index: int = 3, size: int = 11, *, origin: str = ORIGIN) -> Papers:
    """Papers of an honest gateway. The other leaves of the log are arbitrary."""
    accepted = evidence(index)
    leaves = [accepted.leaf() if number == index else b"leaf %d" % number for number in range(size)]
    head, nodes = Head(origin).append(leaves)
    checkpoint = sign_checkpoint(Checkpoint(origin, size, head.root()), LOG_SIGNER)
    proof = InclusionProof(index, prove_inclusion(index, size, reader(nodes)), checkpoint)
    return Papers(
        evidence=accepted,
        receipt=issue(accepted, RECEIPT_SIGNER).token.encode(),
        proof=format_proof(proof),
        keys=Keys(
            {RECEIPT_SIGNER.key_id: RECEIPT_SIGNER.public_key}, (VerifierKey(origin, LOG_SIGNER.public_key),)
        ),
    )


def verify_growth(old: bytes, consistency: bytes, pinned: Keys) -> Verdict:
    """What shows that a log only grew from an older checkpoint to the one in the proof."""
    return verify_files([old, consistency], pinned)
