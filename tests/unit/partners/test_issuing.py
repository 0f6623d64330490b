"""Issuing, listing and revoking API keys."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlmodel import Session

from partners import store
from partners.api_key import verify_api_key
from partners.credential import DAY_MS, LEFT_OUT, Role, Scope
from partners.credential_material import read_certificate
from partners.errors import (
    CredentialError,
    CredentialRevokedError,
    CredentialTakenError,
    CredentialTermsError,
    LimitReachedError,
    NotFoundError,
    StateConflictError,
)
from partners.issuing import (
    CredentialChange,
    Narrowing,
    WantedCredential,
    change_credential,
    create_credential,
    find_credential,
    revoke_credential,
)
from partners.minting import Means
from partners.onboarding import set_partner_state
from tests.certificates import NOW as TODAY
from tests.certificates import certified
from tests.unit.partners.conftest import CONTRACT, Apply

PEPPER = b"p" * 32
NOW = 1_000_000


def made_with(entropy: Callable[[int], bytes]) -> Means:
    return Means(PEPPER, entropy, lambda secret, place: place.encode() + b"|" + secret[::-1])


Create = Callable[[WantedCredential], CredentialChange]


@pytest.fixture
def create(session: Session, entropy: Callable[[int], bytes], apply: Apply) -> Create:
    apply()
    return lambda wanted: create_credential(session, wanted, means=made_with(entropy), now=NOW)


def test_a_new_key_opens_and_its_text_is_nowhere_else(session: Session, create: Create) -> None:
    number = store.revision(session)
    change = create(WantedCredential("acme", "partner", "erp"))
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
    change = create(WantedCredential("acme", "partner", scopes=frozenset({"send"}), not_after=NOW + 5))
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
    wanted = WantedCredential(partner, role, "", None if scopes is None else frozenset(scopes), not_after)
    with pytest.raises(CredentialTermsError):
        create(wanted)


@pytest.mark.parametrize("name", ["a\nb", "a\x00", "n" * 201])
def test_a_name_that_cannot_be_shown_is_refused(create: Create, name: str) -> None:
    with pytest.raises(CredentialTermsError):
        create(WantedCredential("acme", "partner", name))


def test_two_keys_of_a_partner_and_role_may_be_active(session: Session, create: Create) -> None:
    first = create(WantedCredential("acme", "partner", "one")).credential
    create(WantedCredential("acme", "partner", "two"))
    with pytest.raises(LimitReachedError, match=first.id):
        create(WantedCredential("acme", "partner", "three"))
    create(WantedCredential("acme", "auditor"))
    revoke_credential(session, first.id, owner=None, now=NOW)
    assert create(WantedCredential("acme", "partner", "three")).action == "created"


def test_expired_keys_do_not_count(session: Session, create: Create, entropy: Callable[[int], bytes]) -> None:
    for _ in range(2):
        create(WantedCredential("acme", "partner", not_after=NOW + 1))
    wanted = WantedCredential("acme", "partner")
    with pytest.raises(LimitReachedError):
        create_credential(session, wanted, means=made_with(entropy), now=NOW)
    later = create_credential(session, wanted, means=made_with(entropy), now=NOW + 1)
    assert later.action == "created"


def test_each_team_has_its_own_two_keys(create: Create) -> None:
    for team in ("billing", "billing", "shipping", "shipping"):
        create(WantedCredential(None, "team", team))
    with pytest.raises(LimitReachedError):
        create(WantedCredential(None, "team", "billing"))


def test_unknown_and_closed_partners_get_no_key(session: Session, create: Create) -> None:
    with pytest.raises(NotFoundError):
        create(WantedCredential("globex", "partner"))
    set_partner_state(session, "acme", "closed")
    with pytest.raises(StateConflictError):
        create(WantedCredential("acme", "partner"))


def test_a_closed_partner_gets_keys_to_audit_with_alone(session: Session, create: Create) -> None:
    set_partner_state(session, "acme", "closed")
    assert create(WantedCredential("acme", "auditor")).credential.scopes == {"audit"}
    audit = frozenset[Scope]({"audit"})
    assert create(WantedCredential("acme", "partner", scopes=audit)).credential.scopes == audit
    for more in ("send", "receive", "manage"):
        with pytest.raises(StateConflictError, match="only the scope audit"):
            create(WantedCredential("acme", "partner", scopes=audit | frozenset[Scope]({more})))
    with pytest.raises(StateConflictError, match="--role auditor"):
        create(WantedCredential("acme", "partner", material="webhook_secret"))


def test_when_a_credential_was_made_is_read_back(session: Session, create: Create) -> None:
    made = create(WantedCredential("acme", "partner")).credential
    assert made.created_at == NOW
    assert store.credential(session, made.id) == made


def test_a_revoked_key_opens_nothing_and_says_so(session: Session, create: Create) -> None:
    made = create(WantedCredential("acme", "partner"))
    assert made.text is not None
    change = revoke_credential(session, made.credential.id, owner="acme", now=NOW + 5, reason="leaked")
    assert (change.action, change.credential.revoked_at) == ("revoked", NOW + 5)
    with pytest.raises(CredentialRevokedError):
        verify_api_key(made.text, store.load(session), PEPPER, now=NOW + 6)
    again = revoke_credential(session, made.credential.id, owner="acme", now=NOW + 9)
    assert (again.action, again.credential.revoked_at) == ("unchanged", NOW + 5)


def test_anothers_credential_is_as_unknown_as_none(session: Session, create: Create) -> None:
    made = create(WantedCredential("acme", "partner")).credential
    house = create(WantedCredential(None, "operator", "root")).credential
    for owner, wanted in (("globex", made.id), ("acme", house.id), ("acme", "crd_none"), (None, "crd_none")):
        with pytest.raises(NotFoundError):
            revoke_credential(session, wanted, owner=owner, now=NOW)
    assert [find_credential(session, made.id, owner=one) for one in ("acme", "globex")] == [made, None]
    assert [find_credential(session, one.id, owner=None) for one in (made, house)] == [made, house]


def test_a_key_made_by_a_clock_a_little_ahead_is_valid_here(session: Session, create: Create) -> None:
    text = create(WantedCredential("acme", "partner")).text
    assert text is not None
    directory = store.load(session)
    assert verify_api_key(text, directory, PEPPER, now=NOW - 5_000).partner == "acme"
    with pytest.raises(CredentialError):
        verify_api_key(text, directory, PEPPER, now=NOW - 5_001)


LEAF = certified(days=400)
PINNED = read_certificate(LEAF.pem)
WHEN = int(TODAY.timestamp() * 1_000) + 10 * DAY_MS


@pytest.fixture
def later(session: Session, entropy: Callable[[int], bytes], apply: Apply) -> Create:
    """As `create`, when the certificate is valid; there are two partners."""
    apply()
    apply(CONTRACT.replace("partner: acme", "partner: globex"))
    return lambda wanted: create_credential(session, wanted, means=made_with(entropy), now=WHEN)


def test_each_kind_has_room_for_two(session: Session, later: Create) -> None:
    for kind in ("api_key", "webhook_secret"):
        for _ in range(2):
            later(WantedCredential("acme", "partner", material=kind))
    for days in (30, 60):
        later(WantedCredential("acme", "partner", material=read_certificate(certified(days=days).pem)))
    with pytest.raises(LimitReachedError):
        later(WantedCredential("acme", "partner", material=PINNED))
    assert len(store.load(session).after(9, (), ()).partners()) == 2


def test_a_certificate_ends_its_credential(later: Create) -> None:
    short = read_certificate(certified(days=30).pem)
    assert later(WantedCredential("acme", "partner", material=short)).credential.not_after == short.not_after
    long = later(WantedCredential("acme", "partner", material=PINNED)).credential
    assert long.not_after == WHEN + 365 * DAY_MS < PINNED.not_after
    for not_after in (short.not_after + 1, PINNED.not_after):
        other = read_certificate(certified(days=30).pem)
        with pytest.raises(CredentialTermsError, match="2026-12-01T00:00:00Z"):
            later(WantedCredential("globex", "partner", not_after=not_after, material=other))
    over = read_certificate(certified(days=5).pem)
    with pytest.raises(CredentialTermsError, match="ended at 2026-11-06"):
        later(WantedCredential("globex", "partner", material=over))


def test_a_certificate_that_begins_later_begins_its_credential(later: Create) -> None:
    begins = TODAY + timedelta(days=20)
    made = later(WantedCredential("acme", "partner", material=read_certificate(certified(begins=begins).pem)))
    assert made.credential.not_before == int(begins.timestamp() * 1_000)


def test_what_is_shown_stands_for_one_credential_whoever_asks(session: Session, later: Create) -> None:
    first = later(WantedCredential("acme", "partner", material=PINNED)).credential
    words = set()
    for partner in ("acme", "globex"):
        with pytest.raises(CredentialTakenError) as caught:
            later(WantedCredential(partner, "partner", material=PINNED))
        words.add(str(caught.value))
    revoke_credential(session, first.id, owner="acme", now=WHEN, reason="leaked")
    for partner in ("acme", "globex"):
        with pytest.raises(CredentialTakenError) as caught:
            later(WantedCredential(partner, "partner", material=PINNED))
        words.add(str(caught.value))
    assert len(words) == 1
    assert "acme" not in words.pop()


def test_an_expired_one_makes_room_for_its_owner_alone(
    session: Session, later: Create, entropy: Callable[[int], bytes]
) -> None:
    first = later(WantedCredential("acme", "partner", not_after=WHEN + 5, material=PINNED)).credential

    def again(partner: str) -> CredentialChange:
        wanted = WantedCredential(partner, "partner", material=PINNED)
        return create_credential(session, wanted, means=made_with(entropy), now=WHEN + 5)

    with pytest.raises(CredentialTakenError):
        again("globex")
    before = store.load(session)
    second = again("acme").credential
    directory = store.load(session, before)
    assert directory.credential("mtls", PINNED.match) == second
    former = directory.credential("mtls", f"{PINNED.match}\n{first.id}")
    assert former is not None
    assert former.id == first.id


def test_a_webhook_secret_is_for_sending(later: Create) -> None:
    made = later(WantedCredential("acme", "partner", material="webhook_secret"))
    assert made.credential.scopes == {"send"}
    assert made.text is not None
    for role, scopes in (("auditor", None), ("partner", frozenset({"audit"}))):
        wanted = WantedCredential("acme", role, "", scopes, None, "webhook_secret")  # type: ignore[arg-type]  # Literals
        with pytest.raises(CredentialTermsError):
            later(wanted)


def test_the_name_of_what_stands_in_the_contract_is_taken(session: Session, create: Create) -> None:
    with pytest.raises(CredentialTermsError, match="contract"):
        create(WantedCredential("acme", "partner", "contract"))
    made = create(WantedCredential("acme", "partner", "x")).credential
    with pytest.raises(CredentialTermsError, match="contract"):
        change_credential(session, made.id, Narrowing("contract"), owner=None, now=NOW)


def test_a_credential_is_only_narrowed(session: Session, create: Create) -> None:
    made = create(WantedCredential("acme", "partner", "old", frozenset({"send", "audit"}))).credential

    def change(wanted: Narrowing, owner: str | None = "acme") -> CredentialChange:
        return change_credential(session, made.id, wanted, owner=owner, now=NOW)

    before = store.revision(session)
    assert change(Narrowing()).action == "unchanged"
    assert change(Narrowing("old", made.scopes, made.not_after)).action == "unchanged"
    assert store.revision(session) == before
    wrong = (
        Narrowing(scopes=frozenset({"send", "manage"})),
        Narrowing(scopes=frozenset()),
        Narrowing(not_after=made.not_after + 1),
        Narrowing(not_after=NOW),
        Narrowing("a\nb"),
    )
    for wanted in wrong:
        with pytest.raises(CredentialTermsError):
            change(wanted)
    with pytest.raises(NotFoundError):
        change(Narrowing("new"), "globex")
    known = store.load(session)
    changed = change(Narrowing("new", frozenset({"send"}), NOW + 5))
    assert changed.action == "changed"
    assert store.load(session, known).credential("api_key", made.match) == changed.credential
    assert (changed.credential.name, set(changed.credential.scopes)) == ("new", {"send"})
    revoke_credential(session, made.id, owner=None, now=NOW)
    with pytest.raises(StateConflictError, match="over"):
        change(Narrowing("newer"))


def test_why_it_was_revoked_is_kept_and_nobody_speaks_for_an_apply(session: Session, create: Create) -> None:
    one, two = (create(WantedCredential("acme", "partner")).credential for _ in range(2))
    revoke_credential(session, one.id, owner=None, now=NOW, reason="leaked\x00 on a stick")
    revoke_credential(session, two.id, owner=None, now=NOW, reason=LEFT_OUT)
    found = {each.id: each.revoked_for for each in store.credentials(session, owner="acme")}
    assert found == {one.id: "leaked on a stick", two.id: ""}
