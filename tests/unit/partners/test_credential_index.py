"""Credentials by what requests show, and which of them leave."""

from dataclasses import replace
from time import perf_counter

import pytest

from partners.credential import Credential, Method
from partners.credential_index import LEAVING, TOLD_MS, CredentialIndex, is_left
from tests.unit.partners.test_credential import KEY

NOW = 10 * TOLD_MS


def one(number: int, method: Method = "api_key", **changed: object) -> Credential:
    made = replace(KEY, id=f"crd_{number}", method=method, match=f"m{number}", not_after=NOW + 1)
    return replace(made, **changed)  # type: ignore[arg-type]  # members of a credential


def ids(index: CredentialIndex) -> set[str]:
    return {each.id for each in index}


def test_what_is_shown_moves_to_the_one_that_takes_it() -> None:
    first = one(1, "mtls")
    before = CredentialIndex.of([first, one(2)])
    ended, second = replace(first, match="m1\ncrd_1"), one(3, "mtls", match="m1")
    later = before.after([second, ended])
    assert later.find("mtls", "m1") is second
    assert later.find("mtls", "m1\ncrd_1") is ended
    assert before.find("mtls", "m1") is first
    assert ids(later) == {"crd_1", "crd_2", "crd_3"}
    assert before.after([]) is before


@pytest.mark.parametrize("gone", [{"revoked_at": NOW - TOLD_MS - 1}, {"not_after": NOW - TOLD_MS - 1}])
@pytest.mark.parametrize("method", sorted(LEAVING))
def test_what_ended_long_ago_leaves_and_until_then_is_found(method: Method, gone: dict[str, int]) -> None:
    ended = one(1, method, **gone)
    lately = one(2, method, **{name: at + 1 for name, at in gone.items()})
    index = CredentialIndex.of([ended, lately, one(3, method)])
    assert ids(index.without_ended(NOW - TOLD_MS)) == {"crd_2", "crd_3"}
    assert index.without_ended(NOW - TOLD_MS).find(method, "m1") is None
    assert index.without_ended(NOW - TOLD_MS).find(method, "m2") is lately
    assert index.without_ended(NOW - TOLD_MS - 1) is index


@pytest.mark.parametrize("method", ["mtls", "jwt"])
def test_what_shows_something_of_its_owner_never_leaves(method: Method) -> None:
    assert not is_left(one(1, method, revoked_at=1, not_after=2), NOW)


def test_one_that_expired_and_was_revoked_later_ended_when_it_expired() -> None:
    assert is_left(one(1, not_after=5, revoked_at=NOW), 6)


def test_our_own_side_is_unknown_where_only_partners_are_taken() -> None:
    ours = one(1, "jwt", partner=None, match="https://ours\na")
    theirs = [one(2, "jwt", match="https://theirs\na"), one(3, "jwt", match="https://both\na")]
    both = one(4, "jwt", partner=None, match="https://both\nb")
    index = CredentialIndex.of([ours, *theirs]).after([both])
    partners = index.of_partners()
    assert ids(partners) == {"crd_2", "crd_3"}
    assert partners.find("jwt", ours.match) is None
    assert index.find("jwt", ours.match) is ours
    issuers = ("https://ours", "https://theirs", "https://both", "https://none")
    assert [index.is_issuer(each) for each in issuers] == [True, True, True, False]
    assert [partners.is_issuer(each) for each in issuers] == [False, True, True, False]


def test_one_change_costs_a_small_part_of_what_all_of_them_cost() -> None:
    many = [one(number) for number in range(50_000)]
    began = perf_counter()
    index = CredentialIndex.of(many)
    made = perf_counter() - began
    took = []
    for number in range(5):
        began = perf_counter()
        index.after([one(number, revoked_at=NOW)]).of_partners()
        took.append(perf_counter() - began)
    assert min(took) < made / 4
