"""The sender's own signature beside a receipt: does it fit, and what does it prove?

The receipt holds a digest of it (member `origin`), the gateway hands out the rest. Whoever gave the public
key says whose it is; nothing here can. Standard library and cryptography only.

Source: docs/formats.md, section 3, member `origin`; docs/signing.md; RFC 9421, section 3.3.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from audit.errors import MalformedError, VerificationError
from audit.evidence import Evidence
from audit.verify import Outcome, Verdict

_COORDINATE_BYTES: Final = 32
_PSS_SALT: Final = 64
_DIGEST_LINE: Final = re.compile(rb'^"content-digest": .*$', re.MULTILINE)
_DIGEST: Final = re.compile(rb"sha-(256|512)=:([A-Za-z0-9+/=]+):")


@dataclass(frozen=True, slots=True)
class SenderSignature:
    """A signature and what it was made over. `needs_content`: the base goes on with the content."""

    algorithm: str
    key_id: str
    base: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    needs_content: bool = False

    def sha256(self) -> str:
        """As the receipt has it: SHA-256 in hex over base, signature and key id, each behind its length."""
        parts = (self.base, self.signature, self.key_id.encode())
        return hashlib.sha256(b"".join(len(one).to_bytes(4) + one for one in parts)).hexdigest()


def parse_sender(raw: bytes) -> SenderSignature:
    """Read the member `origin` of an event's timeline, or a timeline that has it.

    Raises:
        MalformedError: it is neither.
    """
    try:
        whole = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MalformedError("sender's signature: no JSON text") from error
    if isinstance(whole, dict) and isinstance(whole.get("origin"), dict):
        whole = whole["origin"]
    names = ("algorithm", "key_id", "base", "signature")
    if not isinstance(whole, dict) or not all(isinstance(whole.get(name), str) for name in names):
        raise MalformedError(f"sender's signature: the members are {', '.join(names)}, all of them texts")
    try:
        return SenderSignature(
            whole["algorithm"],
            whole["key_id"].encode().decode(),
            base64.b64decode(whole["base"], validate=True),
            base64.b64decode(whole["signature"], validate=True),
            whole.get("base_ends_in") == "content",
        )
    except ValueError as error:
        raise MalformedError("sender's signature: base and signature must be base64") from error


def verify_sender(raw: bytes, key: bytes, evidence: Evidence, *, content: bytes | None = None) -> Verdict:
    """Check a sender's signature against a verified receipt.

    1. Take the papers apart. 2. The digest must be the receipt's: this signature came with this event. 3. The
    signature must fit the base, by the key given. 4. Whether the base names the content as received.

    Args:
        raw: As `parse_sender` reads it.
        key: The sender's public key, PEM.
        evidence: Of the receipt.
        content: The bytes as they were sent.

    Raises:
        VerificationError: It proves nothing; the text names the step.
    """
    sender = parse_sender(raw)  # 1
    if sender.needs_content:
        if content is None:
            raise VerificationError("sender's signature: it was made over the content itself: give your copy")
        sender = replace(sender, base=sender.base + content)
    if sender.sha256() != evidence.members.get("origin"):  # 2
        raise VerificationError("sender's signature: it is not the one whose digest the receipt has")
    algorithm = verify_signature(key, sender)  # 3
    found = [f"the holder of the {algorithm} key that you gave signed it, as {sender.key_id}"]
    if _names_content(sender, evidence, content):  # 4
        found.append("what was signed names this content")
    return Verdict(Outcome.PROVED, tuple(found), ("whose key it is: that was agreed elsewhere",), evidence)


def _names_content(sender: SenderSignature, evidence: Evidence, content: bytes | None) -> bool:
    """Whether the content of the receipt is what was signed: itself, or by a digest in a line of the base."""
    wanted = {b"256": bytes.fromhex(evidence.members["content"]["sha256"])}
    if content is not None and hashlib.sha256(content).digest() == wanted[b"256"]:
        if sender.needs_content:
            return True
        wanted[b"512"] = hashlib.sha512(content).digest()
    line = _DIGEST_LINE.search(sender.base)
    named = dict(_DIGEST.findall(line[0])) if line is not None and not sender.needs_content else {}
    compared = [named[size] == base64.b64encode(digest) for size, digest in wanted.items() if size in named]
    return bool(compared) and all(compared)


def verify_signature(pem: bytes, sender: SenderSignature) -> str:
    """The key's algorithm, once the signature was found to be by it.

    Raises:
        VerificationError: It is not.
        MalformedError: The key is none, or of no kind that signs here.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedError("sender's key: expected a public key in PEM") from error
    base, signature = sender.base, sender.signature
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, base)
            return "ed25519"
        if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
            r, s = signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:][:_COORDINATE_BYTES]
            key.verify(encode_dss_signature(int.from_bytes(r), int.from_bytes(s)), base, ECDSA(SHA256()))
            return "ecdsa-p256-sha256"
        if isinstance(key, RSAPublicKey):
            key.verify(signature, base, PSS(MGF1(SHA512()), _PSS_SALT), SHA512())
            return "rsa-pss-sha512"
    except InvalidSignature as error:
        raise VerificationError("sender's signature: it is not by the key that you gave") from error
    raise MalformedError("sender's key: expected Ed25519, ECDSA over P-256, or RSA")
