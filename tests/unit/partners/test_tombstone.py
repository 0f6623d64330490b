from dataclasses import replace

from partners.filter import Check, Condition
from partners.tombstone import read_tombstone, write_tombstone
from tests.unit.gateway.egress.stage import endpoint

FILTER = Check("/n", (Condition("above", (5,), is_number=True),))


def test_what_an_endpoint_was_owed_is_known_when_it_is_gone() -> None:
    one = endpoint(types=frozenset({"a", "b"}), filter=FILTER)
    left = read_tombstone("ep_1", "acme", write_tombstone(one))
    assert (left.types, left.filter, left.state) == (one.types, FILTER, "disabled")
    assert not left.wants("a", lambda: {"n": 5})
    assert left.wants("a", lambda: {"n": 6})


def test_one_without_a_filter_is_written_as_it_always_was() -> None:
    one = endpoint(types=frozenset({"b", "a"}))
    assert write_tombstone(one) == "a b"
    assert read_tombstone("ep_1", "acme", "a b").types == one.types
    assert read_tombstone("ep_1", "acme", "").wants("anything", dict)
    assert write_tombstone(replace(one, types=frozenset(), filter=FILTER)).startswith("\n")


def test_one_of_the_house_is_known_as_such_from_whichever_topic_something_was_owed_to_it() -> None:
    for filter_ in (None, FILTER):
        one = endpoint(types=frozenset({"gateway.*"}), side="house", filter=filter_)
        left = read_tombstone("ep_1", "acme", write_tombstone(one))
        assert (left.owner, left.types, left.filter) == ("house/acme", one.types, filter_)
