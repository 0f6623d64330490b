"""A bundle: everything about one event that a verifier needs, in one JSON file.

    {"receipt": "<JWS>", "proof": "<.tlog-proof text>", "jwks": {"keys": [...]}, "log_key": "<verifier key>"}

Only `receipt` is required. Other members are passed over, so that the answer to a posted event is a bundle
too. Keys inside a bundle are as good as the bundle's sender: they let a verifier check the arithmetic, they
earn no trust.
"""

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from audit.errors import MalformedError
from audit.note import parse_verifier_key
from audit.papers import Keys
from audit.receipt import format_jwk, read_jwks

__all__ = ["Bundle", "Keys", "format_bundle", "parse_bundle", "write_tar"]

BUNDLE_BYTES = 2_000_000
_FILE_NAME: Final = re.compile(r"[\w./-]{1,100}", re.ASCII)
_HEAD: Final = "100s8s8s8s12s12s8s1s100s8s247x"
"""Of a file in a ustar archive: name, mode, owner, group, size, time, checksum, type, link, magic."""


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


def write_tar(files: Mapping[str, bytes]) -> bytes:
    """A ustar archive: the same bytes for the same files, without owners and times.

    Raises:
        ValueError: a name has other characters, or more, than such an archive takes.
    """
    parts: list[bytes] = []
    for name, content in files.items():
        if not _FILE_NAME.fullmatch(name):
            raise ValueError(f"no file of a bundle is called {name!r}")
        numbers = (b"0000644", b"0000000", b"0000000", b"%011o" % len(content), b"0" * 11)
        head = struct.pack(_HEAD, name.encode(), *numbers, b" " * 8, b"0", b"", b"ustar\x0000")
        parts += [head[:148] + b"%06o\x00 " % sum(head) + head[156:], content, bytes(-len(content) % 512)]
    return b"".join([*parts, bytes(1024)])


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
