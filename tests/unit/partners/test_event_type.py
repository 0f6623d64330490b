import pytest

from partners.event_type import MAX_TYPE, is_reserved, is_type


@pytest.mark.parametrize(
    "name", ["a" * (MAX_TYPE + 1), "", "Order", "order..placed", "order.placed\n", "order.*", ".order"]
)
def test_what_is_not_words_with_dots_is_no_type(name: str) -> None:
    assert not is_type(name)


@pytest.mark.parametrize("name", ["order.placed", "a", "a" * MAX_TYPE, "gateway.quota.near", "v2.a_b"])
def test_a_type_is_words_with_dots(name: str) -> None:
    assert is_type(name)


def test_names_of_the_gateways_own_are_reserved() -> None:
    assert [is_reserved(one) for one in ("gateway", "gateway.x", "gateways.x", "order")] == [
        True,
        True,
        False,
        False,
    ]
