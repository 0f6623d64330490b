"""A log in memory, honest or not, and what is sent of it to a witness."""

from collections.abc import Sequence

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.cosignature import ED25519
from audit.note import VerifierKey
from audit.proof import ConsistencyProof, format_consistency
from audit.tree import Head, prove_consistency
from gateway.witness.key import CosigningKey
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, SeedSigner, reader

LOGS = {ORIGIN: [VerifierKey(ORIGIN, LOG_SIGNER.public_key)]}
HONEST = [b"leaf %d" % number for number in range(40)]
FORGED = HONEST[:6] + [b"forged %d" % number for number in range(34)]
COSIGNER = CosigningKey("witness.example/w1", ED25519, b"\x21" * 32)


def checkpoint_of(size: int, leaves: Sequence[bytes] = HONEST) -> Checkpoint:
    return Checkpoint(ORIGIN, size, Head(ORIGIN).append(leaves[:size])[0].root())


def submission(
    old: int, size: int, leaves: Sequence[bytes] = HONEST, signer: SeedSigner = LOG_SIGNER
) -> bytes:
    """The body of add-checkpoint."""
    _, nodes = Head(ORIGIN).append(leaves)
    hashes = prove_consistency(old, size, reader(nodes)) if old <= size else ()
    note = sign_checkpoint(checkpoint_of(size, leaves), signer)
    return format_consistency(ConsistencyProof(old, hashes, note))
