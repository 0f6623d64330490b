"""A receiver's own signature in the evidence of an acknowledgement: does it fit, and what does it prove?

The evidence holds the exact text that was signed, and the signature. Whoever gave the public key says whose
it is; nothing here can. Standard library and cryptography only.

Source: docs/formats.md, section 3, `delivery.acknowledged`; docs/attempts.md; RFC 9421; RFC 7515.
"""

import base64
import json
import re
from typing import Final

from audit.errors import MalformedError, VerificationError
from audit.evidence import Evidence, Kind
from audit.ref import format_ref
from audit.sender import SenderSignature, parse_sender, verify_signature
from audit.verify import Outcome, Verdict

_ALGORITHMS: Final = {
    "EdDSA": "ed25519",
    "Ed25519": "ed25519",
    "ES256": "ecdsa-p256-sha256",
    "PS512": "rsa-pss-sha512",
}
_CONTENT: Final = re.compile(r'^"content-digest";req: .*$', re.MULTILINE)
_NOT_PROVED: Final = ("whose key it is: that was agreed elsewhere",)


def verify_acknowledgement(evidence: Evidence, key: bytes) -> Verdict:
    """Check a receiver's signature in verified evidence.

    1. Take the token apart: a signed answer, or a statement. 2. The signature must fit, by the key given.
    3. What was signed must name the event of the evidence.

    Args:
        evidence: Of the kind `delivery.acknowledged`.
        key: The receiver's public key, PEM.

    Raises:
        MalformedError: It is of another kind, or no token.
        VerificationError: It proves nothing; the text names the step.
    """
    token = evidence.text("token")
    if evidence.kind is not Kind.ACKNOWLEDGED or token is None or evidence.ref is None:
        raise MalformedError("acknowledgement: expected evidence of delivery.acknowledged")
    signed = parse_sender(token.encode()) if token.startswith("{") else _parse_statement(token)  # 1
    algorithm = verify_signature(key, signed)  # 2
    if signed.algorithm != algorithm:
        raise VerificationError("acknowledgement: it names another algorithm than its key has")
    text = signed.base.decode("ascii", "replace")
    content = (
        _of_answer(text, evidence.ref) if token.startswith("{") else _of_statement(text, evidence.ref)
    )  # 3
    found = [f"the holder of the {algorithm} key that you gave signed that it has the event"]
    if content:
        found.append(f"what was signed names the content that it got: {content}")
    return Verdict(Outcome.PROVED, tuple(found), _NOT_PROVED, evidence)


def _parse_statement(token: str) -> SenderSignature:
    signed, _, last = token.rpartition(".")
    header = _part(signed.partition(".")[0])
    algorithm = _ALGORITHMS.get(str(header.get("alg")), "")
    return SenderSignature(algorithm, str(header.get("kid")), signed.encode(), _decoded(last))


def _of_answer(base: str, ref: bytes) -> str:
    """The digest of the content that a signed answer names, if it does."""
    if f'"webhook-id";req: {format_ref(ref)}' not in base.split("\n"):
        raise VerificationError("acknowledgement: what was signed names another event")
    line = _CONTENT.search(base)
    return line[0].partition(": ")[2] if line else ""


def _of_statement(signed: str, ref: bytes) -> str:
    payload = _part(signed.partition(".")[2])
    if payload.get("webhook_id") != format_ref(ref):
        raise VerificationError("acknowledgement: what was signed names another event")
    return str(payload.get("content_sha256"))


def _part(text: str) -> dict[str, object]:
    try:
        found = json.loads(_decoded(text))
    except (ValueError, RecursionError) as error:
        raise MalformedError("acknowledgement: a statement has two parts of JSON") from error
    if not isinstance(found, dict):
        raise MalformedError("acknowledgement: a statement has two parts of JSON objects")
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise MalformedError("acknowledgement: a statement has three parts in base64url") from error
