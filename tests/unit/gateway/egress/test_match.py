from gateway.egress.match import group_of, match
from tests.unit.gateway.egress.stage import endpoint


def test_an_endpoint_without_types_listens_to_all() -> None:
    every, some, other = (
        endpoint("a"),
        endpoint("b", types=frozenset({"x", "y"})),
        endpoint("c", types=frozenset({"z"})),
    )
    assert match([every, some, other], "x", dict) == (every, some)
    assert match([other], "x", dict) == ()


def test_what_is_the_gateways_own_goes_to_those_that_ask_for_it() -> None:
    every, named, own, one = (
        endpoint("a"),
        endpoint("b", types=frozenset({"x"})),
        endpoint("c", types=frozenset({"gateway.*"})),
        endpoint("d", types=frozenset({"x", "gateway.contract.changed"})),
    )
    there = [every, named, own, one]
    assert match(there, "gateway.contract.changed", dict) == (own, one)
    assert match(there, "gateway.later", dict) == (own,)
    assert match(there, "x", dict) == (every, named, one)


def test_a_paused_endpoint_is_owed_the_event() -> None:
    paused = endpoint(state="paused")
    assert match([paused], "x", dict) == (paused,)


def test_the_group_follows_the_order_asked_for() -> None:
    assert group_of(endpoint(), b"k") is None
    assert group_of(endpoint(order="endpoint"), b"k") == group_of(endpoint(order="endpoint"), None) == ""
    assert group_of(endpoint(order="key"), b"\xff") == "ff"
    assert group_of(endpoint(order="key"), None) is None
