"""Pages of endpoints and credentials: whose, in which state, and in one order whoever's they are."""

from dataclasses import replace

import pytest
from sqlmodel import Session

from partners import pages, store
from partners.credential import Credential
from partners.endpoint import ALL, Endpoint, house_of
from partners.pages import CredentialsWanted, EndpointsWanted
from tests.unit.partners.conftest import CONTRACT, Apply

NOW = 1_000


@pytest.fixture
def made(session: Session, apply: Apply) -> list[Endpoint]:
    """Two declared endpoints of each of two partners, and three of the house with one of them."""
    for slug in ("acme", "globex"):
        apply(CONTRACT.replace("partner: acme", f"partner: {slug}"))
    (first, _) = store.endpoints(session, "acme")
    ours = [replace(first, id=f"ep_ours{n}", name=f"ours{n}", side="house", declared=False) for n in range(3)]
    store.insert_endpoints(session, ours, now=1)
    store.set_access(session, ours[1], b"sealed", now=1)
    return [*store.endpoints(session, "acme"), *store.endpoints(session, "globex"), *ours]


def ids(session: Session, wanted: EndpointsWanted, limit: int = 100) -> list[str]:
    """All pages of so many."""
    found: list[str] = []
    while some := pages.endpoints(session, wanted, after=found[-1] if found else "", limit=limit):
        assert len(some) <= limit
        found += [one.id for one in some]
    return found


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_endpoints_are_of_one_owner_or_of_all_on_a_side(
    session: Session, made: list[Endpoint], limit: int
) -> None:
    theirs = sorted(one.id for one in made if one.side == "partner")
    assert ids(session, EndpointsWanted(ALL), limit) == theirs
    assert ids(session, EndpointsWanted(house_of(ALL)), limit) == ["ep_ours0", "ep_ours1", "ep_ours2"]
    assert ids(session, EndpointsWanted(house_of("globex")), limit) == []
    among = {theirs[0], theirs[3], "ep_ours2", "ep_none"}
    assert ids(session, EndpointsWanted(ALL, among=among), limit) == [theirs[0], theirs[3]]
    assert ids(session, EndpointsWanted(ALL, among=()), limit) == []


def test_each_comes_as_its_owner_s_list_has_it(session: Session, made: list[Endpoint]) -> None:
    for owner in ("acme", house_of("acme")):
        page = pages.endpoints(session, EndpointsWanted(owner), after="", limit=9)
        assert tuple(page) == store.endpoints(session, owner)
        assert [one.access for one in page] == [one.access for one in store.endpoints(session, owner)]
    assert made[5].id in {
        one.id
        for one in pages.endpoints(session, EndpointsWanted("house/-"), after="", limit=9)
        if one.access
    }


def test_more_ids_than_one_statement_takes_are_looked_for(session: Session, made: list[Endpoint]) -> None:
    among = {f"ep_{number:06}" for number in range(1_200)} | {one.id for one in made}
    assert ids(session, EndpointsWanted(ALL, among=among), 3) == sorted(one.id for one in made[:4])


def test_one_that_is_paused_until_it_is_verified_is_unverified(
    session: Session, made: list[Endpoint]
) -> None:
    store.update_endpoint(session, replace(made[0], state="unverified", is_paused=True))
    store.update_endpoint(session, replace(made[1], state="disabled"))
    assert ids(session, EndpointsWanted(ALL, frozenset({"unverified"}))) == [made[0].id]
    assert ids(session, EndpointsWanted("acme", frozenset({"unverified", "disabled"}))) == sorted(
        one.id for one in made[:2]
    )
    assert ids(session, EndpointsWanted(ALL, frozenset({"paused"}))) == []


def credential(number: int, partner: str | None, not_after: int) -> Credential:
    return Credential(
        id=f"crd_{number}",
        partner=partner,
        role="operator" if partner is None else "partner",
        method="api_key",
        match=str(number),
        secret=b"digest",
        scopes=frozenset({"audit"}),
        not_before=0,
        not_after=not_after,
        revoked_at=None,
        name="",
    )


def test_credentials_are_found_by_whose_they_are_their_state_and_their_end(session: Session) -> None:
    for number, (partner, not_after) in enumerate(
        [("acme", NOW), ("acme", NOW + 1), ("globex", NOW + 1), ("globex", NOW + 9), (None, NOW + 1)]
    ):
        store.insert_credential(session, credential(number, partner, not_after), now=1)
    store.mark_revoked(session, "crd_2", now=1, reason="")

    def found(owner: str | None, *states: str, before: int | None = None) -> str:
        wanted = CredentialsWanted(owner, NOW, frozenset(states), before)
        return "".join(one.id[-1] for one in pages.credentials(session, wanted, after="", limit=9))

    assert (found(ALL), found("acme"), found(None), found("other")) == ("0123", "01", "4", "")
    assert (found(ALL, "active"), found(ALL, "expired"), found(ALL, "revoked")) == ("13", "0", "2")
    assert found(ALL, "expired", "revoked") == "02"
    assert (found(ALL, before=NOW + 2), found(ALL, "active", before=NOW + 2)) == ("012", "1")
    assert found(None, "active", before=NOW + 1) == ""
    wanted = CredentialsWanted(ALL, NOW)
    assert [one.id for one in pages.credentials(session, wanted, after="crd_1", limit=1)] == ["crd_2"]
