"""Papers as a verifier reads them: keys, receipts, evidence, checkpoints, proofs. Bytes in, values out.

Each reader takes one spelling and refuses every other, with `MalformedError`; what follows from what is read
is said in `audit.case`. Needs the standard library and cryptography, and reads nothing but what it is given.

Source: docs/formats.md, sections 3 to 6; C2SP signed-note, tlog-checkpoint and tlog-proof; RFC 7515.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, AnyStr, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.failures import MalformedError, UnpinnedKeyError, VerificationError

_HEADER: Final = r'\{"alg":"EdDSA","kid":"([\w-]{43})","typ":"gateway-receipt\+json"\}'
_NUMBER: Final = "(0|[1-9][0-9]{0,17})"
_PATH: Final = _NUMBER + r"((?:\n[\w+/]{43}=){0,63})\n\n(?s:(.*))"
_NOTE: Final = rf"(([^\s+]+)\n{_NUMBER}\n([\w+/]{{43}}=)\n)\n((?:\u2014 [^\s+]+ [\w+/]{{7,}}=*\n){{1,100}})"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named Ed25519 key that may sign notes. A log's key has the name of the log's origin."""

    name: str
    public_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a name or a key that no note could carry."""
        fit("[^\\s+\\x00-\\x1f\\ud800-\\udfff]+", self.name, "key name: no white space, no +")
        expect(len(self.public_key) == 32, f"verifier key: {len(self.public_key)} bytes")  # noqa: PLR2004 - of Ed25519

    @property
    def key_id(self) -> bytes:
        """The four bytes that signature lines name this key by. They tell keys apart, they prove nothing."""
        return hashlib.sha256(self.name.encode() + b"\n\x01" + self.public_key).digest()[:4]

    def __str__(self) -> str:
        """`name+hex8+base64`, as tools of the transparency-log world write it."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([1]) + self.public_key).decode()}"


@dataclass(frozen=True, slots=True)
class Keys:
    """Public keys that somebody vouches for.

    receipts: of receipts, by thumbprint. logs: of checkpoints; a key is its log's in every epoch. parties: of
    whoever else may have signed, the sender or the receiver of an event, in PEM or DER.
    """

    receipts: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    logs: tuple[VerifierKey, ...] = ()
    parties: tuple[bytes, ...] = field(default=(), repr=False)


def expect(is_so: object, text: str, error: type[VerificationError] = MalformedError) -> None:
    """Go on, or raise."""
    if not is_so:
        raise error(text)


def fit(pattern: AnyStr, text: AnyStr, what: str) -> re.Match[AnyStr]:
    """The whole text in its one spelling, or MalformedError."""
    if match := re.fullmatch(pattern, text):
        return match
    raise MalformedError(what)


def decode_base64(text: str, what: str, *, is_url: bool = False) -> bytes:
    """Bytes of base64 with padding, or of base64url without, in its one canonical spelling."""
    signs, pad = (b"-_", "=" * (-len(text) % 4)) if is_url else (b"+/", "")
    with suppress(ValueError):
        raw = base64.b64decode((text + pad).encode("ascii"), signs, validate=True)
        if base64.b64encode(raw, signs).decode() == text + pad and not (is_url and "=" in text):
            return raw
    raise MalformedError(f"{what}: expected base64{'url' if is_url else ''} in its canonical spelling")


def verify_signature(public_key: bytes, signature: bytes, message: bytes, what: str) -> None:
    """Check one Ed25519 signature, or raise VerificationError."""
    with suppress(InvalidSignature, ValueError):
        return Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    raise VerificationError(f"{what}: the signature is wrong; it was altered, or another key made it")


def read_json(raw: bytes, what: str, *, is_exact: bool = False) -> dict[str, Any]:
    """One JSON object; `is_exact`: without white space, each member once, no needless escapes."""
    with suppress(ValueError, RecursionError):
        whole = json.loads(raw.decode("utf-8"))
        exact = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode() if is_exact else raw
        if isinstance(whole, dict) and exact == raw:
            return whole
    raise MalformedError(f"{what}: expected one JSON object in UTF-8, in its exact form")


def read_receipt_keys(raw: bytes) -> dict[str, bytes]:
    """The receipt keys of a JWK set, by their `kid`."""
    found: Any = read_json(raw, "JWK set").get("keys")
    expect(isinstance(found, list) and all(isinstance(one, dict) for one in found), "JWK set: expected keys")
    ours = [one for one in found if (one.get("crv"), one.get("purpose", "receipt")) == ("Ed25519", "receipt")]
    return {str(one.get("kid")): decode_base64(str(one.get("x")), "JWK: x", is_url=True) for one in ours}


def read_log_key(text: str) -> VerifierKey:
    """A log's key: `name+hex8+base64`."""
    # The base64 may hold plus signs itself.
    key = VerifierKey(text.partition("+")[0], decode_base64(text.split("+", 2)[-1], "verifier key")[1:])
    expect(str(key) == text, f"verifier key: no Ed25519 key, or its id is not {key.key_id.hex()}")
    return key


def read_receipt(token: bytes) -> tuple[str, bytes, bytes]:
    """Key id, evidence and signature of a receipt: a compact JWS with the one header there is."""
    parts = fit(r"([^.]+)\.([^.]+)\.([^.]+)", str(token, "latin1"), "receipt: expected three parts").groups()
    header, evidence, signature = (decode_base64(part, "receipt", is_url=True) for part in parts)
    return fit(_HEADER, header.decode("latin-1"), "receipt: not its one header")[1], evidence, signature


def read_evidence(raw: bytes) -> dict[str, Any]:
    """The members of an evidence record of any kind, whose bytes are in their one exact form."""
    evidence = read_json(raw, "evidence", is_exact=True)
    v, at, is_text = evidence.get("v"), evidence.get("at"), isinstance(evidence.get("log"), str)
    expect(v == 1 and is_text and type(at) is int and 0 <= at < 1 << 47, "evidence: v, log or at is wrong")
    fit("[a-z_]{1,20}[.][a-z_]{1,20}", str(evidence.get("kind")), "evidence: kind must be two words")
    return evidence


def leaf_of(raw: bytes, evidence: Mapping[str, Any]) -> bytes:
    """What the log holds of an evidence record: its kind, its hour, and a commitment to its bytes."""
    digest = base64.b64encode(hashlib.sha256(b"gateway-commit/v1\x00" + raw).digest()).decode()
    return f"gateway-leaf/v1\n{evidence['kind']}\n{time_of(evidence)[:13]}Z\n{digest}\n".encode()


def time_of(evidence: Mapping[str, Any]) -> str:
    """When it was written down, by the gateway's clock, in UTC."""
    return datetime.fromtimestamp(evidence["at"] // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_path(raw: bytes, before: str, what: str) -> tuple[int, list[bytes], bytes]:
    """Of a proof: the number that stands behind `before`, the hashes, and the signed checkpoint."""
    match = fit(before + _PATH, raw.decode("latin-1"), f"{what}: expected a number, hashes, a checkpoint")
    return int(match[1]), [decode_base64(one, what) for one in match[2].split()], match[3].encode("latin-1")


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """A path must lead from entry `index` of a tree of `size` entries to its root (RFC 6962, 2.1.1)."""
    # Up to the height where the entry's way meets that of the last one, its bits say on which side it stands.
    meet = (index ^ (size - 1)).bit_length()
    is_as_long = index < size and len(path) == meet + (index >> meet).bit_count()
    expect(is_as_long, f"inclusion: no path of entry {index} in a tree of {size}", VerificationError)
    node = hashlib.sha256(b"\x00" + leaf).digest()
    for height, other in enumerate(path):
        pair = other + node if height >= meet or index >> height & 1 else node + other
        node = hashlib.sha256(b"\x01" + pair).digest()
    expect(node == root, f"inclusion: entry {index} does not lead to the root", VerificationError)


def log_of(origin: str) -> str:
    """The log's name: its origin without the epoch."""
    return re.sub(f"/{_NUMBER}$", "", origin)


def read_checkpoint(raw: bytes, keys: Sequence[VerifierKey]) -> tuple[VerifierKey, int, bytes]:
    """Signer (its name is the log's origin), size and root of a checkpoint that its log has signed.

    Lines of other signers are passed over; one that names a known key and does not fit refuses the whole.
    """
    text, origin, size, root, lines = fit(_NOTE, raw.decode("utf-8", "replace"), "no checkpoint").groups()
    known = [VerifierKey(origin, one.public_key) for one in keys if log_of(one.name) == log_of(origin)]
    signers = []
    for name, spelled in (line[2:].split(" ") for line in lines.splitlines()):
        blob = decode_base64(spelled, "checkpoint: signature")
        for key in (one for one in known if (one.name, one.key_id) == (name, blob[:4])):
            verify_signature(key.public_key, blob[4:], text.encode(), f"checkpoint of {origin}")
            signers.append(key)
    expect(signers, f"checkpoint of {origin}: signed by a key you have not pinned", UnpinnedKeyError)
    return signers[0], int(size), decode_base64(root, "checkpoint: root")
