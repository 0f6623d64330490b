"""Who signs requests in tests: keys of each kind, signatures by the words of RFC 9421, none of our code."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from partners.credential import Credential, Method, Role, Scope

KINDS: Final = ("ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512")
ALL: Final[frozenset[Scope]] = frozenset({"send", "receive", "audit", "manage"})


@lru_cache
def private_key(kind: str) -> Any:
    """One key of a kind, made once: RSA keys take their time."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ecdsa-p256-sha256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65_537, 2_048)


def public_der(key: Any) -> bytes:
    der: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der


def raw_signature(key: Any, message: bytes) -> bytes:
    """A signature as RFC 9421, section 3.3, has it for this kind of key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PSS(padding.MGF1(SHA512()), 64), SHA512())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)
    signature: bytes = key.sign(message)
    return signature


def credential_of(
    credential_id: str,
    method: Method,
    secret: bytes,
    *,
    partner: str | None = "acme",
    role: Role = "partner",
    scopes: frozenset[Scope] = ALL,
    not_before: int = 0,
    not_after: int = 4_000_000_000_000,
    revoked_at: int | None = None,
) -> Credential:
    """A credential whose `match` is its own id."""
    return Credential(
        credential_id,
        partner,
        role,
        method,
        credential_id,
        secret,
        scopes,
        not_before,
        not_after,
        revoked_at,
        "",
    )


def digest_of(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


@dataclass(frozen=True)
class Draft:
    """A request that is about to be signed.

    `authority`: as the signer sees the gateway. `query`: without the question mark. `covered` None: all that
    a well-meaning signer covers. `parameters`: further ones, as they stand in the field.
    """

    method: str = "POST"
    authority: str = "gw.example"
    path: str = "/v1/events/order.placed"
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    created: int = 1_800_000_000
    parameters: str = ""
    covered: Sequence[str] | None = None
    label: str = "sig1"

    def fields(self) -> dict[str, str]:
        """Its headers, with the digest of its body where it has one."""
        given = {name.lower(): value for name, value in self.headers.items()}
        if self.method in {"POST", "PUT", "PATCH"}:
            given.setdefault("content-digest", digest_of(self.body))
            if self.body:
                given.setdefault("content-type", "application/json")
        return given

    def names(self) -> Sequence[str]:
        """What it covers."""
        if self.covered is not None:
            return self.covered
        return ["@method", "@authority", "@path", *(["@query"] if self.query else []), *self.fields()]

    def described(self, keyid: str) -> str:
        """The value of `@signature-params`."""
        listed = " ".join(f'"{name}"' for name in self.names())
        return f'({listed});created={self.created};keyid="{keyid}"{self.parameters}'

    def base(self, keyid: str) -> bytes:
        """What is signed."""
        values = {
            "@method": self.method,
            "@authority": self.authority,
            "@path": self.path,
            "@query": f"?{self.query}",
            **self.fields(),
        }
        lines = [f'"{name}": {values[name]}' for name in self.names()]
        return "\n".join([*lines, f'"@signature-params": {self.described(keyid)}']).encode()

    def signed(self, key: Any, keyid: str) -> dict[str, str]:
        """Its headers with a signature."""
        signature = base64.b64encode(raw_signature(key, self.base(keyid))).decode()
        return {
            **self.fields(),
            "signature-input": f"{self.label}={self.described(keyid)}",
            "signature": f"{self.label}=:{signature}:",
        }
