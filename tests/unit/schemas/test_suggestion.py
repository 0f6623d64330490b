import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.suggestion import suggest

_KNOWN = ("order_id", "currency", "lines", "quantity", "sku", "id", "ship_to")
_WORDS = st.text("abc_", max_size=8)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("curency", "currency"),
        ("currencyy", "currency"),
        ("curremcy", "currency"),
        ("cururency", "currency"),
        ("ucrrency", "currency"),
        ("orderId", "order_id"),
        ("ORDER-ID", "order_id"),
        ("qauntity", "quantity"),
        ("line", "lines"),
        ("Lines", "lines"),
        ("skus", "sku"),
        ("ID", "id"),
        ("shipto", "ship_to"),
    ],
)
def test_another_spelling_or_a_slip_is_recognised(name: str, meant: str) -> None:
    assert suggest(name, _KNOWN) == meant


@pytest.mark.parametrize("name", ["", "x", "ab", "colour", "sum", "quiet", "currency" * 9, "\u0000" * 64])
def test_a_name_that_is_near_none_gets_no_guess(name: str) -> None:
    assert suggest(name, _KNOWN) is None


def test_the_nearest_of_several_is_meant_and_the_first_of_equals() -> None:
    assert suggest("amounts", ("amounted", "amount", "amounty")) == "amount"
    assert suggest("fax", ("tax", "max")) == "tax"


@given(_WORDS, st.lists(_WORDS, max_size=4))
def test_a_guess_is_one_of_the_known_names_and_an_exact_one_is_found(name: str, known: list[str]) -> None:
    assert suggest(name, known) in {None, *known}
    assert suggest(name, [*known, name]) in {one for one in (*known, name) if _bare(one) == _bare(name)}


def _bare(name: str) -> str:
    return name.replace("_", "")
