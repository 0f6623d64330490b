"""A receiver's signed statement that it has a delivery, made after it answered: a compact JWS.

It proves that to others, later and without us; its exact text is kept. Whether such content was sent is for
others to find out. Raises nothing but `CallerError`.

Source: RFC 7515, sections 3 and 5.2; RFC 7518, sections 3.4 and 3.5; RFC 8037, section 3.1.
"""

import base64
import re
from dataclasses import dataclass, field
from typing import Any, Final

from audit.ref import format_ref
from gateway.egress.acknowledgement import find_key
from gateway.errors import CallerError
from partners.directory import Directory
from schemas.errors import SchemasError
from schemas.json_reader import read_json

TOKEN_BYTES: Final = 8_192
ALGORITHMS: Final = {
    "EdDSA": "ed25519",
    "Ed25519": "ed25519",
    "ES256": "ecdsa-p256-sha256",
    "PS512": "rsa-pss-sha512",
}
"""Of statements: names of JOSE to the one algorithm that a key has."""

_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_HEADER: Final = frozenset({"alg", "kid", "typ"})
_CLAIMS: Final = frozenset({"webhook_id", "endpoint", "content_sha256", "received_at"})


@dataclass(frozen=True, slots=True)
class Statement:
    """A signed statement, verified. `credential`: whose key; `token`: the whole of it, as it came."""

    credential: str
    content_sha256: str
    token: str = field(repr=False)


def verify_statement(
    raw: bytes, directory: Directory, partner: str, *, endpoint: str, ref: bytes, now: int
) -> Statement:
    """Verify a statement that a receiver makes afterwards: a compact JWS.

    Its header has `alg`, `kid` (the credential with the public key) and perhaps `typ`; its payload is a JSON
    object with `webhook_id`, `content_sha256` (hex, of the body as it came) and perhaps `endpoint` and
    `received_at`. Whether such content was sent is for others to find out.

    Raises:
        CallerError: `acknowledgement_invalid`; it is none, of another delivery, or by no key of the partner.
    """
    if len(raw) > TOKEN_BYTES:
        raise _invalid(f"a statement has at most {TOKEN_BYTES} bytes")
    signed, _, last = raw.rpartition(b".")
    first, _, second = signed.partition(b".")
    header, payload = _part(first, "header"), _part(second, "payload")
    if not header.keys() <= _HEADER or not isinstance(header.get("kid"), str):
        raise _invalid("the header has alg and kid, and besides at most typ")
    try:
        credential, key = find_key(directory, partner, header["kid"], now=now)
    except CallerError as error:
        raise _invalid("kid names no public key of yours that is in force") from error
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or ALGORITHMS.get(algorithm) != key.algorithm:
        fitting = " or ".join(name for name, one in ALGORITHMS.items() if one == key.algorithm)
        raise _invalid(f"alg must be {fitting}, by which this key signs")
    if not key.fits(_decoded(last, "signature"), signed):
        raise _invalid("the signature is not this key's over header and payload as they came")
    content = payload.get("content_sha256")
    if not payload.keys() <= _CLAIMS or not isinstance(content, str) or _SHA256.fullmatch(content) is None:
        raise _invalid(
            "the payload has webhook_id and content_sha256 (64 hex digits), "
            "and besides at most endpoint and received_at"
        )
    if payload.get("webhook_id") != format_ref(ref) or payload.get("endpoint", endpoint) != endpoint:
        raise _invalid("webhook_id or endpoint is of another delivery")
    return Statement(credential.id, content, raw.decode("ascii"))


def _part(raw: bytes, what: str) -> dict[str, Any]:
    try:
        found = read_json(_decoded(raw, what))
    except SchemasError as error:
        raise _invalid(f"the {what} is no JSON") from error
    if not isinstance(found, dict):
        raise _invalid(f"the {what} is no JSON object")
    return found


def _decoded(raw: bytes, what: str) -> bytes:
    text = raw.decode("ascii", "replace")
    if _PART.fullmatch(text) is None or len(text) % 4 == 1:
        raise _invalid(f"a compact JWS has three parts in base64url; its {what} is none")
    found = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(found).rstrip(b"=") != raw:
        raise _invalid(f"the {what} is base64url with bits that nobody reads")
    return found


def _invalid(text: str) -> CallerError:
    return CallerError("acknowledgement_invalid", f"{text[0].upper()}{text[1:]}.")
