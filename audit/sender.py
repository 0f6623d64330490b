"""The sender's own signature as a paper of a bundle: from the JSON in which the gateway hands it out.

Source: docs/formats.md, section 3, member `origin`, and section 6; docs/signing.md.
"""

import json
from base64 import b64decode
from typing import Final

from audit.errors import MalformedError

_MEMBERS: Final = ("algorithm", "key_id", "base", "signature")


def sender_paper(raw: bytes) -> tuple[str, bytes]:
    """Name and bytes of the paper, from the member `origin` of an event's timeline, or the whole timeline.

    The bytes are what the receipt's `origin` is the SHA-256 of. Where what was signed ends in the content,
    that and the first length are left out, and the name says at which byte the content has to be put in.

    Raises:
        MalformedError: it is neither.
    """
    try:
        whole = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MalformedError("sender's signature: no JSON text") from error
    if isinstance(whole, dict) and isinstance(whole.get("origin"), dict):
        whole = whole["origin"]
    if not isinstance(whole, dict) or not all(isinstance(whole.get(name), str) for name in _MEMBERS):
        raise MalformedError(f"sender's signature: the members are {', '.join(_MEMBERS)}, all of them texts")
    try:
        base, signature = (b64decode(whole[name], validate=True) for name in ("base", "signature"))
        name = whole["key_id"].encode()
    except ValueError as error:
        raise MalformedError("sender's signature: base and signature must be base64") from error
    rest = b"".join(len(one).to_bytes(4) + one for one in (signature, name))
    if whole.get("base_ends_in") == "content":
        return f"sender-{len(base)}", base + rest
    return "sender", len(base).to_bytes(4) + base + rest
