"""The text of an API key: mint, parse, verify.

    gw_<public id, 16>_<secret, 52>_<checksum, 7>      base32 of RFC 4648, lower case, no padding

The id is 10 random bytes, the secret 32, the checksum the CRC-32 of all before its underscore: a mistyped
key is told from a wrong one without a look-up, and secret scanners can match the form. The secret itself is
never stored: `keyed_digest` is, under a pepper that does not lie in the database.
"""

import base64
import hashlib
import hmac
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from partners.credential import Credential, verify_in_force
from partners.directory import Directory
from partners.errors import CredentialError

_TEXT: Final = re.compile(r"gw_([a-z2-7]{16})_([a-z2-7]{52})_([a-z2-7]{7})")
_ID_BYTES: Final = 10
_SECRET_BYTES: Final = 32
_DUMMY_SECRET: Final = bytes(_SECRET_BYTES)
_REMEMBERED: Final = 4_096
_REFUSAL: Final = "this API key is not known"
_DIGITS: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghijklmnopqrstuv")
"""From base32 as RFC 4648 has it to the digits that `int` reads: every request brings a key."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as parsed: well formed, and nothing more is known about it."""

    id: str
    secret: bytes = field(repr=False)


def mint(entropy: Callable[[int], bytes]) -> tuple[str, str, bytes]:
    """Make a new key: its text (to be shown once), its public id, its secret."""
    key_id, secret = _base32(entropy(_ID_BYTES)), entropy(_SECRET_BYTES)
    body = f"gw_{key_id}_{_base32(secret)}"
    return f"{body}_{_checksum(body)}", key_id, secret


def parse_api_key(text: str) -> ApiKey:
    """Read the text of a key.

    Raises:
        CredentialError: it is not the text of a key; says whether its form or its checksum is wrong.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise CredentialError("not an API key: one reads gw_<id>_<secret>_<checksum>, 80 characters in all")
    key_id, secret, checksum = found.groups()
    # 35 bits for the 32 of a CRC, 260 for the 256 of a secret: those that are left over must be zero.
    # Whoever sends a key can work out its checksum: that comparison may take its time, unlike the digest's.
    if _bits(checksum) != _crc(f"gw_{key_id}_{secret}") << 3:
        raise CredentialError("this API key is mistyped or cut off: its checksum does not fit")
    bits = _bits(secret)
    if bits & 15:
        raise CredentialError("not an API key: its secret is not in canonical base32")
    return ApiKey(key_id, (bits >> 4).to_bytes(_SECRET_BYTES))


def keyed_digest(pepper: bytes, key: ApiKey) -> bytes:
    """Digest that is stored in place of the secret: HMAC-SHA-256 under the pepper, over key id and secret.

    The id is in it, so that a digest copied to another row opens nothing.
    """
    message = b"gateway/api-key/v1\x00" + key.id.encode("ascii") + key.secret
    return hmac.digest(pepper, message, "sha256")


def verify_api_key(text: str, directory: Directory, pepper: bytes, *, now: int) -> Credential:
    """Return the credential that this key stands for.

    An unknown id costs the same digest and comparison as a known one. The state of its partner is not
    looked at.

    Raises:
        CredentialError: malformed, unknown or wrong.
        CredentialRevokedError: right, but revoked.
        CredentialExpiredError: right, but expired.
    """
    key = parse_api_key(text)
    return verify_in_force(_compare(directory, key.id, keyed_digest(pepper, key)), now=now)


class RememberedKeys:
    """As `verify_api_key`, for a process that is shown the same keys again and again.

    Of those that were right it keeps the keyed digest, under a digest of their text, so that it need not be
    made again. Whose the key is, and whether it is in force, is asked of the directory each time. Wrong keys
    are not kept: nobody drives out others with them.
    """

    def __init__(self, pepper: bytes, most: int = _REMEMBERED) -> None:
        """`most`: keys that are kept; one more takes the place of the one that was kept first."""
        self._pepper = pepper
        self._most = most
        self._kept: dict[bytes, tuple[str, bytes]] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def verify(self, text: str, directory: Directory, *, now: int) -> Credential:
        """Return the credential that this key stands for. Raises as `verify_api_key`."""
        name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        kept = self._kept.get(name)
        if kept is not None:
            return verify_in_force(_compare(directory, *kept), now=now)
        key = parse_api_key(text)
        digest = keyed_digest(self._pepper, key)
        credential = _compare(directory, key.id, digest)
        if len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        self._kept[name] = key.id, digest
        return verify_in_force(credential, now=now)


def _compare(directory: Directory, key_id: str, digest: bytes) -> Credential:
    credential = directory.credential("api_key", key_id)
    stored = _DUMMY_SECRET if credential is None else credential.secret
    is_right = hmac.compare_digest(digest, stored)
    if credential is None or not is_right:
        raise CredentialError(_REFUSAL)
    return credential


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode("ascii").lower().rstrip("=")


def _bits(text: str) -> int:
    return int(text.translate(_DIGITS), 32)


def _checksum(body: str) -> str:
    return _base32(_crc(body).to_bytes(4, "big"))


def _crc(body: str) -> int:
    return zlib.crc32(body.encode("ascii"))
