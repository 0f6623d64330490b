"""A receiver's own signature in an acknowledgement, by itself: does it fit, and what does it prove?

In a bundle of evidence it is verified with all else (`audit.verify`). Standard library and cryptography only.

Source: docs/formats.md, section 3, `delivery.acknowledged`; docs/attempts.md; RFC 9421; RFC 7515.
"""

from typing import Final

from audit.errors import MalformedError, VerificationError
from audit.evidence import Evidence, Kind
from audit.parties import algorithm_of, read_token
from audit.ref import format_ref
from audit.verify import Verdict

_NOT_PROVED: Final = ("whose key it is that you gave: that was agreed elsewhere",)


def verify_acknowledgement(evidence: Evidence, key: bytes) -> Verdict:
    """Check a receiver's signature in verified evidence; see `verify_token`.

    Args:
        evidence: Of the kind `delivery.acknowledged`.
        key: The receiver's public key, PEM or DER.

    Raises:
        MalformedError: It is of another kind, or no token.
        VerificationError: It proves nothing; the text names the step.
    """
    token = evidence.text("token")
    if evidence.kind is not Kind.ACKNOWLEDGED or token is None or evidence.ref is None:
        raise MalformedError("acknowledgement: expected evidence of delivery.acknowledged")
    return Verdict(verify_token(token, format_ref(evidence.ref), key), (), _NOT_PROVED)


def verify_token(token: str, ref: str, key: bytes) -> tuple[str, ...]:
    """Check a receiver's signature as the timeline of an event shows it; what it proves, in words.

    1. Take the token apart: a signed answer, or a statement; what was signed must name the event. 2. The
    signature must fit, by the key given.

    Args:
        token: Of the entry `delivery.acknowledged`.
        ref: The event, `evt_...`.
        key: The receiver's public key, PEM or DER.

    Raises:
        MalformedError: It is no token.
        VerificationError: It proves nothing; the text names the step.
    """
    said = read_token({"token": token, "ref": ref})  # 1
    algorithm = algorithm_of(key, said)  # 2
    if algorithm is None:
        raise VerificationError("acknowledgement: it is not by the key that you gave")
    found = [f"the holder of the {algorithm} key that you gave signed that it has the event"]
    if said.content:
        found.append(f"what was signed names the content that it got: {said.content}")
    return tuple(found)
