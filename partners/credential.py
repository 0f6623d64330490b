"""Credentials as values: who they stand for, how a request shows them, what they allow, and for how long."""

from dataclasses import dataclass, field
from typing import Final, Literal

from partners.errors import CredentialError, CredentialExpiredError, CredentialRevokedError

Scope = Literal["send", "receive", "audit", "manage"]
Role = Literal["partner", "auditor", "team", "operator"]
Method = Literal["api_key", "mtls", "jwt", "message_signature", "hmac"]

DAY_MS: Final = 86_400_000
DEFAULT_LIFE_MS: Final = 365 * DAY_MS
MAX_LIFE_MS: Final = 365 * DAY_MS

ROLE_SCOPES: Final[dict[Role, frozenset[Scope]]] = {
    "partner": frozenset({"send", "receive", "audit", "manage"}),
    "auditor": frozenset({"audit"}),
    "team": frozenset({"send", "receive", "audit"}),
    "operator": frozenset({"send", "receive", "audit", "manage"}),
}
"""The most that a credential of a role may be allowed, and what it is allowed where nothing else is said."""

HOUSE_ROLES: Final[frozenset[Role]] = frozenset({"team", "operator"})
"""Roles of our own side: their credentials belong to no partner."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential.

    `partner` is None for operators and teams. `match` is what a request shows: the key id, the SHA-256 of a
    certificate, issuer and subject. `secret` is what it is checked by: a keyed digest, a public key, a sealed
    HMAC secret; never the secret itself. Instants are Unix milliseconds; `not_after` is the first at which it
    is no longer valid.
    """

    id: str
    partner: str | None
    role: Role
    method: Method
    match: str
    secret: bytes = field(repr=False)
    scopes: frozenset[Scope]
    not_before: int
    not_after: int
    revoked_at: int | None
    name: str

    def is_active(self, now: int) -> bool:
        """Tell whether it is neither revoked nor expired. One that is valid only later counts as active."""
        return self.revoked_at is None and now < self.not_after


def verify_in_force(credential: Credential, *, now: int) -> Credential:
    """Return the credential, if it is in force at `now`. Call it only once the secret was found right.

    Raises:
        CredentialRevokedError: it was revoked.
        CredentialExpiredError: its time is over.
        CredentialError: its time has not come.
    """
    if credential.revoked_at is not None:
        raise CredentialRevokedError("this credential was revoked: ask for a new one")
    if now >= credential.not_after:
        raise CredentialExpiredError("this credential has expired: ask for a new one")
    if now < credential.not_before:
        raise CredentialError("this credential is not valid yet")
    return credential
