"""Rows to values and back."""

import os
from dataclasses import replace

import pytest
from sqlmodel import Session

from partners import store
from partners.contract import ContractFile
from partners.contract_file import attach_files, read_contract
from partners.directory import Directory
from partners.issuing import WantedCredential, create_credential, revoke_credential
from partners.minting import Means as Mint
from partners.onboarding import (
    Means,
    Submission,
    apply_contract,
    set_endpoint_state,
    set_partner_state,
)
from tests.unit.partners.conftest import CONTRACT, Apply, submission
from tests.unit.partners.test_contract_file import FULL

NOW = 1_800_000_000_000
MINT = Mint(b"p" * 32, os.urandom, lambda secret, _: secret)


def test_an_empty_database_holds_an_empty_directory(session: Session) -> None:
    directory = store.load(session)
    assert (directory.revision, directory.partners()) == (0, ())


def test_every_term_of_a_contract_comes_back_as_it_was(session: Session, means: Means) -> None:
    made = submission(FULL)
    apply_contract(session, made, by="", now=1, means=means)
    back = store.contract_file(session, "acme", 1)
    assert back is not None
    file, lines = back
    assert lines == made.lines
    assert (file.text, file.files, file.sha256()) == (made.file.text, made.file.files, made.file.sha256())
    read: ContractFile = attach_files(read_contract(file.text, name=file.name), dict(file.files))
    assert read.contract == made.file.contract
    contract = store.load(session).contract("acme")
    assert contract is not None
    assert contract.terms == read.contract.terms
    assert contract.endpoints == read.contract.endpoints
    assert (contract.authentication, contract.limits, contract.delivery, contract.keep) == (
        read.contract.authentication,
        read.contract.limits,
        read.contract.delivery,
        read.contract.keep,
    )


def test_only_the_contract_in_force_is_loaded(session: Session, apply: Apply) -> None:
    apply()
    apply(FULL, allow_destructive=1)
    contract = store.load(session).contract("acme")
    assert contract is not None
    assert contract.revision == 2
    assert len(store.load(session).lines("acme")) == 5


def test_a_rolled_back_change_leaves_no_trace(session: Session, apply: Apply) -> None:
    apply()
    session.rollback()
    assert store.revision(session) == 0
    assert store.load(session).partners() == ()


def test_a_lock_counts_nothing(session: Session) -> None:
    store.lock(session)
    store.lock(session)
    assert store.revision(session) == 0
    store.bump_partner(session, "acme")
    store.bump_credential(session, "crd_1")
    assert store.revision(session) == 2


def test_partners_are_kept_apart(session: Session, apply: Apply) -> None:
    apply()
    apply(submission_text("globex"))
    directory = store.load(session)
    assert [partner.slug for partner in directory.partners()] == ["acme", "globex"]
    mine = {endpoint.id for endpoint in directory.endpoints("acme")}
    theirs = {endpoint.id for endpoint in directory.endpoints("globex")}
    assert len(mine) == len(theirs) == 2
    assert not mine & theirs
    first, second = directory.partners()
    assert first.log != second.log


def test_only_what_changed_since_is_loaded_again(session: Session, apply: Apply) -> None:
    apply()
    apply(submission_text("globex"))
    before = store.load(session)
    assert store.load(session, before).account("acme") is before.account("acme")
    set_partner_state(session, "acme", "active")
    after = store.load(session, before)
    assert after.revision == before.revision + 1
    assert after.account("globex") is before.account("globex")
    assert [one.state for one in after.partners()] == ["active", "provisioning"]
    hook = after.endpoints("globex")[0]
    set_endpoint_state(session, "globex", hook.id, "disabled")
    last = store.load(session, after)
    assert last.account("acme") is after.account("acme")
    assert last.endpoints("globex")[0].state == "disabled"
    assert last.contract("globex") == after.contract("globex")
    assert last.lines("globex") == after.lines("globex")
    assert same(last, store.load(session))


def test_keys_that_are_made_and_revoked_are_loaded_again(session: Session, apply: Apply) -> None:
    apply()
    none = store.load(session)
    kinds = [WantedCredential("acme", "partner"), WantedCredential(None, "operator")]
    made = [create_credential(session, kind, means=MINT, now=NOW).credential for kind in kinds]
    two = store.load(session, none)
    assert [two.credential("api_key", one.match) for one in made] == made
    assert two.account("acme") is none.account("acme")
    revoke_credential(session, made[0].id, owner=None, now=NOW + 1)
    one = store.load(session, two)
    assert [each and each.revoked_at for each in (one.credential("api_key", x.match) for x in made)] == [
        NOW + 1,
        None,
    ]
    assert same(one, store.load(session))


def test_a_directory_of_a_later_time_is_no_ground_to_build_on(session: Session, apply: Apply) -> None:
    """A database may be a restored one: its numbers begin again."""
    apply()
    later = Directory(store.revision(session) + 1, [], [])
    assert same(store.load(session, later), store.load(session))


def same(one: Directory, other: Directory) -> bool:
    slugs = [partner.slug for partner in one.partners()]
    return (
        one.revision == other.revision
        and one.partners() == other.partners()
        and all(one.account(slug) == other.account(slug) for slug in slugs)
    )


def submission_text(slug: str) -> str:
    return (
        submission(FULL)
        .file.text.replace("partner: acme", f"partner: {slug}")
        .replace("to: globex", "to: acme")
    )


def test_a_submission_needs_its_files(session: Session, means: Means) -> None:
    made = submission(FULL)
    bare = Submission(read_contract(FULL, name="acme.yaml"), made.lines)
    with pytest.raises(ValueError, match="not attached"):
        apply_contract(session, bare, by="", now=1, means=means)


@pytest.mark.parametrize("number", [0, 2, 2**31, 2**64])
def test_a_revision_that_was_never_applied_is_not_there(session: Session, apply: Apply, number: int) -> None:
    apply()
    assert store.contract_file(session, "acme", 1) is not None
    assert store.contract_file(session, "acme", number) is None


def test_what_an_endpoint_demands_comes_with_it_until_it_is_gone(session: Session, apply: Apply) -> None:
    apply()
    before = store.load(session)
    one, other = before.endpoints("acme")
    assert (one.access, other.access) == (None, None)
    for sealed in (b"sealed", b"sealed anew"):
        store.set_access(session, one, sealed, now=1)
    store.bump_partner(session, "acme")
    assert [each.access for each in store.load(session, before).endpoints("acme")] == [b"sealed anew", None]
    assert [each.access for each in store.endpoints(session, "acme")] == [b"sealed anew", None]
    set_endpoint_state(session, "acme", one.id, "paused")
    assert store.endpoints(session, "acme")[0].access == b"sealed anew"
    assert "sealed" not in repr(store.endpoints(session, "acme")[0])
    store.delete_endpoints(session, [one.id])
    store.insert_endpoints(session, [one], now=2)
    assert store.endpoints(session, "acme")[0].access is None
    store.set_access(session, other, b"x", now=1)
    store.set_access(session, other, None, now=2)
    assert store.endpoints(session, "acme")[1].access is None


@pytest.mark.parametrize("slug", ["acme", "a" * 63])
def test_what_an_endpoint_of_the_house_demands_comes_with_it(
    session: Session, apply: Apply, slug: str
) -> None:
    apply(CONTRACT.replace("partner: acme", f"partner: {slug}"))
    ours = replace(store.endpoints(session, slug)[0], id="ep_ours", side="house", declared=False)
    store.insert_endpoints(session, [ours], now=1)
    store.set_access(session, ours, b"sealed", now=1)
    assert [each.access for each in store.endpoints(session, ours.owner)] == [b"sealed"]
    assert [each.access for each in store.load(session).house_endpoints(slug)] == [b"sealed"]
    assert [each.access for each in store.load(session).endpoints(slug)] == [None, None]
