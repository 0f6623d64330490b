"""The sender's own signature over a request, kept beside the claim: evidence of who sent an event.

Only asymmetric signatures: whoever could have made it besides the sender proves nothing against the sender.
Source: docs/formats.md, section 3, member `origin`.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field


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
        parts = (self.base, self.signature, self.key_id.encode())
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
