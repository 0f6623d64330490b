"""The digest of a body in its header field: read before the body comes, compared when it is there.

Source: RFC 9530, sections 2 and 5.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.auth.signature_fields import read_bytes, refused

FIELD: Final = "content-digest"
_MADE_BY: Final[Mapping[str, Callable[[bytes], Any]]] = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


def read_digests(text: str) -> Mapping[str, bytes]:
    """The digests that count, by algorithm: SHA-256, SHA-512 or both. All others prove nothing.

    Raises:
        CallerError: `signature_invalid`; the field cannot be read, or has neither.
    """
    found = read_bytes(FIELD, text)
    digests = {name: found[name] for name in _MADE_BY if name in found}
    if not digests:
        raise refused(FIELD, "the digest must be by sha-256 or sha-512")
    return digests


def verify_digests(digests: Mapping[str, bytes], body: bytes) -> None:
    """Compare with the body as it was sent, before any decoding.

    Raises:
        CallerError: `signature_invalid`; one of them is another body's.
    """
    for name, digest in digests.items():
        if not hmac.compare_digest(_MADE_BY[name](body).digest(), digest):
            raise refused(FIELD, f"the {name} digest is not that of the body that came")
