"""Changes of endpoints, on each database."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import Session

from partners import endpoint_changes as changes
from partners import store
from partners.endpoint import Endpoint, EndpointState, Skip
from partners.endpoint_changes import EndpointEdit
from partners.endpoint_form import read_body
from partners.errors import EndpointChangedError, LimitReachedError, NotFoundError, StateConflictError
from partners.onboarding import Means, disable_endpoint
from tests.unit.partners.conftest import CONTRACT, Apply

HOUR = 3_600_000
URL = "https://hooks.acme.example/mine"


@pytest.fixture
def made(session: Session, apply: Apply, means: Means) -> Callable[..., EndpointEdit]:
    apply()

    def make(**members: Any) -> EndpointEdit:
        ground = changes.ground_of(session, "acme")
        endpoint_id = changes.new_endpoint_id(means)
        wanted = read_body(
            {"url": URL, **members},
            bounds=ground.bounds(is_exempt=False),
            name=changes.usual_name(endpoint_id),
        )
        return changes.create(session, ground, wanted, endpoint_id, now=1_000, means=means)

    return make


def found(session: Session, endpoint: Endpoint) -> Endpoint:
    return changes.find(session, "acme", endpoint.id)


def test_what_is_made_is_found_as_it_was_asked_for(
    session: Session, made: Callable[..., EndpointEdit]
) -> None:
    edit = made(
        filter={"pointer": "/n", "in": [1, "x"]}, format="binary", headers={"X-A": "b"}, rate=5, order="key"
    )
    there = found(session, edit.endpoint)
    assert there == edit.endpoint
    assert (there.format, there.headers, there.declared) == ("binary", (("X-A", "b"),), False)
    assert edit.secret is not None
    assert len(base64.b64decode(edit.secret.removeprefix("whsec_"))) == 32
    assert changes.etag_of(there) == changes.etag_of(edit.endpoint)
    with pytest.raises(NotFoundError):
        changes.find(session, "globex", edit.endpoint.id)


def test_names_and_numbers_are_kept_to(
    session: Session, made: Callable[..., EndpointEdit], apply: Apply
) -> None:
    made(name="mine")
    with pytest.raises(StateConflictError, match="another endpoint"):
        made(name="mine")
    with pytest.raises(StateConflictError, match="another endpoint"):
        made(name="orders")
    apply(CONTRACT + "limits: {endpoints: 3}\n", now=2_000)
    with pytest.raises(LimitReachedError):
        made()
    clash = CONTRACT.replace("{name: all,", "{name: mine,")
    with pytest.raises(StateConflictError, match="declare it by another name"):
        apply(clash, now=3_000, allow_destructive=True)
    assert len(store.endpoints(session, "acme")) == 3


def test_a_secret_signs_until_its_overlap_is_over(
    session: Session, made: Callable[..., EndpointEdit], means: Means
) -> None:
    first = made().endpoint
    second = changes.add_secret(session, first, None, HOUR, now=2_000, means=means)
    there = found(session, first)
    assert there.keys_at(2_000 + HOUR - 1) == there.keys
    assert there.keys_at(2_000 + HOUR) == there.keys[:1]
    third = changes.add_secret(session, there, b"t" * 32, HOUR * 2, now=3_000, means=means)
    assert third.secret is None
    # An end that is nearer stays.
    assert [one.until for one in third.endpoint.secrets] == [None, 3_000 + HOUR * 2, 2_000 + HOUR]
    late = changes.add_secret(session, third.endpoint, None, 0, now=2_000 + HOUR, means=means)
    assert [one.until for one in late.endpoint.secrets] == [None]
    with pytest.raises(NotFoundError):
        changes.remove_secret(session, late.endpoint, second.secret_id or "", now=2_000 + HOUR)
    with pytest.raises(StateConflictError):
        changes.remove_secret(session, late.endpoint, late.secret_id or "", now=2_000 + HOUR)
    for _ in range(3):
        late = changes.add_secret(session, late.endpoint, None, HOUR, now=9_000, means=means)
    with pytest.raises(StateConflictError, match="4 secrets"):
        changes.add_secret(session, late.endpoint, None, HOUR, now=9_000, means=means)
    alone = changes.add_secret(session, late.endpoint, None, 0, now=9_000, means=means)
    assert [one.id for one in alone.endpoint.secrets] == [alone.secret_id], "the others go at once"


def test_states_follow_each_other_and_what_changes_nothing_counts_nothing(
    session: Session, made: Callable[..., EndpointEdit]
) -> None:
    one = made().endpoint
    assert one.state == "active"
    with pytest.raises(StateConflictError):
        changes.resume(session, one, ())
    paused = changes.pause(session, one).endpoint
    before = store.revision(session)
    assert changes.pause(session, paused).action == "unchanged"
    assert store.revision(session) == before
    first = (Skip("t", 0, 5, "partner", None), Skip("t", 1, 7, "partner", None))
    resumed = changes.resume(session, paused, first).endpoint
    again = changes.resume(session, changes.pause(session, resumed).endpoint, first[:1]).endpoint
    assert again.skips == first
    assert found(session, one).skip_of("t", 1, 6) == first[1]
    assert found(session, one).skip_of("u", 1, 6) is None
    less = Skip("t", 1, 4, "partner", None, at=9)
    fewer = changes.resume(session, changes.pause(session, again).endpoint, [less]).endpoint
    assert (fewer.skip_of("t", 1, 6), fewer.skip_of("t", 1, 3)) == (first[1], first[1])
    more = Skip("t", 1, 8, "partner", None, at=10)
    again = changes.resume(session, changes.pause(session, fewer).endpoint, [more]).endpoint
    assert again.skips == (first[0], more)
    assert again.skip_of("t", 1, 3, wanted_at=10) == more
    assert again.skip_of("t", 1, 3, wanted_at=11) is None
    for number in range(20):
        last = Skip("t", 1, 90 - number, "partner", None, at=20 + number)
        again = changes.resume(session, changes.pause(session, again).endpoint, [last]).endpoint
    assert (len(again.skips), again.skips[-1]) == (1 + changes.MOST_SKIPS, last)
    with pytest.raises(EndpointChangedError):
        changes.verify_unchanged(again, changes.etag_of(one))
    with pytest.raises(StateConflictError, match="was changed meanwhile"):
        changes.mark_verified(session, again, "https://hooks.acme.example/other")


def test_one_that_was_paused_when_it_got_another_url_is_paused_once_that_is_verified(
    session: Session, made: Callable[..., EndpointEdit]
) -> None:
    paused = changes.pause(session, made().endpoint).endpoint
    ground = changes.ground_of(session, "acme")
    rules = replace(ground.contract.endpoints, verification="required")
    ground = replace(ground, contract=replace(ground.contract, endpoints=rules))
    for name in ("other", "third"):
        members = changes.merged(paused, {"url": f"{URL}/{name}"})
        wanted = read_body(members, bounds=ground.bounds(is_exempt=False), name=paused.name)
        paused = changes.change(session, ground, paused, wanted).endpoint
        assert (paused.state, found(session, paused)) == ("unverified", paused)
    with pytest.raises(StateConflictError, match="becomes paused, and can be resumed, once it is verified"):
        changes.resume(session, paused, ())
    verified = changes.mark_verified(session, paused, paused.url)
    assert (verified.endpoint.state, verified.action) == ("paused", "verified")
    assert found(session, paused) == verified.endpoint
    resumed = changes.resume(session, verified.endpoint, ()).endpoint
    wanted = replace(wanted, url=f"{URL}/fourth")
    again = changes.change(session, ground, resumed, wanted).endpoint
    assert changes.mark_verified(session, again, again.url).endpoint.state == "active"


def test_one_that_was_disabled_when_it_got_another_url_waits_for_its_owners_choice(
    session: Session, made: Callable[..., EndpointEdit]
) -> None:
    endpoint = made().endpoint
    disable_endpoint(session, "acme", endpoint.id, URL)
    disabled = found(session, endpoint)
    ground = changes.ground_of(session, "acme")
    rules = replace(ground.contract.endpoints, verification="required")
    ground = replace(ground, contract=replace(ground.contract, endpoints=rules))
    members = changes.merged(disabled, {"url": f"{URL}/other"})
    wanted = read_body(members, bounds=ground.bounds(is_exempt=False), name=disabled.name)
    changed = changes.change(session, ground, disabled, wanted).endpoint
    assert changed.state == "unverified"
    verified = changes.mark_verified(session, changed, changed.url).endpoint
    assert (verified.state, found(session, endpoint)) == ("paused", verified)
    assert changes.resume(session, verified, ()).endpoint.state == "active"


def test_one_of_a_contract_file_waits_for_it_too(session: Session, apply: Apply) -> None:
    strict = CONTRACT.replace("verification: none", "verification: required")
    apply(CONTRACT)
    one = store.endpoints(session, "acme")[0]
    disable_endpoint(session, "acme", one.id, one.url)
    apply(strict.replace(one.url, one.url + "/other"), now=2_000)
    moved = found(session, one)
    assert moved.state == "unverified"
    assert changes.mark_verified(session, moved, moved.url).endpoint.state == "paused"


def test_so_it_is_with_one_that_a_contract_file_declares(session: Session, apply: Apply) -> None:
    strict = CONTRACT.replace("verification: none", "verification: required")
    apply(CONTRACT)
    one = store.endpoints(session, "acme")[0]
    changes.pause(session, one)
    for text, now, state in ((strict, 2_000, "unverified"), (CONTRACT, 3_000, "paused")):
        apply(text.replace(one.url, one.url + "/other"), now=now)
        assert found(session, one).state == state


@pytest.mark.parametrize(
    ("state", "url", "after"),
    [
        ("active", URL, "disabled"),
        ("paused", URL, "disabled"),
        ("unverified", URL, "unverified"),
        ("unverified", "https://other.acme.example/in", "unverified"),
        ("active", "https://other.acme.example/in", "active"),
    ],
)
def test_what_failed_at_one_url_neither_disables_another_nor_spares_its_proof(
    session: Session, made: Callable[..., EndpointEdit], state: EndpointState, url: str, after: EndpointState
) -> None:
    endpoint = replace(made().endpoint, state=state, url=url)
    store.update_endpoint(session, endpoint)
    disable_endpoint(session, "acme", endpoint.id, URL)
    assert found(session, endpoint).state == after
    with pytest.raises(NotFoundError):
        disable_endpoint(session, "globex", endpoint.id, URL)
