"""Issuing, listing and revoking API keys."""

from collections.abc import Callable

import pytest
from sqlmodel import Session

from partners import store
from partners.api_key import verify_api_key
from partners.credential import DAY_MS, Role, Scope
from partners.errors import (
    CredentialError,
    CredentialRevokedError,
    CredentialTermsError,
    LimitReachedError,
    NotFoundError,
    StateConflictError,
)
from partners.issuing import (
    CredentialChange,
    WantedKey,
    create_credential,
    list_credentials,
    revoke_credential,
)
from partners.onboarding import set_partner_state
from tests.unit.partners.conftest import Apply

PEPPER = b"p" * 32
NOW = 1_000_000
Create = Callable[[WantedKey], CredentialChange]


@pytest.fixture
def create(session: Session, entropy: Callable[[int], bytes], apply: Apply) -> Create:
    apply()
    return lambda wanted: create_credential(session, wanted, pepper=PEPPER, entropy=entropy, now=NOW)


def test_a_new_key_opens_and_its_text_is_nowhere_else(session: Session, create: Create) -> None:
    number = store.revision(session)
    change = create(WantedKey("acme", "partner", "erp"))
    assert change.action == "created"
    assert change.text is not None
    assert store.revision(session) == number + 1
    found = verify_api_key(change.text, store.load(session), PEPPER, now=NOW)
    assert found == change.credential
    assert (found.partner, found.role, found.name) == ("acme", "partner", "erp")
    assert found.scopes == {"send", "receive", "audit", "manage"}
    assert found.not_after == NOW + 365 * DAY_MS
    assert change.text not in repr(change)
    assert change.text.split("_")[2] not in repr(change)


def test_scopes_and_expiry_can_be_narrowed(create: Create) -> None:
    change = create(WantedKey("acme", "partner", scopes=frozenset({"send"}), not_after=NOW + 5))
    assert change.credential.scopes == {"send"}
    assert change.credential.not_after == NOW + 5


@pytest.mark.parametrize(
    ("partner", "role", "scopes", "not_after"),
    [
        (None, "partner", None, None),
        (None, "auditor", None, None),
        ("acme", "operator", None, None),
        ("acme", "team", None, None),
        ("acme", "auditor", {"send"}, None),
        (None, "team", {"manage"}, None),
        ("acme", "partner", set(), None),
        ("acme", "partner", None, NOW),
        ("acme", "partner", None, NOW + 365 * DAY_MS + 1),
    ],
)
def test_what_does_not_fit_together_is_refused(
    create: Create, partner: str | None, role: Role, scopes: set[Scope] | None, not_after: int | None
) -> None:
    wanted = WantedKey(partner, role, "", None if scopes is None else frozenset(scopes), not_after)
    with pytest.raises(CredentialTermsError):
        create(wanted)


@pytest.mark.parametrize("name", ["a\nb", "a\x00", "n" * 201])
def test_a_name_that_cannot_be_shown_is_refused(create: Create, name: str) -> None:
    with pytest.raises(CredentialTermsError):
        create(WantedKey("acme", "partner", name))


def test_two_keys_of_a_partner_and_role_may_be_active(session: Session, create: Create) -> None:
    first = create(WantedKey("acme", "partner", "one")).credential
    create(WantedKey("acme", "partner", "two"))
    with pytest.raises(LimitReachedError, match=first.id):
        create(WantedKey("acme", "partner", "three"))
    create(WantedKey("acme", "auditor"))
    revoke_credential(session, first.id, owner=None, now=NOW)
    assert create(WantedKey("acme", "partner", "three")).action == "created"


def test_expired_keys_do_not_count(session: Session, create: Create, entropy: Callable[[int], bytes]) -> None:
    for _ in range(2):
        create(WantedKey("acme", "partner", not_after=NOW + 1))
    wanted = WantedKey("acme", "partner")
    with pytest.raises(LimitReachedError):
        create_credential(session, wanted, pepper=PEPPER, entropy=entropy, now=NOW)
    later = create_credential(session, wanted, pepper=PEPPER, entropy=entropy, now=NOW + 1)
    assert later.action == "created"


def test_each_team_has_its_own_two_keys(create: Create) -> None:
    for team in ("billing", "billing", "shipping", "shipping"):
        create(WantedKey(None, "team", team))
    with pytest.raises(LimitReachedError):
        create(WantedKey(None, "team", "billing"))


def test_unknown_and_closed_partners_get_no_key(session: Session, create: Create) -> None:
    with pytest.raises(NotFoundError):
        create(WantedKey("globex", "partner"))
    set_partner_state(session, "acme", "closed")
    with pytest.raises(StateConflictError):
        create(WantedKey("acme", "partner"))


def test_a_revoked_key_opens_nothing_and_says_so(session: Session, create: Create) -> None:
    made = create(WantedKey("acme", "partner"))
    assert made.text is not None
    change = revoke_credential(session, made.credential.id, owner="acme", now=NOW + 5, reason="leaked")
    assert (change.action, change.credential.revoked_at) == ("revoked", NOW + 5)
    with pytest.raises(CredentialRevokedError):
        verify_api_key(made.text, store.load(session), PEPPER, now=NOW + 6)
    again = revoke_credential(session, made.credential.id, owner="acme", now=NOW + 9)
    assert (again.action, again.credential.revoked_at) == ("unchanged", NOW + 5)


def test_anothers_credential_is_as_unknown_as_none(session: Session, create: Create) -> None:
    made = create(WantedKey("acme", "partner")).credential
    house = create(WantedKey(None, "operator", "root")).credential
    for owner, wanted in (("globex", made.id), ("acme", house.id), ("acme", "crd_none"), (None, "crd_none")):
        with pytest.raises(NotFoundError):
            revoke_credential(session, wanted, owner=owner, now=NOW)
    assert list_credentials(session, owner="acme") == (made,)
    assert list_credentials(session, owner="globex") == ()
    assert set(list_credentials(session, owner=None)) == {made, house}


def test_a_key_made_by_a_clock_a_little_ahead_is_valid_here(session: Session, create: Create) -> None:
    text = create(WantedKey("acme", "partner")).text
    assert text is not None
    directory = store.load(session)
    assert verify_api_key(text, directory, PEPPER, now=NOW - 5_000).partner == "acme"
    with pytest.raises(CredentialError):
        verify_api_key(text, directory, PEPPER, now=NOW - 5_001)
