"""Public keys of callers: one algorithm for each kind of key, so that no message chooses it.

Source: RFC 9421, section 3.3.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import load_der_public_key

from gateway.errors import CallerError

Algorithm = Literal["ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512"]

RSA_BITS: Final = (2_048, 4_096)
KINDS: Final = "Ed25519, ECDSA over P-256, or RSA of 2048 to 4096 bits"
_PSS_SALT: Final = 64
_COORDINATE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that can only verify. `algorithm`: by its name in RFC 9421."""

    algorithm: Algorithm
    _verify: Callable[[bytes, bytes], None] = field(repr=False)

    def fits(self, signature: bytes, message: bytes) -> bool:
        """Whether this key's owner signed exactly this message."""
        try:
            self._verify(signature, message)
        except InvalidSignature:
            return False
        return True


@lru_cache(4_096)
def load_key(der: bytes) -> PublicKey:
    """Load a SubjectPublicKeyInfo.

    Raises:
        CallerError: `parameter_invalid`; it is none, or of a kind that is not taken.
    """
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CallerError(
            "parameter_invalid", f"The public key cannot be read; taken are {KINDS}."
        ) from error
    if isinstance(key, Ed25519PublicKey):
        return PublicKey("ed25519", key.verify)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return PublicKey("ecdsa-p256-sha256", partial(_verify_p256, key))
    if isinstance(key, RSAPublicKey) and RSA_BITS[0] <= key.key_size <= RSA_BITS[1]:
        return PublicKey("rsa-pss-sha512", partial(_verify_pss, key))
    raise CallerError("parameter_invalid", f"The public key is of no kind that is taken: {KINDS}.")


def _verify_p256(key: EllipticCurvePublicKey, signature: bytes, message: bytes) -> None:
    """Of exactly 64 bytes: DER would allow several texts of one signature."""
    if len(signature) != 2 * _COORDINATE_BYTES:
        raise InvalidSignature
    r, s = signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:]
    key.verify(encode_dss_signature(int.from_bytes(r), int.from_bytes(s)), message, ECDSA(SHA256()))


def _verify_pss(key: RSAPublicKey, signature: bytes, message: bytes) -> None:
    key.verify(signature, message, PSS(MGF1(SHA512()), _PSS_SALT), SHA512())
