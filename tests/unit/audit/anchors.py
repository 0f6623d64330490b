"""An honest gateway's anchor, in memory: logs, their heads, rounds, witnesses."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from audit.anchor import AnchorProof
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.cosignature import ED25519, cosign
from audit.evidence import Evidence, Kind, make_evidence
from audit.heads import Roll
from audit.note import VerifierKey
from audit.policy import Policy, parse_policy
from audit.proof import InclusionProof, format_proof
from audit.tree import Head, prove_inclusion
from gateway.witness.key import CosigningKey
from tests.unit.audit.builders import AT, LOG, ORIGIN, SeedSigner, evidence, reader

ANCHOR_LOG = "gw.example/log/anchor"
ANCHOR = f"{ANCHOR_LOG}/1"
ANCHOR_SIGNER = SeedSigner(b"\xa1" * 32)
WITNESSES = tuple(CosigningKey(f"w.example/{number}", ED25519, bytes([number]) * 32) for number in (1, 2, 3))
SEEN_AT = AT // 1000 + 5


def policy(quorum: str = "2 w1 w2 w3", urls: Sequence[str] = ("", "", ""), log: str = ANCHOR) -> Policy:
    key = VerifierKey(log, ANCHOR_SIGNER.public_key)
    lines = [f"log {key}"]
    lines += [
        f"witness w{number} {one.key} {url}"
        for number, (one, url) in enumerate(zip(WITNESSES, urls, strict=True), 1)
    ]
    return parse_policy("\n".join([*lines, f"group enough {quorum}", "quorum enough", ""]).encode())


@dataclass
class Anchor:
    """`proof` of the one entry `leaf` of the log `of`; its parts can be replaced before."""

    cosigners: Sequence[CosigningKey] = WITNESSES
    entry: Evidence = field(default_factory=lambda: evidence(3))
    members: dict[str, Any] = field(default_factory=dict)
    log: str = ANCHOR_LOG
    origin: str = ANCHOR
    of: str = ORIGIN
    signer: SeedSigner = ANCHOR_SIGNER
    seen_at: int = SEEN_AT

    @property
    def leaf(self) -> bytes:
        return self.entry.leaf()

    def checkpoint(self, size: int, root: bytes) -> bytes:
        shown = Checkpoint(self.origin, size, root)
        lines = "".join(cosign(shown, one, self.seen_at) for one in self.cosigners)
        return sign_checkpoint(shown, self.signer) + lines.encode()

    def proof(self, index: int = 3, size: int = 11) -> AnchorProof:
        leaves = [self.leaf if number == index else b"leaf %d" % number for number in range(size)]
        top, nodes = Head(self.of).append(leaves)
        head = Checkpoint(self.of, size, top.root())
        others = [Checkpoint(f"gw.example/log/{number}/1", number, bytes(32)) for number in range(1, 6)]
        roll = Roll([head, *others], b"\x5e" * 32)
        members = {"id": "1795352750000", "width": roll.width, "root": base64.b64encode(roll.root).decode()}
        anchored = make_evidence(
            Kind.HEADS_ANCHORED,
            members | self.members,
            iss="https://gw.example",
            log=self.log,
            at=AT + 4_877,
            salt=b"\x77" * 32,
        )
        rounds = [b"round %d" % number for number in range(4)] + [anchored.leaf()]
        above, above_nodes = Head(self.origin).append(rounds)
        inclusion = InclusionProof(
            4, prove_inclusion(4, 5, reader(above_nodes)), self.checkpoint(5, above.root())
        )
        return AnchorProof(
            head=head,
            index=index,
            hashes=prove_inclusion(index, size, reader(nodes)),
            opening=roll.open(self.of)[1],
            evidence=anchored.raw,
            proof=format_proof(inclusion),
        )


def without(proof: AnchorProof, **changes: Any) -> AnchorProof:
    """The proof with other parts."""
    return replace(proof, **changes)


__all__ = [
    "ANCHOR",
    "ANCHOR_LOG",
    "ANCHOR_SIGNER",
    "LOG",
    "SEEN_AT",
    "WITNESSES",
    "Anchor",
    "policy",
    "without",
]
