"""Issue, revoke and list credentials.

As in `partners.onboarding`: in the caller's transaction, counted, never committed here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from sqlmodel import Session

from partners import api_key, store
from partners.credential import (
    DEFAULT_LIFE_MS,
    HOUSE_ROLES,
    MAX_LIFE_MS,
    ROLE_SCOPES,
    Credential,
    Role,
    Scope,
)
from partners.errors import CredentialTermsError, LimitReachedError, NotFoundError, StateConflictError
from partners.partner import new_id

MAX_ACTIVE_KEYS: Final = 2
"""Of a partner and role: the one in use, and its successor. House keys are counted by role and name."""

MAX_NAME: Final = 200

CLOCK_SLACK_MS: Final = 5_000
"""A new credential is valid this much earlier, for instances whose clock is a little behind."""


@dataclass(frozen=True, slots=True)
class WantedKey:
    """An API key to be made.

    `scopes` None: all of the role. `not_after` None: in 365 days, the most there is.
    """

    partner: str | None
    role: Role
    name: str = ""
    scopes: frozenset[Scope] | None = None
    not_after: int | None = None


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """A credential. `text`: of a new API key, to be shown once."""

    action: Literal["created", "revoked", "unchanged"]
    credential: Credential
    text: str | None = field(default=None, repr=False)


def create_credential(
    session: Session, wanted: WantedKey, *, pepper: bytes, entropy: Callable[[int], bytes], now: int
) -> CredentialChange:
    """Make an API key; its text is in the change and nowhere else.

    Raises:
        CredentialTermsError: role, partner, scopes and time do not fit together.
        NotFoundError: there is no such partner.
        StateConflictError: the partner is closed.
        LimitReachedError: there are two active ones already.
    """
    scopes, not_after = _verify_wanted(wanted, now)
    store.lock(session)
    if wanted.partner is not None:
        found = store.partner(session, wanted.partner)
        if found is None:
            raise NotFoundError("there is no such partner")
        if found[0].state == "closed":
            raise StateConflictError(f"'{wanted.partner}' is closed")
    _verify_room(store.credentials(session, owner=wanted.partner), wanted, now)
    text, key_id, secret = api_key.mint(entropy)
    credential = Credential(
        id=new_id("crd_", entropy),
        partner=wanted.partner,
        role=wanted.role,
        method="api_key",
        match=key_id,
        secret=api_key.keyed_digest(pepper, api_key.ApiKey(key_id, secret)),
        scopes=scopes,
        not_before=now - CLOCK_SLACK_MS,
        not_after=not_after,
        revoked_at=None,
        name=wanted.name,
    )
    store.insert_credential(session, credential, now=now)
    store.bump_credential(session, credential.id)
    return CredentialChange("created", credential, text)


def revoke_credential(
    session: Session, credential_id: str, *, owner: str | None, now: int, reason: str = ""
) -> CredentialChange:
    """Revoke a credential; one that is revoked already stays as it is.

    `owner`: the partner on whose behalf; None: the operator, who may revoke any.

    Raises:
        NotFoundError: there is none, or it is another's.
    """
    store.lock(session)
    found = store.credential(session, credential_id)
    if found is None or (owner is not None and found.partner != owner):
        raise NotFoundError("there is no such credential")
    if found.revoked_at is not None:
        return CredentialChange("unchanged", found)
    words = "".join(char for char in reason if char.isprintable())
    store.mark_revoked(session, credential_id, now=now, reason=words[:MAX_NAME])
    store.bump_credential(session, credential_id)
    return CredentialChange("revoked", replace(found, revoked_at=now))


def list_credentials(session: Session, *, owner: str | None) -> tuple[Credential, ...]:
    """List a partner's credentials; with `owner` None all there are. Revoked and expired ones too."""
    return store.all_credentials(session) if owner is None else store.credentials(session, owner=owner)


def _verify_wanted(wanted: WantedKey, now: int) -> tuple[frozenset[Scope], int]:
    """Return scopes and end of a wanted key, if there can be such a one."""
    if (wanted.partner is None) != (wanted.role in HOUSE_ROLES):
        rule = (
            "belongs to no partner: leave the partner out" if wanted.partner else "needs a partner: name it"
        )
        raise CredentialTermsError(f"a credential of the role '{wanted.role}' {rule}")
    if len(wanted.name) > MAX_NAME or not wanted.name.isprintable():
        raise CredentialTermsError(f"a credential's name is at most {MAX_NAME} printable characters")
    most = ROLE_SCOPES[wanted.role]
    scopes = most if wanted.scopes is None else wanted.scopes
    if not scopes or not scopes <= most:
        raise CredentialTermsError(
            f"the role '{wanted.role}' has one or more of the scopes {', '.join(sorted(most))}"
        )
    not_after = now + DEFAULT_LIFE_MS if wanted.not_after is None else wanted.not_after
    if not now < not_after <= now + MAX_LIFE_MS:
        raise CredentialTermsError("a credential expires in the future, within 365 days")
    return scopes, not_after


def _verify_room(existing: Sequence[Credential], wanted: WantedKey, now: int) -> None:
    alike = [
        one
        for one in existing
        if (one.role, one.method) == (wanted.role, "api_key")
        and (wanted.partner is not None or one.name == wanted.name)
        and one.is_active(now)
    ]
    if len(alike) >= MAX_ACTIVE_KEYS:
        ids = ", ".join(one.id for one in alike)
        raise LimitReachedError(
            f"there are {len(alike)} active keys of this kind already ({ids}): revoke one first"
        )
