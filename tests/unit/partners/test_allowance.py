"""What credentials may send, where that is less than their partner may."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import Session

from partners import store
from partners.allowance import MAX_NAMES, MAX_RATE, is_slower, is_within, shared_types, shown_types
from partners.credential import Credential, Scope
from partners.errors import CredentialTermsError
from partners.event_type import MAX_TYPES
from partners.issuing import (
    CredentialChange,
    Narrowing,
    WantedCredential,
    change_credential,
    create_credential,
)
from partners.minting import Means
from tests.unit.partners.conftest import Apply

NOW = 1_000_000
ORDERS = frozenset({"order.placed", "order.changed"})
Create = Callable[..., Credential]
Change = Callable[..., CredentialChange]


@pytest.fixture
def create(session: Session, entropy: Callable[[int], bytes], apply: Apply) -> Create:
    apply()
    means = Means(b"p" * 32, entropy, lambda secret, _: secret)

    def made(
        types: frozenset[str] | None, rate: int | None = None, scopes: frozenset[Scope] | None = None
    ) -> Credential:
        wanted = WantedCredential("acme", "partner", "", scopes, send_types=types, events_per_second=rate)
        return create_credential(session, wanted, means=means, now=NOW).credential

    return made


@pytest.fixture
def change(session: Session) -> Change:
    def changed(found: Credential, **wanted: Any) -> CredentialChange:
        return change_credential(session, found.id, Narrowing(**wanted), owner="acme", now=NOW)

    return changed


def test_what_a_credential_may_send_is_kept_and_loaded(session: Session, create: Create) -> None:
    bounded, free = create(ORDERS, 50), create(None)
    known = {one.id: one for one in store.load(session).all_credentials()}
    assert (known[bounded.id].send_types, known[bounded.id].events_per_second) == (ORDERS, 50)
    assert (known[free.id].send_types, known[free.id].events_per_second) == (None, None)


@pytest.mark.parametrize(
    ("types", "rate", "told"),
    [
        (frozenset(), None, "no type in send_types"),
        (frozenset({"Order.Placed"}), None, "'Order.Placed' is no event type"),
        (frozenset({"order.*"}), None, "is no event type"),
        (frozenset({"o" * 129}), None, "is no event type"),
        (frozenset({"gateway.quota.near"}), None, "of the gateway's own"),
        (frozenset(f"a{number}" for number in range(MAX_TYPES + 1)), None, f"at most {MAX_TYPES}"),
        (frozenset(f"{number:0128}" for number in range(100)), None, f"at most {MAX_NAMES}"),
        (None, 0, "from 1 to"),
        (None, MAX_RATE + 1, "from 1 to"),
    ],
)
def test_what_is_no_list_of_types_and_no_rate_is_refused(
    create: Create, change: Change, types: frozenset[str] | None, rate: int | None, told: str
) -> None:
    with pytest.raises(CredentialTermsError, match=told):
        create(types, rate)
    found = create(None)
    with pytest.raises(CredentialTermsError, match=told):
        change(found, send_types=types, events_per_second=rate)


def test_a_type_that_no_contract_has_yet_may_be_in_the_list(create: Create) -> None:
    assert create(frozenset({"invoice.issued"})).send_types == frozenset({"invoice.issued"})
    assert len(create(frozenset(f"a{number}" for number in range(MAX_TYPES))).send_types or ()) == MAX_TYPES


@pytest.mark.parametrize(("types", "rate"), [(ORDERS, None), (None, 5)])
def test_of_what_sends_nothing_no_list_and_no_rate_is_taken(
    create: Create, types: frozenset[str] | None, rate: int | None
) -> None:
    with pytest.raises(CredentialTermsError, match="needs the scope send"):
        create(types, rate, scopes=frozenset({"audit"}))


def test_types_are_taken_away_and_never_given(session: Session, create: Create, change: Change) -> None:
    free = create(None)
    listed = change(free, send_types=ORDERS)
    assert (listed.action, listed.credential.send_types) == ("changed", ORDERS)
    fewer = change(free, send_types=frozenset({"order.placed"}))
    assert fewer.credential.send_types == frozenset({"order.placed"})
    assert change(free, name="same").credential.send_types
    for wider in (ORDERS, frozenset({"invoice.issued"})):
        with pytest.raises(CredentialTermsError, match=r"only be taken .* it has order\.placed"):
            change(free, send_types=wider)
    assert store.load(session).all_credentials()[0].send_types == frozenset({"order.placed"})


def test_a_rate_is_set_and_lowered_and_never_raised(session: Session, create: Create, change: Change) -> None:
    free = create(None)
    assert change(free, events_per_second=50).action == "changed"
    assert change(free, events_per_second=50).action == "unchanged"
    assert change(free, events_per_second=5).action == "changed"
    with pytest.raises(CredentialTermsError, match="only ever lowered; it is 5"):
        change(free, events_per_second=6)
    assert store.load(session).all_credentials()[0].events_per_second == 5


def test_what_two_allow_together() -> None:
    placed = frozenset({"order.placed"})
    assert shared_types(None, None) is None
    assert shared_types(ORDERS, None) == shared_types(None, ORDERS) == ORDERS
    assert shared_types(ORDERS, placed | {"invoice.issued"}) == placed
    assert [is_within(one, ORDERS) for one in (placed, ORDERS, None)] == [True, True, False]
    assert [is_within(one, None) for one in (placed, None)] == [True, True]
    assert [is_slower(one, 5) for one in (4, 5, 6, None)] == [True, True, False, False]
    assert is_slower(None, None)


def test_a_long_list_is_told_by_its_first() -> None:
    assert shown_types(ORDERS) == "order.changed, order.placed"
    assert shown_types(()) == "none"
    assert shown_types(f"a{number:02}" for number in range(23)).endswith(", a19 and 3 more")


def test_an_allowance_is_a_part_of_the_value(create: Create) -> None:
    found = create(ORDERS, 5)
    assert replace(found, send_types=None) != found
