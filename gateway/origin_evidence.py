"""The sender's own signature over a request, kept beside the claim: evidence of who sent an event.

Only asymmetric signatures: whoever could have made it besides the sender proves nothing against the sender.
Source: docs/formats.md, section 3, member `origin`.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Final

_P256_ORDER: Final = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551
_P256_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Origin:
    """A signature and what it was made over.

    `base`: the exact bytes that were signed. `algorithm`: by its name in RFC 9421 for message signatures,
    `v1a` for Standard Webhooks. `key_id`: as the request named the key. `content_bytes`: how many bytes at
    the end of `base` are the content as received, which is kept by itself, and only as long as was agreed.
    """

    algorithm: str
    key_id: str
    base: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    content_bytes: int = 0

    def sha256(self) -> str:
        """SHA-256 in hex over base, signature and key id, each behind its length (u32)."""
        return self._sha256(self.signature)

    def name(self) -> str:
        """As `sha256`, and one for all signatures that anybody can make of this one; for no evidence.

        Of an ECDSA signature (r, s) anybody makes (r, n - s), which fits as well: the smaller s counts. Of
        the other algorithms nobody can: Ed25519 and RSA take each number in one spelling alone.
        """
        r, s = self.signature[:_P256_BYTES], self.signature[_P256_BYTES:]
        if self.algorithm != "ecdsa-p256-sha256":
            return self._sha256(self.signature)
        number = int.from_bytes(s)
        return self._sha256(r + min(number, _P256_ORDER - number).to_bytes(_P256_BYTES))

    def _sha256(self, signature: bytes) -> str:
        parts = (self.base, signature, self.key_id.encode())
        return hashlib.sha256(b"".join(len(one).to_bytes(4) + one for one in parts)).hexdigest()

    def to_json(self) -> bytes:
        """As it is kept and handed out: an object of texts, bytes in base64.

        `base_ends_in` is there where the rest of the base is to be taken from the content as received.
        """
        base = self.base[: len(self.base) - self.content_bytes]
        members = {
            "algorithm": self.algorithm,
            "key_id": self.key_id,
            "base": base64.b64encode(base).decode("ascii"),
            "signature": base64.b64encode(self.signature).decode("ascii"),
        }
        if self.content_bytes:
            members["base_ends_in"] = "content"
        return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
