"""A bundle of evidence as an honest gateway makes it, with all that one can have in it; nothing runs."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit.bundle import write_tar
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.evidence import Evidence, Kind
from audit.merkle import hash_leaf
from audit.note import VerifierKey
from audit.papers import Keys
from audit.parties import encode_key
from audit.proof import InclusionProof, format_proof
from audit.receipt import issue
from audit.ref import format_ref
from audit.sender import sender_paper
from audit.tree import Head, prove_inclusion
from gateway.origin_evidence import Origin
from partners.contract import contract_bytes
from tests.acknowledging import statement
from tests.signing import Draft, private_key, raw_signature
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, RECEIPT_SIGNER, SeedSigner, evidence, reader

CONTENT = b'{"order_id":"A-3","qty":3}'
SENDER, RECEIVER = "ecdsa-p256-sha256", "ed25519"
SCHEMA = b'{"name":"com.acme.Order","type":"record","fields":[]}'
CONTRACT = contract_bytes("gateway: v1\npartner: acme\n", {"order.avsc": "{}"})
REF = format_ref((3).to_bytes(32, "big"))


@dataclass(frozen=True)
class Dossier:
    """The files of a bundle, and the keys that the caller has by other ways."""

    files: Mapping[str, bytes]
    keys: Keys
    evidence: Sequence[Evidence] = field(repr=False)

    @property
    def raw(self) -> bytes:
        return write_tar(self.files)


def pem(kind: str) -> bytes:
    key = private_key(kind).public_key()
    found: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return found


def der(kind: str) -> bytes:
    key = private_key(kind).public_key()
    found: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return found


def records(attributes: Mapping[str, str]) -> tuple[Origin, list[Evidence]]:
    """What the log tells of the event, and the contract that it came under."""
    base = Draft(body=CONTENT).base("crd_sender")
    origin = Origin(SENDER, "crd_sender", base, raw_signature(private_key(SENDER), base))
    digest = hashlib.sha256(CONTENT).hexdigest()
    content = {"sha256": digest, "length": len(CONTENT), "type": "application/json", "encoding": "identity"}
    schema = {"subject": "s", "version": 1, "id": 1, "fingerprint": hashlib.sha256(SCHEMA).hexdigest()}
    named: dict[str, Any] = {"attributes": dict(attributes)} if attributes else {}
    contract_sha256 = hashlib.sha256(CONTRACT).hexdigest()
    named |= {"contract": 7, "contract_sha256": contract_sha256}
    token = statement(
        private_key(RECEIVER), RECEIVER, "crd_receiver", {"webhook_id": REF, "content_sha256": digest}
    )
    return origin, [
        evidence(1, kind=Kind.CONTRACT_CHANGED, revision=7, after_sha256=contract_sha256),
        evidence(3, origin=origin.sha256(), content=content, schema=schema, **named),
        evidence(4, kind=Kind.ATTEMPTED, content_sha256=digest, ref=REF),
        evidence(5, kind=Kind.ACKNOWLEDGED, key="crd_receiver", token=token.decode(), ref=REF),
        evidence(6, kind=Kind.PARKED, ref=REF),
    ]


def _erasing(leaf: bytes) -> Evidence:
    """The entry which says that another one was erased."""
    digest = hash_leaf(leaf).hex()
    return evidence(7, kind=Kind.ERASED, origin=ORIGIN, index=4, leaf_sha256=digest, basis="asked for")


@cache
def dossier(
    *,
    erased: bool = False,
    attributes: tuple[tuple[str, str], ...] = (),
    signers: tuple[SeedSigner, ...] = (LOG_SIGNER,),
) -> Dossier:
    """One bundle.

    `erased`: without what the parked entry said, and with the entry that says so. `attributes`: that the
    sender gave its event. `signers`: of the checkpoint.
    """
    origin, told = records(dict(attributes))
    told += [_erasing(told[-1].leaf())] if erased else []
    leaves = [one.leaf() for one in told] + [b"leaf %d" % number for number in range(11 - len(told))]
    head, nodes = Head(ORIGIN).append(leaves)
    note = sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root()), *signers)
    log_key = VerifierKey(ORIGIN, LOG_SIGNER.public_key)
    files = {
        "receipt.jws": issue(told[1], RECEIPT_SIGNER).token.encode(),
        "keys/receipt.der": encode_key(RECEIPT_SIGNER.public_key),
        "keys/log.vkey": f"{log_key}\n".encode(),
    }
    for index, one in enumerate(told):
        proof = InclusionProof(index, prove_inclusion(index, head.size, reader(nodes)), note)
        is_gone = erased and one.kind is Kind.PARKED
        files[f"entries/1/{index}.{'leaf' if is_gone else 'json'}"] = one.leaf() if is_gone else one.raw
        files[f"entries/1/{index}.tlog-proof"] = format_proof(proof)
    name, paper = sender_paper(origin.to_json())
    files |= {"contract-7": CONTRACT, "schema.json": SCHEMA, name: paper}
    files |= {"keys/crd_sender.der": der(SENDER), "keys/crd_receiver.der": der(RECEIVER)}
    pinned = Keys(
        {RECEIPT_SIGNER.key_id: RECEIPT_SIGNER.public_key}, (log_key,), (pem(SENDER), pem(RECEIVER))
    )
    return Dossier(files, pinned, told)
