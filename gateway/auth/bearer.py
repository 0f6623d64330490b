"""The way of tokens: a JSON Web Token by an issuer that was agreed, in `Authorization: Bearer`.

Which issuer and subject stand for a partner, and for which audience, was agreed beforehand; a token that is
signed rightly by anybody else is nobody's. Nothing of a token is believed before its signature is verified,
by a key of the issuer's own, under the algorithm of that key.

Source: RFC 6750, section 2.1; RFC 7519, section 7.2; RFC 8705, section 3; RFC 8725; RFC 9068, section 4.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Final

from gateway.auth.key import is_token
from gateway.auth.key_sets import KeySets
from gateway.auth.proof import Proof, not_in_force
from gateway.auth.request import Shown
from gateway.auth.token import Token, read_token, refusal
from gateway.auth.web_keys import KNOWN, WebKey, stranger
from gateway.errors import BugError, CallerError
from partners.credential import DAY_MS, Credential, Method, verify_in_force
from partners.directory import Directory
from partners.errors import CredentialError

SLACK_MS: Final = 30_000
"""By how much an issuer's clock may be ahead of ours."""

MAX_LIFE_MS: Final = DAY_MS
_KNOWN: Final = 4_096
_UNKNOWN: Final = "is of no caller known here, or its signature is wrong"
"""One answer for both: who calls in vain must not learn whose subjects are known."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The way `jwt`; see the module."""

    key_sets: KeySets = field(repr=False)
    _verified: dict[bytes, tuple[Token, WebKey]] = field(default_factory=dict, repr=False)
    """By the digest of its text, a token whose signature was verified, and by which key.

    Senders show one token for minutes. Whether the key still counts is asked each time.
    """

    @property
    def method(self) -> Method:
        """The kind."""
        return "jwt"

    def is_shown(self, shown: Shown) -> bool:
        """Whether an Authorization header holds a token rather than a key."""
        return any(is_token(value) for value in shown.values("authorization"))

    async def prove(self, shown: Shown, directory: Directory, *, now: int) -> Proof:
        """Check the token.

        Steps, each of which refuses: 1. there is one, and it can be read in one way only; 2. its algorithm is
        one that is taken; 3. issuer and subject are a credential's; 4. the signature is by the issuer's key;
        5. it is for us; 6. it is in time, and not good for longer than a day; 7. a certificate that it is
        bound to comes with it; 8. the credential is in force.

        Raises:
            CallerError: `credential_invalid`, `credential_expired`, `credential_revoked`.
            AwayError: `issuer_unavailable`: the issuer's keys are not known, and it cannot be asked; whoever
                the subject is.
        """
        # 1.
        headers = shown.values("authorization")
        if len(headers) > 1:
            raise CallerError("credential_invalid", "The request has more than one Authorization header.")
        text = headers[0].strip().partition(" ")[2].strip()
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        token, verified_by = self._verified.get(digest) or (read_token(text), None)
        # 2.
        if token.algorithm not in KNOWN:
            raise refusal(f"has an alg that is not taken; taken are {', '.join(sorted(KNOWN))}")
        # 3. and 4.
        credential = directory.credential("jwt", f"{token.issuer}\n{token.subject}")
        key = None
        if directory.is_issuer(token.issuer):
            # Also for a subject that is nobody's: else an issuer that is away would tell whose are known.
            key = await self.key_sets.find(token.issuer, token.kid, token.algorithm, now=now)
        if key is None or key is not verified_by:
            _verify_signature(token, key)
        if credential is None or key is None:
            raise refusal(_UNKNOWN)
        self._remember(digest, token, key)
        # 5.
        if _audience(credential) not in token.audience:
            raise refusal("is for another audience than the one that was agreed")
        # 6.
        _verify_time(token, now=now)
        # 7.
        if token.bound_to is not None and token.bound_to != _thumbprint(shown.certificate):
            raise refusal("is bound to a client certificate, which did not come with it")
        # 8.
        try:
            return Proof(verify_in_force(credential, now=now), ends_at=token.expires_at)
        except CredentialError as error:
            raise not_in_force(error) from error

    def _remember(self, digest: bytes, token: Token, key: WebKey) -> None:
        if len(self._verified) >= _KNOWN and digest not in self._verified:
            self._verified.clear()
        self._verified[digest] = (token, key)


def _verify_signature(token: Token, key: WebKey | None) -> None:
    """With no key, take as long as with one."""
    checked = key or stranger(token.algorithm)
    if checked is None or not checked.is_signed(token.algorithm, token.signed, token.signature):
        raise refusal(_UNKNOWN)


def _audience(credential: Credential) -> str:
    try:
        return str(json.loads(credential.secret)["audience"])
    except (ValueError, TypeError, KeyError) as error:
        raise BugError(f"credential {credential.id} holds no audience") from error


def _verify_time(token: Token, *, now: int) -> None:
    if token.expires_at is None:
        raise refusal("has no exp")
    if now >= token.expires_at:
        raise CallerError("credential_expired", "The token has expired: ask its issuer for a new one.")
    begun = now if token.issued_at is None else token.issued_at
    if max(begun, token.not_before or 0) > now + SLACK_MS:
        raise refusal("is not valid yet: its nbf or iat is in the future; is a clock wrong?")
    if token.expires_at - begun > MAX_LIFE_MS:
        raise refusal("is good for longer than 24 hours")


def _thumbprint(certificate: bytes | None) -> str:
    digest = hashlib.sha256(certificate or b"").digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii") if certificate else ""
