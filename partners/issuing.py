"""Issue, change, revoke and find credentials.

As in `partners.onboarding`: in the caller's transaction, counted, never committed here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal

from sqlmodel import Session

from partners import store
from partners.allowance import is_slower, is_within, shown_types, verify_allowance
from partners.credential import (
    CONTRACT_NAME,
    DAY_MS,
    DEFAULT_LIFE_MS,
    HOUSE_ROLES,
    LEFT_OUT,
    MAX_LIFE_MS,
    ROLE_SCOPES,
    Credential,
    Method,
    Role,
    Scope,
)
from partners.credential_index import TOLD_MS
from partners.credential_material import IssuedCertificates, Material, PinnedCertificate
from partners.errors import (
    CredentialTakenError,
    CredentialTermsError,
    LimitReachedError,
    NotFoundError,
    StateConflictError,
)
from partners.in_force import active_credentials, count_ended
from partners.minting import Fresh, Means, method_of, mint
from partners.partner import new_id

MAX_ACTIVE: Final = 2
"""Of a kind, partner and role: the one in use, and its successor. Of the house: of a kind, role and name."""

MAX_ENDED: Final = 1_000
"""Of a partner, that ended so lately that they are told apart still: it makes no more itself meanwhile.

Eleven a day. Operators are not bound: whoever has stolen a key must not lock its partner out of a new one.
"""

MAX_NAME: Final = 200

CLOCK_SLACK_MS: Final = 5_000
"""A new credential is valid this much earlier, for instances whose clock is a little behind."""

_WEBHOOK_SCOPES: Final[frozenset[Scope]] = frozenset({"send"})
_WEBHOOK_ROLES: Final[frozenset[Role]] = frozenset({"partner", "team"})


@dataclass(frozen=True, slots=True)
class WantedCredential:
    """A credential to be made.

    `scopes` None: all that its role and kind may have. `not_after` None: in 365 days, the most there is, or
    when its certificate ends. `material`: what it is made of, or the kind that is made of what is drawn here.
    `send_types`, `events_per_second`: as a credential has them.
    """

    partner: str | None
    role: Role
    name: str = ""
    scopes: frozenset[Scope] | None = None
    not_after: int | None = None
    material: Material | Fresh = "api_key"
    send_types: frozenset[str] | None = None
    events_per_second: int | None = None


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A change that takes away, but for the name. None: stays as it is."""

    name: str | None = None
    scopes: frozenset[Scope] | None = None
    not_after: int | None = None
    send_types: frozenset[str] | None = None
    events_per_second: int | None = None


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """A credential. `text`: the new secret where it was made here, to be shown once."""

    action: Literal["created", "changed", "revoked", "unchanged"]
    credential: Credential
    text: str | None = field(default=None, repr=False)


def create_credential(
    session: Session, wanted: WantedCredential, *, means: Means, now: int, is_own: bool = False
) -> CredentialChange:
    """Make a credential; a secret that is made with it is in the change and nowhere else.

    `is_own`: its partner makes it for itself, which it may not without end.

    Raises:
        CredentialTermsError: role, partner, scopes, time, material and what it may send do not fit together.
        NotFoundError: there is no such partner.
        StateConflictError: the partner is closed, and it would do more than audit.
        CredentialTakenError: a request would show another credential by the same.
        LimitReachedError: there are two active ones already, or too many ended lately.
    """
    method = method_of(wanted.material)
    scopes, not_after = _verify_wanted(wanted, method, now)
    store.lock(session)
    if wanted.partner is not None:
        found = store.partner(session, wanted.partner)
        if found is None:
            raise NotFoundError("there is no such partner")
        if found[0].state == "closed" and scopes != ROLE_SCOPES["auditor"]:
            # The right to audit does not end with the exchange, and evidence outlives every credential.
            raise StateConflictError(
                f"'{wanted.partner}' is closed: a new credential of it has only the scope audit "
                "(on the command line: --role auditor)"
            )
    _verify_room(active_credentials(session, owner=wanted.partner, now=now), wanted, method)
    if is_own and wanted.partner is not None:
        _verify_pace(session, wanted.partner, now)
    credential_id = new_id("crd_", means.entropy)
    minted = mint(wanted.material, credential_id, means)
    begins = wanted.material.not_before if isinstance(wanted.material, PinnedCertificate) else 0
    credential = Credential(
        id=credential_id,
        partner=wanted.partner,
        role=wanted.role,
        method=method,
        match=minted.match,
        secret=minted.secret,
        scopes=scopes,
        not_before=max(begins, now - CLOCK_SLACK_MS),
        not_after=not_after,
        revoked_at=None,
        name=wanted.name,
        send_types=wanted.send_types,
        events_per_second=wanted.events_per_second,
        created_at=now,
    )
    enter(session, credential, now=now)
    return CredentialChange("created", credential, minted.text)


def enter(session: Session, credential: Credential, *, now: int) -> None:
    """Insert a credential, and count it. To be called after `store.lock`.

    What its owner's own expired credential was shown by it may be shown by, and what an apply left out.

    Raises:
        CredentialTakenError: a request would show another credential by the same.
    """
    there = store.credential_shown_as(session, credential.method, credential.match)
    if there is not None:
        is_over = not there.is_active(now) and there.revoked_for in {None, LEFT_OUT}
        if there.partner != credential.partner or not is_over:
            raise CredentialTakenError(
                "this certificate, URI or client stands for a credential already, or for one that was "
                "revoked and does not come back: use another"
            )
        store.release_match(session, there)
    store.insert_credential(session, credential, now=now)
    store.bump_credential(session, credential.id)


def change_credential(
    session: Session, credential_id: str, wanted: Narrowing, *, owner: str | None, now: int
) -> CredentialChange:
    """Rename a credential, take scopes and types from it, slow it, end it earlier.

    `owner` as in `revoke_credential`.

    Raises:
        NotFoundError: there is none, or it is another's.
        StateConflictError: it is over, or the contract's.
        CredentialTermsError: it would be allowed more, or for longer.
    """
    found = _own(session, credential_id, owner)
    if found.is_declared:
        raise StateConflictError("this credential stands in the contract: change it there")
    if not found.is_active(now):
        raise StateConflictError("this credential is over: make another one")
    name = found.name if wanted.name is None else _verify_name(wanted.name)
    scopes = found.scopes if wanted.scopes is None else wanted.scopes
    not_after = found.not_after if wanted.not_after is None else wanted.not_after
    if not scopes or not scopes <= found.scopes:
        raise CredentialTermsError(
            f"scopes can only be taken away, and one is left; it has {', '.join(sorted(found.scopes))}"
        )
    if not now < not_after <= found.not_after:
        raise CredentialTermsError(
            "its end can only be made earlier, and lies in the future: revoke it to end it now"
        )
    types, rate = _narrowed(found, wanted)
    changed = replace(
        found,
        name=name,
        scopes=scopes,
        not_after=not_after,
        send_types=types,
        events_per_second=rate,
    )
    if changed == found:
        return CredentialChange("unchanged", found)
    store.update_credential(session, changed)
    store.bump_credential(session, credential_id)
    return CredentialChange("changed", changed)


def _narrowed(found: Credential, wanted: Narrowing) -> tuple[frozenset[str] | None, int | None]:
    """What it may send after the change."""
    verify_allowance(wanted.send_types, wanted.events_per_second)
    types = found.send_types if wanted.send_types is None else wanted.send_types
    rate = found.events_per_second if wanted.events_per_second is None else wanted.events_per_second
    if not is_within(types, found.send_types):
        has = shown_types(found.send_types or ())
        raise CredentialTermsError(f"types can only be taken from send_types; it has {has}")
    if not is_slower(rate, found.events_per_second):
        raise CredentialTermsError(
            f"the rate events_per_second is only ever lowered; it is {found.events_per_second}: make another"
        )
    return types, rate


def revoke_credential(
    session: Session, credential_id: str, *, owner: str | None, now: int, reason: str = ""
) -> CredentialChange:
    """Revoke a credential; one that is revoked already stays as it is.

    `owner`: the partner on whose behalf; None: the operator, who may revoke any.

    Raises:
        NotFoundError: there is none, or it is another's.
    """
    found = _own(session, credential_id, owner)
    if found.revoked_at is not None:
        return CredentialChange("unchanged", found)
    # What an apply says of its own accord nobody else may say: it decides whether a certificate comes back.
    words = "".join(char for char in reason if char.isprintable())[:MAX_NAME]
    return end(session, found, now=now, reason="" if words == LEFT_OUT else words)


def end(session: Session, found: Credential, *, now: int, reason: str) -> CredentialChange:
    """Mark a credential as revoked, and count it. To be called after `store.lock`."""
    store.mark_revoked(session, found.id, now=now, reason=reason)
    store.bump_credential(session, found.id)
    return CredentialChange("revoked", replace(found, revoked_at=now, revoked_for=reason))


def find_credential(session: Session, credential_id: str, *, owner: str | None) -> Credential | None:
    """Find a credential, a revoked or expired one too. `owner` as in `revoke_credential`."""
    found = store.credential(session, credential_id)
    return None if found is None or (owner is not None and found.partner != owner) else found


def _own(session: Session, credential_id: str, owner: str | None) -> Credential:
    store.lock(session)
    found = find_credential(session, credential_id, owner=owner)
    if found is None:
        raise NotFoundError("there is no such credential")
    return found


def _verify_wanted(wanted: WantedCredential, method: Method, now: int) -> tuple[frozenset[Scope], int]:
    """Return scopes and end of a wanted credential, if there can be such a one."""
    if (wanted.partner is None) != (wanted.role in HOUSE_ROLES):
        rule = (
            "belongs to no partner: leave the partner out" if wanted.partner else "needs a partner: name it"
        )
        raise CredentialTermsError(f"a credential of the role '{wanted.role}' {rule}")
    _verify_name(wanted.name)
    most = ROLE_SCOPES[wanted.role]
    if method == "hmac":
        if wanted.role not in _WEBHOOK_ROLES:
            raise CredentialTermsError("a webhook secret is for sending: its role is partner, or team")
        most = _WEBHOOK_SCOPES
    scopes = most if wanted.scopes is None else wanted.scopes
    if not scopes or not scopes <= most:
        raise CredentialTermsError(
            f"this kind has in the role '{wanted.role}' one or more of the scopes {', '.join(sorted(most))}"
        )
    verify_allowance(wanted.send_types, wanted.events_per_second)
    is_bounded = wanted.send_types is not None or wanted.events_per_second is not None
    if is_bounded and "send" not in scopes:
        raise CredentialTermsError(
            "what bounds a credential that sends (send_types, events_per_second) needs the scope send: "
            "give it that, or leave them out"
        )
    return scopes, _verify_end(wanted, now)


def _verify_end(wanted: WantedCredential, now: int) -> int:
    latest = now + MAX_LIFE_MS
    material = wanted.material
    if isinstance(material, PinnedCertificate | IssuedCertificates):
        if material.not_after <= now:
            raise CredentialTermsError(
                f"the certificate ended at {_day(material.not_after)}: use its successor"
            )
        if material.not_after < latest:
            latest = material.not_after
            if wanted.not_after is not None and wanted.not_after > latest:
                raise CredentialTermsError(
                    f"the certificate ends at {_day(latest)}, and its credential not later: say less"
                )
    not_after = min(now + DEFAULT_LIFE_MS, latest) if wanted.not_after is None else wanted.not_after
    if not now < not_after <= latest:
        raise CredentialTermsError("a credential expires in the future, within 365 days")
    return not_after


def _verify_name(name: str) -> str:
    if len(name) > MAX_NAME or not name.isprintable():
        raise CredentialTermsError(f"a credential's name is at most {MAX_NAME} printable characters")
    if name == CONTRACT_NAME:
        raise CredentialTermsError(f"'{name}' names what stands in the contract: choose another name")
    return name


def _verify_pace(session: Session, partner: str, now: int) -> None:
    """Whoever makes and revokes without end makes everybody's memory and every change larger."""
    if count_ended(session, partner, since=now - TOLD_MS, now=now) >= MAX_ENDED:
        raise LimitReachedError(
            f"there are {MAX_ENDED} credentials that ended within the last {TOLD_MS // DAY_MS} days: "
            "make fewer that last longer, and ask an operator for one meanwhile"
        )


def _verify_room(active: Sequence[Credential], wanted: WantedCredential, method: Method) -> None:
    alike = [
        one
        for one in active
        if (one.role, one.method) == (wanted.role, method)
        and (wanted.partner is not None or one.name == wanted.name)
        and not one.is_declared
    ]
    if len(alike) >= MAX_ACTIVE:
        ids = ", ".join(one.id for one in alike)
        raise LimitReachedError(
            f"there are {len(alike)} active ones of this kind already ({ids}): revoke one first"
        )


def _day(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1_000, UTC):%Y-%m-%dT%H:%M:%SZ}"
