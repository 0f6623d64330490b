"""What credentials are made of, as outsiders give it: certificates, public keys, webhook secrets, clients.

Texts come from outside: sizes are bounded, nothing is guessed or mended, and the one error that leaves this
module is `CredentialMaterialError`. Private keys are refused by name, so that whoever sent one hears of it.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from partners.errors import CredentialMaterialError
from partners.material_text import (
    KEYS,
    after_prefix,
    is_small,
    is_text,
    pem_blocks,
    private_key_sent,
    read_jwk,
    reading,
)

MAX_AUTHORITIES: Final = 8
MAX_MATCH: Final = 480
"""Characters of what a request shows; its column has some more."""

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+")
ISSUER: Final = re.compile(
    r"(?:https://[A-Za-z0-9._\[\]:-]+|http://(?:127\.[0-9.]+|localhost|\[::1\])(?::[0-9]+)?)(?:/[!$&-;=@-~]*)?"
)
"""The URL of an issuer."""

_WEBHOOK_BYTES: Final = range(24, 65)
_RSA_BITS: Final = range(2_048, 4_097)
_MOST_EXPONENT: Final = 1 << 33


@dataclass(frozen=True, slots=True)
class PinnedCertificate:
    """One certificate, and no other. Instants in Unix milliseconds; `is_authority`: it may issue others."""

    der: bytes = field(repr=False)
    not_before: int
    not_after: int
    is_authority: bool = False

    @property
    def match(self) -> str:
        """What a request shows: the SHA-256 of the certificate."""
        return f"sha256:{hashlib.sha256(self.der).hexdigest()}"


@dataclass(frozen=True, slots=True)
class IssuedCertificates:
    """Every certificate with this SAN URI that one of the authorities (PEM) has issued."""

    authorities: bytes = field(repr=False)
    uri: str
    not_after: int

    @property
    def match(self) -> str:
        """What a request shows: the URI."""
        return f"uri:{self.uri}"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signs requests: SubjectPublicKeyInfo, DER."""

    spki: bytes


@dataclass(frozen=True, slots=True)
class OauthClient:
    """Whose tokens are taken, and for which audience."""

    issuer: str
    subject: str
    audience: str

    @property
    def match(self) -> str:
        """What a request shows: issuer and subject."""
        return f"{self.issuer}\n{self.subject}"

    def secret(self) -> bytes:
        """What the rest of a token is checked by."""
        return json.dumps({"audience": self.audience}, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """The secret that a sender of Standard Webhooks has already."""

    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WebhookKey:
    """The Ed25519 key of such a sender, raw."""

    public_key: bytes


Material = PinnedCertificate | IssuedCertificates | PublicKey | OauthClient | WebhookSecret | WebhookKey


def read_certificate(text: str) -> PinnedCertificate:
    """Read the PEM of one certificate, to be pinned; a client's, with a key that is strong enough.

    Validity is told, not judged.

    Raises:
        CredentialMaterialError: it is not that.
    """
    found = certificates(text, "the certificate", most=1)[0]
    with reading("the certificate"):
        usages = extension(found, x509.ExtendedKeyUsage)
        if usages is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usages:
            raise CredentialMaterialError(
                "the certificate is not for clients, since its extended key usage lacks clientAuth: "
                "have one issued that has it"
            )
        return PinnedCertificate(
            der=found.public_bytes(Encoding.DER),
            not_before=_milliseconds(found.not_valid_before_utc),
            not_after=_milliseconds(found.not_valid_after_utc),
            is_authority=may_issue(found),
        )


def read_authorities(text: str, uri: str) -> IssuedCertificates:
    """Read the PEM of the authorities that issue certificates with this SAN URI.

    Raises:
        CredentialMaterialError: one of them may not issue certificates, or the URI is none.
    """
    if _URI.fullmatch(uri) is None or len(uri) > MAX_MATCH - len("uri:"):
        raise CredentialMaterialError(
            "the uri must be the SAN URI of the certificates, with its scheme: spiffe://acme.example/gateway"
        )
    found = certificates(text, "the ca", most=MAX_AUTHORITIES)
    with reading("the ca"):
        for one in found:
            if not may_issue(one):
                raise CredentialMaterialError(
                    "the ca holds a certificate that may not issue others (CA:TRUE, keyCertSign): "
                    "to pin a certificate itself, send it as certificate"
                )
        pem = {one.public_bytes(Encoding.PEM): one for one in found}
        return IssuedCertificates(
            authorities=b"".join(pem),
            uri=uri,
            not_after=max(_milliseconds(one.not_valid_after_utc) for one in found),
        )


def read_public_key(text: str) -> PublicKey:
    """Read a public key: PEM of SubjectPublicKeyInfo, or a JWK. Its type decides the algorithm.

    Raises:
        CredentialMaterialError: it is not that, of another type, or too weak.
    """
    what = "the public key"
    if text.lstrip().startswith("{"):
        key = read_jwk(text)
    else:
        (label, der), *others = pem_blocks(text, what)
        if label != "PUBLIC KEY" or others:
            raise CredentialMaterialError(f"{what} must be one PEM block PUBLIC KEY, or a JWK")
        with reading(what):
            key = load_der_public_key(der)
    with reading(what):
        return PublicKey(_strong(key, what).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def read_oauth_client(issuer: str, subject: str, audience: str) -> OauthClient:
    """Read whose tokens are taken.

    Raises:
        CredentialMaterialError: a part is empty, too long, or holds what cannot be shown.
    """
    for name, text in (("issuer", issuer), ("subject", subject), ("audience", audience)):
        if not text or not text.isprintable() or not is_text(text):
            raise CredentialMaterialError(f"the {name} must be a text of printable characters")
    verify_issuer(issuer)
    client = OauthClient(issuer, subject, audience)
    if max(len(client.match), len(audience)) > MAX_MATCH:
        raise CredentialMaterialError(
            f"issuer and subject together, and the audience, have at most {MAX_MATCH - 1} characters"
        )
    return client


def verify_issuer(text: str) -> str:
    """Return the URL of an issuer, to the letter as tokens name it. Plain HTTP to loopback is for trying out.

    Whether it may be dialled is for others to say.

    Raises:
        CredentialMaterialError: it is none.
    """
    if ISSUER.fullmatch(text) is None:
        raise CredentialMaterialError(
            "the issuer must be an https:// URL without query and fragment, as tokens name it in iss"
        )
    return text


def read_webhook_secret(text: str) -> WebhookSecret:
    """Read the secret of a sender of Standard Webhooks, `whsec_...`.

    Raises:
        CredentialMaterialError: it is not that.
    """
    raw = after_prefix(text, "whsec_", "the secret")
    if len(raw) not in _WEBHOOK_BYTES:
        raise CredentialMaterialError("the secret must have 24 to 64 bytes behind its whsec_")
    return WebhookSecret(raw)


def read_webhook_key(text: str) -> WebhookKey:
    """Read the public key of a sender of Standard Webhooks, `whpk_...`.

    Raises:
        CredentialMaterialError: it is not that.
    """
    if text.startswith("whsk_"):
        raise private_key_sent("the public key")
    raw = after_prefix(text, "whpk_", "the public key")
    with reading("the public key"):
        if is_small(ed25519.Ed25519PublicKey.from_public_bytes(raw).public_bytes_raw()):
            raise CredentialMaterialError("the public key is one that anybody can sign for: make another")
    return WebhookKey(raw)


def certificates(text: str, what: str, *, most: int) -> list[x509.Certificate]:
    """Read 1 to `most` certificates from PEM, each with a key that is strong enough.

    Raises:
        CredentialMaterialError: it is not that.
    """
    blocks = pem_blocks(text, what)
    if len(blocks) > most:
        rule = "one certificate, without its chain" if most == 1 else f"at most {most} certificates"
        raise CredentialMaterialError(f"{what} holds {len(blocks)} PEM blocks: send {rule}")
    found = []
    for label, der in blocks:
        if label != "CERTIFICATE":
            raise CredentialMaterialError(f"{what} must be PEM blocks CERTIFICATE")
        with reading(what):
            one = x509.load_der_x509_certificate(der)
            if one.serial_number <= 0:
                raise CredentialMaterialError(
                    f"{what} has a serial number that is not positive: have one issued that has (RFC 5280)"
                )
            if not _is_strong(one.public_key()):
                raise CredentialMaterialError(f"{what} has a key that is too weak: use {KEYS}, or stronger")
            found.append(one)
    return found


def extension(found: x509.Certificate, kind: type[Any]) -> Any:
    """The value of an extension; None where the certificate has none of this kind."""
    try:
        return found.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def may_issue(found: x509.Certificate) -> bool:
    """Whether a certificate is an authority's."""
    basic, usage = extension(found, x509.BasicConstraints), extension(found, x509.KeyUsage)
    return basic is not None and bool(basic.ca) and (usage is None or bool(usage.key_cert_sign))


def _strong(
    key: object, what: str
) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
    """The key, if it is of a type that signatures of requests are taken from."""
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size in _RSA_BITS and key.public_numbers().e < _MOST_EXPONENT:
            return key
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if isinstance(key.curve, ec.SECP256R1):
            return key
    elif isinstance(key, ed25519.Ed25519PublicKey) and not is_small(key.public_bytes_raw()):
        return key
    raise CredentialMaterialError(f"{what} must be {KEYS}")


def _is_strong(key: object) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= _RSA_BITS.start
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
    return isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000
