"""A bundle: everything about one event that a verifier needs, in one JSON file.

    {"receipt": "<JWS>", "proof": "<.tlog-proof text>", "jwks": {"keys": [...]}, "log_key": "<verifier key>"}

Only `receipt` is required. Other members are passed over, so that the answer to a posted event is a bundle
too. Keys inside a bundle are as good as the bundle's sender: they let a verifier check the arithmetic, they
earn no trust.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from audit.errors import MalformedError
from audit.note import VerifierKey, parse_verifier_key
from audit.receipt import format_jwk, read_jwks

BUNDLE_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Keys:
    """Public keys that may have signed: of receipts by thumbprint, of checkpoints by name."""

    receipts: dict[str, bytes] = field(default_factory=dict, repr=False)
    logs: tuple[VerifierKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """A receipt, its proof where there is one, and the keys that came with them (not trusted)."""

    receipt: bytes = field(repr=False)
    proof: bytes | None = field(default=None, repr=False)
    offered: Keys = field(default_factory=Keys)


def format_bundle(bundle: Bundle) -> bytes:
    """The bundle as JSON, at most one log key."""
    whole: dict[str, Any] = {"receipt": bundle.receipt.decode()}
    if bundle.proof is not None:
        whole["proof"] = bundle.proof.decode()
    if bundle.offered.receipts:
        whole["jwks"] = {"keys": [format_jwk(key) for key in bundle.offered.receipts.values()]}
    if bundle.offered.logs:
        whole["log_key"] = str(bundle.offered.logs[0])
    return json.dumps(whole, ensure_ascii=False, indent=1).encode() + b"\n"


def parse_bundle(raw: bytes) -> Bundle:
    """Read a bundle; nothing inside is verified.

    Raises:
        MalformedError: The bytes are no bundle.
    """
    if len(raw) > BUNDLE_BYTES:
        raise MalformedError(f"bundle: more than {BUNDLE_BYTES} bytes")
    try:
        whole = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MalformedError("bundle: expected one JSON object in UTF-8") from error
    if not isinstance(whole, dict):
        raise MalformedError("bundle: expected one JSON object")
    receipt = _text(whole, "receipt")
    if receipt is None:
        raise MalformedError('bundle: the member "receipt" is missing')
    proof, log_key = _text(whole, "proof"), _text(whole, "log_key")
    return Bundle(
        receipt=_utf8(receipt),
        proof=None if proof is None else _utf8(proof),
        offered=Keys(
            receipts={} if whole.get("jwks") is None else read_jwks(whole["jwks"]),
            logs=() if log_key is None else (parse_verifier_key(log_key),),
        ),
    )


def _text(whole: dict[str, Any], name: str) -> str | None:
    value = whole.get(name)
    if value is not None and not isinstance(value, str):
        raise MalformedError(f'bundle: "{name}" must be a text')
    return value


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MalformedError("bundle: a text holds half of a surrogate pair") from error
