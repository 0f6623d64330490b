"""Credentials as values: who they stand for, how a request shows them, what they allow, and for how long."""

from dataclasses import dataclass, field
from typing import Final, Literal

from partners.errors import CredentialError, CredentialExpiredError, CredentialRevokedError

Scope = Literal["send", "receive", "audit", "manage"]
Role = Literal["partner", "auditor", "team", "operator"]
Method = Literal["api_key", "mtls", "jwt", "message_signature", "hmac"]
Kind = Literal["api_key", "certificate", "public_key", "oauth_client", "webhook_secret"]

METHODS: Final[dict[Kind, Method]] = {
    "api_key": "api_key",
    "certificate": "mtls",
    "public_key": "message_signature",
    "oauth_client": "jwt",
    "webhook_secret": "hmac",
}
"""How requests prove a credential of each kind."""

KINDS: Final[dict[Method, Kind]] = {method: kind for kind, method in METHODS.items()}

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

CONTRACT_NAME: Final = "contract"
"""Of the credentials that stand in the contract's file; nobody else's may have it."""

LEFT_OUT: Final = "no longer in the contract"
"""Why an apply revokes one of them: should the file name it again, it comes back. None else does."""

FOR_EVER: Final = 253_402_300_799_000
"""The end of what has none: the year 9999."""

HOUSE_ROLES: Final[frozenset[Role]] = frozenset({"team", "operator"})
"""Roles of our own side: their credentials belong to no partner."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential.

    `partner` is None for operators and teams. `match` is what a request shows: the key id, the SHA-256 of a
    certificate, issuer and subject. `secret` is what it is checked by: a keyed digest, a public key, a sealed
    HMAC secret; never the secret itself. Instants are Unix milliseconds; `not_after` is the first at which it
    is no longer valid. `revoked_for`: why, in the words of who revoked it. `send_types`: the event types that
    it may send, None: whatever the contract lets its partner send; `events_per_second`: its own rate beneath
    the contract's, None: it has none. `created_at`: when it was entered.
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
    revoked_for: str | None = None
    send_types: frozenset[str] | None = None
    events_per_second: int | None = None
    created_at: int = 0

    @property
    def kind(self) -> Kind:
        """What it is, to those who make and list it."""
        return KINDS[self.method]

    @property
    def is_declared(self) -> bool:
        """Whether it stands, or stood, in the contract's file."""
        return self.name == CONTRACT_NAME and self.method in {"mtls", "jwt"}

    @property
    def whose(self) -> tuple[str, str]:
        """Its id, and the slug of its partner; empty where it is our own side's."""
        return self.id, self.partner or ""

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
        raise CredentialRevokedError("this credential was revoked: ask for a new one", whose=credential.whose)
    if now >= credential.not_after:
        raise CredentialExpiredError("this credential has expired: ask for a new one", whose=credential.whose)
    if now < credential.not_before:
        raise CredentialError("this credential is not valid yet", whose=credential.whose)
    return credential


SEALED: Final = b"\x01"
"""First byte of a webhook's secret: what follows is a shared secret, sealed for its `secret_place`."""

RAW: Final = b"\x02"
"""First byte of a webhook's secret: what follows is the sender's Ed25519 public key."""


def secret_place(credential_id: str) -> str:
    """Name the place of a credential's sealed secret: what `seal` and its counterpart bind it to."""
    return f"partners_credential/{credential_id}/secret"
