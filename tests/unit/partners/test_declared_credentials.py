"""Certificates and clients of a contract's file: made, kept and revoked by apply."""

from collections.abc import Callable, Mapping

import pytest
from sqlmodel import Session

from partners import store
from partners.credential import FOR_EVER, LEFT_OUT, Credential
from partners.credential_material import read_certificate
from partners.errors import CredentialTakenError, DestructiveError, StateConflictError
from partners.issuing import (
    Narrowing,
    WantedCredential,
    change_credential,
    create_credential,
    revoke_credential,
)
from partners.minting import Means as Mint
from partners.onboarding import ContractChange, Means, apply_contract, plan_contract
from tests.certificates import NOW as TODAY
from tests.certificates import certified
from tests.unit.partners.conftest import submission

NOW = int(TODAY.timestamp() * 1_000) + 1_000
LEAF, NEXT = certified(), certified(days=700)
ROOT, OTHER_ROOT = (certified(name, is_authority=True, usages=()) for name in ("root", "other"))
BASE = """\
gateway: v1
partner: acme
name: Acme
sends:
  order.placed: {schema: order.avsc, id: /id}
"""
SECTION = "authentication:\n  accept: [api_key, mtls, jwt]\n"
ONE = f"{BASE}{SECTION}  certificates: [a.pem]\n"
BOTH = f"{BASE}{SECTION}  certificates: [a.pem, b.pem]\n"
ISSUED = f"{BASE}{SECTION}  certificates: [{{ca: root.pem, uri: 'spiffe://acme/gw'}}]\n"
OAUTH = f"{BASE}{SECTION}  oauth: {{issuer: https://id.acme.example, audience: gw, subject: acme-prod}}\n"
FILES = {"a.pem": LEAF.pem, "b.pem": NEXT.pem, "root.pem": ROOT.pem}

Act = Callable[..., ContractChange]


def files_of(text: str, files: Mapping[str, str]) -> dict[str, str]:
    return {name: content for name, content in files.items() if name in text}


@pytest.fixture
def act(session: Session, means: Means) -> Act:
    def call(
        text: str, files: Mapping[str, str] = FILES, *, now: int = NOW, allow: bool = True
    ) -> ContractChange:
        made = submission(text, allow_destructive=allow, files=files_of(text, files))
        planned = plan_contract(session, made, now=now)
        change = apply_contract(session, made, by="crd_operator", now=now, means=means)
        assert (planned.differences, planned.notes) == (change.differences, change.notes)
        assert planned.is_unchanged == change.is_unchanged
        return change

    return call


def told(change: ContractChange) -> list[tuple[str, str, str, bool]]:
    return [
        (one.sign, one.section, one.name, one.is_destructive)
        for one in change.differences
        if one.section in {"certificate", "oauth"}
    ]


def in_force(session: Session, now: int = NOW) -> list[Credential]:
    found = store.credentials(session, owner="acme")
    return sorted((one for one in found if one.is_active(now)), key=lambda one: one.not_after)


def test_a_certificate_of_the_file_is_a_credential(session: Session, act: Act) -> None:
    change = act(ONE)
    (made,) = in_force(session)
    assert told(change) == [("+", "certificate", "a.pem", False)]
    assert [(one.action, one.credential) for one in change.credentials] == [("created", made)]
    assert (made.method, made.match, made.secret) == ("mtls", f"sha256:{LEAF.sha256}", LEAF.der)
    assert (made.name, made.role, made.not_after) == (
        "contract",
        "partner",
        read_certificate(LEAF.pem).not_after,
    )
    assert store.load(session).credential("mtls", made.match) == made
    again = act(ONE)
    assert (again.is_unchanged, again.credentials, in_force(session)) == (True, (), [made])


def test_certificates_roll_over_by_two_applies(session: Session, act: Act) -> None:
    act(ONE)
    (first,) = in_force(session)
    assert told(act(BOTH, allow=False)) == [("+", "certificate", "b.pem", False)]
    assert [one.match for one in in_force(session)] == [first.match, f"sha256:{NEXT.sha256}"]
    rest = BOTH.replace("a.pem, ", "")
    with pytest.raises(DestructiveError, match="certificate"):
        act(rest, allow=False)
    change = act(rest)
    assert [(sign, section) for sign, section, _, _ in told(change)] == [("-", "certificate")]
    assert [(one.action, one.credential.id) for one in change.credentials] == [("revoked", first.id)]
    former = store.credential(session, first.id)
    assert former is not None
    assert (former.revoked_at, former.revoked_for) == (NOW, LEFT_OUT)


def test_what_an_apply_took_away_an_apply_brings_back(session: Session, act: Act) -> None:
    act(ONE)
    act(BASE)
    assert in_force(session) == []
    act(ONE)
    (back,) = in_force(session)
    assert store.load(session).credential("mtls", f"sha256:{LEAF.sha256}") == back


def test_what_a_person_revoked_no_apply_brings_back(session: Session, act: Act) -> None:
    act(ONE)
    (made,) = in_force(session)
    revoke_credential(session, made.id, owner=None, now=NOW, reason="leaked")
    for text in (ONE, BOTH):
        change = act(text)
        assert change.notes == ("certificate a.pem was revoked, and stays so: take it out of the file",)
    assert [one.match for one in in_force(session)] == [f"sha256:{NEXT.sha256}"]
    act(BASE)
    assert act(ONE).notes != ()
    assert in_force(session) == []


def test_the_same_file_with_another_certificate_replaces_it(session: Session, act: Act) -> None:
    act(ONE)
    change = act(ONE, {"a.pem": NEXT.pem})
    assert [(sign, destructive) for sign, _, _, destructive in told(change)] == [("+", False), ("-", True)]
    assert [one.match for one in in_force(session)] == [f"sha256:{NEXT.sha256}"]


def test_authorities_are_taken_with_their_uri_and_replaced_in_place(session: Session, act: Act) -> None:
    act(ISSUED)
    (made,) = in_force(session)
    assert (made.match, made.secret) == ("uri:spiffe://acme/gw", ROOT.pem.encode())
    change = act(ISSUED, {"root.pem": OTHER_ROOT.pem})
    assert [(sign, destructive) for sign, _, _, destructive in told(change)] == [("~", True)]
    (other,) = in_force(session)
    assert (other.match, other.secret) == (made.match, OTHER_ROOT.pem.encode())


def test_a_client_is_a_credential_without_an_end(session: Session, act: Act) -> None:
    change = act(OAUTH)
    (made,) = in_force(session)
    assert told(change) == [("+", "oauth", "https://id.acme.example", False)]
    assert (made.method, made.match) == ("jwt", "https://id.acme.example\nacme-prod")
    assert (made.secret, made.not_after) == (b'{"audience":"gw"}', FOR_EVER)
    act(OAUTH.replace("audience: gw", "audience: gw2"))
    assert [one.secret for one in in_force(session)] == [b'{"audience":"gw2"}']
    assert [one.sign for one in act(BASE).differences if one.section == "oauth"] == ["-"]


def test_contracts_of_before_get_theirs_with_the_next_apply(session: Session, act: Act) -> None:
    act(ONE)
    (made,) = in_force(session)
    revoke_credential(session, made.id, owner=None, now=NOW)
    store.mark_revoked(session, made.id, now=NOW, reason=LEFT_OUT)  # as if it had never been made
    change = act(ONE)
    assert (change.is_unchanged, told(change)) == (False, [("+", "certificate", "a.pem", False)])


def test_anothers_certificate_is_refused_without_a_word_about_whose(
    session: Session, act: Act, entropy: Callable[[int], bytes]
) -> None:
    act(BASE.replace("partner: acme", "partner: globex"))
    mint = Mint(b"p" * 32, entropy, lambda secret, _: secret)
    wanted = WantedCredential("globex", "partner", material=read_certificate(LEAF.pem))
    create_credential(session, wanted, means=mint, now=NOW)
    with pytest.raises(CredentialTakenError, match=r"certificate a\.pem: ") as caught:
        act(ONE)
    assert "globex" not in str(caught.value)


def test_expired_and_doubtful_ones_are_told(act: Act) -> None:
    over = act(ONE, now=read_certificate(LEAF.pem).not_after)
    assert over.notes == ("certificate a.pem has expired: it opens nothing",)
    assert "write {ca: PATH, uri: URI}" in act(ONE, {"a.pem": ROOT.pem}).notes[0]


def test_they_take_no_room_and_change_by_the_file_alone(
    session: Session, act: Act, entropy: Callable[[int], bytes]
) -> None:
    act(BOTH)
    mint = Mint(b"p" * 32, entropy, lambda secret, _: secret)
    for _ in range(2):
        wanted = WantedCredential("acme", "partner", material=read_certificate(certified().pem))
        assert create_credential(session, wanted, means=mint, now=NOW).action == "created"
    declared = next(one for one in in_force(session) if one.is_declared)
    with pytest.raises(StateConflictError, match="change it there"):
        change_credential(session, declared.id, Narrowing("x"), owner=None, now=NOW)
