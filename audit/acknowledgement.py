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
    """Check a receiver's signature in verified evidence; see `verify_token`.

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
    proved = verify_token(token, format_ref(evidence.ref), key)
    return Verdict(Outcome.PROVED, proved, _NOT_PROVED, evidence)


def verify_token(token: str, ref: str, key: bytes) -> tuple[str, ...]:
    """Check a receiver's signature as the timeline of an event shows it; what it proves, in words.

    1. Take the token apart: a signed answer, or a statement. 2. The signature must fit, by the key given.
    3. What was signed must name the event.

    Args:
        token: Of the entry `delivery.acknowledged`.
        ref: The event, `evt_...`.
        key: The receiver's public key, PEM.

    Raises:
        MalformedError: It is no token.
        VerificationError: It proves nothing; the text names the step.
    """
    is_answer = token.startswith("{")
    signed = parse_sender(token.encode()) if is_answer else _parse_statement(token)  # 1
    algorithm = verify_signature(key, signed)  # 2
    if signed.algorithm != algorithm:
        raise VerificationError("acknowledgement: it names another algorithm than its key has")
    text = signed.base.decode("ascii", "replace")
    content = _of_answer(text, ref) if is_answer else _of_statement(text, ref)  # 3
    found = [f"the holder of the {algorithm} key that you gave signed that it has the event"]
    if content:
        found.append(f"what was signed names the content that it got: {content}")
    return tuple(found)


def _parse_statement(token: str) -> SenderSignature:
    signed, _, last = token.rpartition(".")
    header = _part(signed.partition(".")[0])
    algorithm = _ALGORITHMS.get(str(header.get("alg")), "")
    return SenderSignature(algorithm, str(header.get("kid")), signed.encode(), _decoded(last))


def _of_answer(base: str, ref: str) -> str:
    """The digest of the content that a signed answer names, if it does."""
    if f'"webhook-id";req: {ref}' not in base.split("\n"):
        raise VerificationError("acknowledgement: what was signed names another event")
    line = _CONTENT.search(base)
    return line[0].partition(": ")[2] if line else ""


def _of_statement(signed: str, ref: str) -> str:
    payload = _part(signed.partition(".")[2])
    if payload.get("webhook_id") != ref:
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
