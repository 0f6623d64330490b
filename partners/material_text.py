"""Texts of keys, certificates and secrets to bytes: PEM, JWK, a prefix before base64.

Strict, bounded, and of one family of errors: `CredentialMaterialError`, which never repeats what it refuses.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.utils import CryptographyDeprecationWarning

from partners.errors import CredentialMaterialError

MAX_TEXT: Final = 65_536
KEYS: Final = "Ed25519, P-256, or RSA of 2048 to 4096 bits"

_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----([^-]*)-----END \1-----", re.ASCII)
_WHITE: Final = re.compile(r"\s+", re.ASCII)
_MAX_PREFIXED: Final = 480
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_SMALL_POINTS: Final = frozenset(
    bytes.fromhex(text)
    for text in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
"""Points of small order: anybody can sign for such an Ed25519 key. The sign bit is left out."""


def pem_blocks(text: str, what: str) -> list[tuple[str, bytes]]:
    """Read label and bytes of every PEM block; at least one.

    Raises:
        CredentialMaterialError: it is no such text, or holds a private key.
    """
    if len(text) > MAX_TEXT or not text.isascii():
        raise CredentialMaterialError(f"{what} must be PEM: at most {MAX_TEXT} characters of ASCII")
    if "PRIVATE KEY" in text:
        raise private_key_sent(what)
    found = []
    for label, inside in _PEM.findall(text):
        try:
            found.append((label, base64.b64decode(_WHITE.sub("", inside), validate=True)))
        except binascii.Error as error:
            raise CredentialMaterialError(f"{what} is no PEM: its base64 is broken") from error
    if not found or text.count("-----BEGIN ") != len(found):
        raise CredentialMaterialError(f"{what} must be PEM: -----BEGIN ..., base64, -----END ...")
    return found


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Make one refusal of whatever the library refuses, and however it says so.

    Raises:
        CredentialMaterialError: it refuses.
    """
    try:
        yield
    except CredentialMaterialError:
        raise
    except (
        ArithmeticError,
        # Where warnings are errors; the library is about to refuse these itself.
        CryptographyDeprecationWarning,
        LookupError,
        TypeError,
        UnsupportedAlgorithm,
        ValueError,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise CredentialMaterialError(
            f"{what} cannot be read: it is damaged, or of an unknown type"
        ) from error


def read_jwk(text: str) -> object:
    """Read a public key from its JWK. Its `alg`, `use` and `kid` are not looked at.

    Raises:
        CredentialMaterialError: it is none of the types that are taken, or a private key.

    Source: RFC 7517; RFC 7518, section 6; RFC 8037, section 2.
    """
    what = "the public key"
    if len(text) > MAX_TEXT:
        raise CredentialMaterialError(f"{what} has more than {MAX_TEXT} characters")
    try:
        members = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CredentialMaterialError(f"{what} is no JWK: it is not JSON") from error
    if not isinstance(members, dict):
        raise CredentialMaterialError(f"{what} is no JWK: it is not a JSON object")
    if _PRIVATE & members.keys():
        raise private_key_sent(what)
    kind = (members.get("kty"), members.get("crv"))
    with reading(what):
        if kind == ("OKP", "Ed25519"):
            return ed25519.Ed25519PublicKey.from_public_bytes(_member(members, "x"))
        if kind == ("EC", "P-256"):
            x, y = (int.from_bytes(_member(members, name)) for name in ("x", "y"))
            return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        if kind[0] == "RSA":
            e, n = (int.from_bytes(_member(members, name)) for name in ("e", "n"))
            return rsa.RSAPublicNumbers(e, n).public_key()
    raise CredentialMaterialError(f"{what} must be {KEYS}; its kty and crv say another")


def _member(members: dict[str, Any], name: str) -> bytes:
    text = members.get(name)
    if not isinstance(text, str) or not text.isascii():
        raise CredentialMaterialError(f"the public key's member {name} must be base64url")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def after_prefix(text: str, prefix: str, what: str) -> bytes:
    """Read the bytes that stand in base64 behind a prefix.

    Raises:
        CredentialMaterialError: the prefix is another, or what follows is no base64.
    """
    if not text.startswith(prefix) or len(text) > _MAX_PREFIXED or not text.isascii():
        raise CredentialMaterialError(f"{what} must begin with {prefix}, base64 behind it")
    try:
        return base64.b64decode(text.removeprefix(prefix), validate=True)
    except binascii.Error as error:
        raise CredentialMaterialError(f"{what} must be base64 behind its {prefix}") from error


def is_small(raw: bytes) -> bool:
    """Tell whether an Ed25519 key is a point of small order."""
    return raw[:-1] + bytes([raw[-1] & 0x7F]) in _SMALL_POINTS


def is_text(text: str) -> bool:
    """Tell whether UTF-8 can carry it: half of a surrogate pair is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def private_key_sent(what: str) -> CredentialMaterialError:
    """Make the refusal of a private key."""
    return CredentialMaterialError(
        f"{what} is a private key: it was sent to others now, so make a new pair, and send its public half"
    )
