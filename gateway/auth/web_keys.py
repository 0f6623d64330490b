"""Public keys of an issuer, as its JWK set has them; what each may verify follows from the key alone.

Only this module knows the library. Never: a secret or private key taken for a public one, an algorithm that
a token chose and the key does not have.

Source: RFC 7517; RFC 7518, sections 3.3 to 3.5 and 6; RFC 8037; RFC 8725, sections 3.1 and 3.2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from gateway.errors import AwayError
from partners.material_text import is_small
from schemas.errors import SchemasError
from schemas.json_reader import read_json

MAX_KEYS: Final = 100
ALGORITHMS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("RSA", ""): frozenset({"RS256", "PS256"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
}
"""Key type and curve to what such a key may verify; the last row's two names are of one algorithm."""

KNOWN: Final = frozenset().union(*ALGORITHMS.values())
_PARTS: Final = ("kty", "crv", "x", "y", "n", "e")
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MODULUS: Final = range(342, 684)
"""Characters of base64url: 2048 to 4096 bits."""

_EXPONENT: Final = 6
"""Characters of base64url: at most 32 bits. A long one makes each verification slow."""

_MAX_TEXT: Final = 512
_FAULTS: Final = (JoseError, ValueError, TypeError, KeyError, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True)
class WebKey:
    """A public key; `kid` None: it has no name."""

    kid: str | None
    algorithms: frozenset[str]
    _key: RSAKey | ECKey | OKPKey = field(repr=False)

    def is_signed(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether the signature over these bytes is by this key and algorithm."""
        if algorithm not in self.algorithms:
            return False
        # Asked for by name, so that nothing of a token is looked at a second time, by other rules.
        rule = JWSRegistry.algorithms["EdDSA" if algorithm == "Ed25519" else algorithm]
        try:
            return rule.verify(signed, signature, self._key)
        except _FAULTS:
            return False


def read_keys(raw: bytes) -> tuple[WebKey, ...]:
    """Read a JWK set; keys for other uses, and of other sorts, are left out.

    Raises:
        AwayError: `issuer_unavailable`: it is none, has more than 100 keys, or none that is of use.
    """
    try:
        whole = read_json(raw)
    except SchemasError as error:
        raise _unusable("is no JSON") from error
    listed = whole.get("keys") if isinstance(whole, dict) else None
    if not isinstance(listed, list):
        raise _unusable("is no JWK set")
    if len(listed) > MAX_KEYS:
        raise _unusable(f"has more than {MAX_KEYS} keys")
    found = tuple(key for one in listed if (key := _read(one)) is not None)
    if not found:
        raise _unusable("has no key that may verify a token")
    return found


def _unusable(what: str) -> AwayError:
    return AwayError("issuer_unavailable", f"the issuer's key set {what}")


def _read(given: Any) -> WebKey | None:
    if not isinstance(given, dict) or _PRIVATE & given.keys():
        return None
    kid, use, operations = given.get("kid"), given.get("use", "sig"), given.get("key_ops", ["verify"])
    algorithms = ALGORITHMS.get((_text(given, "kty"), _text(given, "crv")), frozenset())
    if "alg" in given:
        algorithms &= {_text(given, "alg")}
    is_for_us = use == "sig" and isinstance(operations, list) and "verify" in operations
    if not (algorithms and is_for_us and (kid is None or (isinstance(kid, str) and len(kid) <= _MAX_TEXT))):
        return None
    parts: dict[str, str | list[str]] = {name: _text(given, name) for name in _PARTS if name in given}
    if given["kty"] == "RSA" and not (
        len(parts.get("n", "")) in _MODULUS and len(parts.get("e", "")) <= _EXPONENT
    ):
        return None
    try:
        key = JWKRegistry.import_key(parts)
        public = key.get_op_key("verify")  # makes the key now: one that is no point of its curve fails here
    except _FAULTS:
        return None
    if isinstance(public, Ed25519PublicKey) and is_small(public.public_bytes_raw()):
        return None
    return WebKey(kid, algorithms, key) if isinstance(key, RSAKey | ECKey | OKPKey) else None


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name, "")
    return value if isinstance(value, str) else "?"


_STRANGERS: Final[Sequence[Mapping[str, str]]] = (
    {"kty": "RSA", "n": "_" * 341 + "w", "e": "AQAB"},
    {
        "kty": "EC",
        "crv": "P-256",
        "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
        "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
    },
    {"kty": "OKP", "crv": "Ed25519", "x": "WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY"},
)


def stranger(algorithm: str) -> WebKey | None:
    """A key of nobody, so that a token of an unknown caller takes as long to refuse as a wrong signature."""
    return next((key for key in _NOBODYS if algorithm in key.algorithms), None)


_NOBODYS: Final = tuple(key for one in _STRANGERS if (key := _read(one)) is not None)
