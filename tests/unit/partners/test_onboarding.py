"""Applying contracts, and changing the states of partners and endpoints."""

import base64

import pytest
from sqlmodel import Session, select

from partners import store
from partners.endpoint import key_place
from partners.errors import DestructiveError, NotFoundError, PreconditionError, SlugError, StateConflictError
from partners.onboarding import (
    Means,
    Submission,
    apply_contract,
    plan_contract,
    set_endpoint_state,
    set_partner_state,
)
from partners.partner import Topics
from partners.rows import ContractRow
from tests.unit.partners.conftest import CONTRACT, Apply, submission

SHORT = CONTRACT[: CONTRACT.index("    - {name: all")]


def test_a_first_apply_makes_partner_contract_and_endpoints(session: Session, apply: Apply) -> None:
    change = apply()
    assert (change.is_new, change.is_unchanged, change.revision) == (True, False, 1)
    assert change.before_sha256 is None
    assert change.after_sha256 == submission(CONTRACT).file.sha256()
    directory = store.load(session)
    partner = directory.partner("acme")
    assert partner == change.partner
    assert partner is not None
    assert (partner.state, partner.name) == ("provisioning", "Acme")
    assert partner.topics == Topics("partners.acme.inbound", 0, "partners.acme.outbound", 0)
    assert len(partner.log) == 16
    assert "acme" not in partner.log
    assert directory.lines("acme") == submission(CONTRACT).lines
    contract = directory.contract("acme")
    assert contract is not None
    assert contract.revision == 1
    assert {endpoint.name: endpoint.state for endpoint in directory.endpoints("acme")} == {
        "orders": "active",
        "all": "active",
    }


def test_new_secrets_are_shown_once_and_stored_sealed_for_their_place(session: Session, apply: Apply) -> None:
    change = apply()
    assert [name for name, _ in change.secrets] == ["orders", "all"]
    endpoints = {endpoint.name: endpoint for endpoint in store.endpoints(session, "acme")}
    for name, text in change.secrets:
        assert text.startswith("whsec_")
        secret = base64.b64decode(text.removeprefix("whsec_"))
        assert len(secret) == 32
        assert endpoints[name].keys == (key_place(endpoints[name].id).encode() + b"|" + secret[::-1],)
        assert text not in repr(change)
    assert apply().secrets == ()


def test_the_same_contract_again_makes_no_revision(session: Session, apply: Apply) -> None:
    apply()
    before = store.revision(session)
    change = apply(now=2_000)
    assert (change.is_new, change.is_unchanged, change.revision, change.differences) == (False, True, 1, ())
    assert change.before_sha256 == change.after_sha256
    assert store.revision(session) == before


def test_the_same_file_with_other_schema_ids_makes_a_revision(session: Session, apply: Apply) -> None:
    apply()
    assert apply(schema_id=2).revision == 2
    line = next(one for one in store.load(session).lines("acme") if one.terms.event_type == "order.placed")
    assert line is not None
    assert line.schema_ids == (2,)


def test_every_revision_is_kept_with_who_and_when(session: Session, apply: Apply) -> None:
    apply()
    apply(CONTRACT.replace("name: Acme", "name: Acme GmbH"), now=2_000)
    rows = session.exec(select(ContractRow).order_by(ContractRow.revision)).all()  # type: ignore[arg-type]  # SQLModel types columns as their values
    assert [(row.revision, row.applied_at, row.applied_by) for row in rows] == [
        (1, 1_000, "crd_operator"),
        (2, 2_000, "crd_operator"),
    ]
    first = store.contract_file(session, "acme", 1)
    assert first is not None
    assert first[0].text == CONTRACT
    assert first[0].sha256() == rows[0].sha256
    partner = store.load(session).partner("acme")
    assert partner is not None
    assert partner.name == "Acme GmbH"


def test_a_changed_endpoint_keeps_its_id_and_its_keys(session: Session, apply: Apply) -> None:
    apply()
    before = {endpoint.name: endpoint for endpoint in store.endpoints(session, "acme")}
    change = apply(CONTRACT.replace("/in", "/in2").replace("rate: 5/s", "rate: 7/s"))
    after = {endpoint.name: endpoint for endpoint in store.endpoints(session, "acme")}
    assert change.secrets == ()
    assert (after["orders"].id, after["orders"].keys) == (before["orders"].id, before["orders"].keys)
    assert (after["orders"].url, after["orders"].per_second) == ("https://hooks.acme.example/in2", 7)
    assert after["orders"].types == frozenset({"order.accepted"})
    assert after["all"] == before["all"]


def test_where_verification_is_required_a_new_url_must_be_verified(session: Session, apply: Apply) -> None:
    text = CONTRACT.replace("verification: none", "verification: required")
    apply(text)
    endpoint = store.endpoints(session, "acme")[0]
    assert endpoint.state == "unverified"
    set_endpoint_state(session, "acme", endpoint.id, "active")
    apply(text.replace("name: Acme", "name: Acme 2"))
    assert store.endpoints(session, "acme")[0].state == "active"
    apply(text.replace("/in", "/in2").replace("/all", "/all2"))
    assert {endpoint.state for endpoint in store.endpoints(session, "acme")} == {"unverified"}
    apply(CONTRACT)
    assert {endpoint.state for endpoint in store.endpoints(session, "acme")} == {"active"}


def test_a_new_url_is_a_new_chance_for_an_endpoint_that_was_disabled(session: Session, apply: Apply) -> None:
    apply()
    endpoint = next(one for one in store.endpoints(session, "acme") if one.name == "orders")
    set_endpoint_state(session, "acme", endpoint.id, "disabled")
    apply(CONTRACT.replace("rate: 5/s", "rate: 7/s"))
    states = {one.name: one.state for one in store.endpoints(session, "acme")}
    assert states["orders"] == "disabled"
    apply(CONTRACT.replace("/in", "/in2"))
    states = {one.name: one.state for one in store.endpoints(session, "acme")}
    assert states["orders"] == "active"


def test_removal_needs_to_be_allowed(session: Session, apply: Apply) -> None:
    apply()
    number = store.revision(session)
    with pytest.raises(DestructiveError) as caught:
        apply(SHORT)
    assert caught.value.paths == ("/endpoint/all",)
    assert store.revision(session) == number
    assert len(store.endpoints(session, "acme")) == 2
    assert apply(SHORT, allow_destructive=True).revision == 2
    assert [endpoint.name for endpoint in store.endpoints(session, "acme")] == ["orders"]


@pytest.mark.parametrize(("expected", "actual"), [(0, 1), (2, 1)])
def test_an_apply_over_a_revision_not_seen_is_refused(apply: Apply, expected: int, actual: int) -> None:
    apply(expected=0)
    with pytest.raises(PreconditionError) as caught:
        apply(CONTRACT.replace("Acme", "A"), expected=expected)
    assert (caught.value.expected, caught.value.actual) == (expected, actual)
    assert apply(CONTRACT.replace("Acme", "A"), expected=1).revision == 2


def test_a_plan_says_what_apply_would_do_and_writes_nothing(session: Session, apply: Apply) -> None:
    assert plan_contract(session, submission(CONTRACT), now=1).is_new
    assert store.revision(session) == 0
    assert store.partner(session, "acme") is None
    apply()
    number = store.revision(session)
    planned = plan_contract(session, submission(SHORT), now=1)
    assert [one.path for one in planned.differences if one.is_destructive] == ["/endpoint/all"]
    assert (planned.revision, planned.secrets) == (2, ())
    assert store.revision(session) == number


def test_lines_that_are_not_the_contracts_are_our_own_mistake(session: Session, means: Means) -> None:
    made = submission(CONTRACT)
    wrong = Submission(made.file, made.lines[:1])
    with pytest.raises(ValueError, match="one line for each"):
        apply_contract(session, wrong, by="", now=1, means=means)


def test_the_prefix_goes_before_the_slug_in_topic_names(session: Session, means: Means) -> None:
    other = Means(means.entropy, means.seal, "test.")
    change = apply_contract(session, submission(CONTRACT), by="", now=1, means=other)
    assert change.partner is not None
    assert change.partner.topics.inbound == "test.acme.inbound"


def test_a_partner_moves_between_states_and_stays_closed(session: Session, apply: Apply) -> None:
    apply()
    assert set_partner_state(session, "acme", "active").before == "provisioning"
    assert set_partner_state(session, "acme", "suspended").partner.state == "suspended"
    number = store.revision(session)
    set_partner_state(session, "acme", "suspended")
    assert store.revision(session) == number
    set_partner_state(session, "acme", "closed")
    with pytest.raises(StateConflictError):
        set_partner_state(session, "acme", "active")
    with pytest.raises(StateConflictError):
        apply(CONTRACT)
    with pytest.raises(StateConflictError):
        apply(CONTRACT.replace("Acme", "Another"))
    with pytest.raises(NotFoundError):
        set_partner_state(session, "globex", "active")


def test_an_endpoint_is_found_only_under_its_own_partner(session: Session, apply: Apply) -> None:
    apply()
    apply(CONTRACT.replace("partner: acme", "partner: globex"))
    endpoint = store.endpoints(session, "acme")[0]
    assert set_endpoint_state(session, "acme", endpoint.id, "paused").endpoint.state == "paused"
    for partner in ("globex", "initech"):
        with pytest.raises(NotFoundError):
            set_endpoint_state(session, partner, endpoint.id, "active")
    number = store.revision(session)
    assert set_endpoint_state(session, "acme", endpoint.id, "paused").before == "paused"
    assert store.revision(session) == number


def test_a_slug_that_is_none_is_refused_as_a_topic_name_too(session: Session, means: Means) -> None:
    made = submission(CONTRACT)
    object.__setattr__(made.file.contract, "partner", "../acme")
    with pytest.raises(SlugError):
        apply_contract(session, made, by="", now=1, means=means)
