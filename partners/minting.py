"""From what is wanted to what is kept: match and secret of a new credential of each kind.

| kind | match | secret |
|---|---|---|
| `api_key` | the key's public id | its keyed digest |
| `certificate` | `sha256:` and the digest of the certificate | the certificate, DER |
| `certificate` of a CA | `uri:` and the SAN URI | the authorities, PEM |
| `public_key` | the credential's id | SubjectPublicKeyInfo, DER |
| `oauth_client` | issuer, line feed, subject | JSON `{"audience":...}` |
| `webhook_secret` | the credential's id | 01 and the sealed secret; or 02 and a raw Ed25519 key |
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from partners import api_key
from partners.credential import RAW, SEALED, Method, secret_place
from partners.credential_material import (
    IssuedCertificates,
    Material,
    OauthClient,
    PinnedCertificate,
    PublicKey,
    WebhookKey,
    WebhookSecret,
)

Fresh = Literal["api_key", "webhook_secret"]
"""Kinds whose secret is made here, and shown once."""

_WEBHOOK_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Means:
    """What new credentials are made with. `seal` encrypts a secret for a place."""

    pepper: bytes = field(repr=False)
    entropy: Callable[[int], bytes]
    seal: Callable[[bytes, str], bytes]


@dataclass(frozen=True, slots=True)
class Minted:
    """What is kept of a new credential. `text`: its secret, to be shown once, where it was made here."""

    match: str
    secret: bytes = field(repr=False)
    text: str | None = field(default=None, repr=False)


def method_of(wanted: Material | Fresh) -> Method:
    """How requests will prove it."""
    if isinstance(wanted, PinnedCertificate | IssuedCertificates):
        return "mtls"
    if isinstance(wanted, PublicKey):
        return "message_signature"
    if isinstance(wanted, OauthClient):
        return "jwt"
    return "api_key" if wanted == "api_key" else "hmac"


def mint(wanted: Material | Fresh, credential_id: str, means: Means) -> Minted:
    """Make what is kept of a new credential with this id."""
    if isinstance(wanted, PinnedCertificate | IssuedCertificates | OauthClient):
        return minted_of(wanted)
    if isinstance(wanted, PublicKey):
        return Minted(credential_id, wanted.spki)
    if isinstance(wanted, WebhookKey):
        return Minted(credential_id, RAW + wanted.public_key)
    if wanted == "api_key":
        text, key_id, secret = api_key.mint(means.entropy)
        digest = api_key.keyed_digest(means.pepper, api_key.ApiKey(key_id, secret))
        return Minted(key_id, digest, text)
    shown = None
    if isinstance(wanted, WebhookSecret):
        secret = wanted.secret
    else:
        secret = means.entropy(_WEBHOOK_BYTES)
        shown = "whsec_" + base64.b64encode(secret).decode("ascii")
    return Minted(credential_id, SEALED + means.seal(secret, secret_place(credential_id)), shown)


def minted_of(wanted: PinnedCertificate | IssuedCertificates | OauthClient) -> Minted:
    """As `mint`, of what holds no secret and depends on no id."""
    if isinstance(wanted, PinnedCertificate):
        return Minted(wanted.match, wanted.der)
    if isinstance(wanted, IssuedCertificates):
        return Minted(wanted.match, wanted.authorities)
    return Minted(wanted.match, wanted.secret())
