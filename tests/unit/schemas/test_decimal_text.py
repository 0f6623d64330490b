from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.decimal_text import encode_unscaled, format_decimal, parse_decimal
from schemas.errors import MisfitError


@given(st.integers(-(10**38) + 1, 10**38 - 1), st.integers(0, 38))
def test_text_and_unscaled_integer_are_inverse(unscaled: int, scale: int) -> None:
    text = format_decimal(unscaled, scale)
    assert Decimal(text) == Decimal(f"{unscaled}E-{scale}")
    assert parse_decimal(text, 38, scale) == unscaled
    assert parse_decimal(Decimal(text), 38, scale) == unscaled


@given(st.integers(-(2**200), 2**200))
def test_unscaled_bytes_are_the_shortest_that_keep_the_sign(unscaled: int) -> None:
    raw = encode_unscaled(unscaled)
    assert int.from_bytes(raw, "big", signed=True) == unscaled
    if len(raw) > 1:
        with pytest.raises(OverflowError):
            unscaled.to_bytes(len(raw) - 1, "big", signed=True)


@pytest.mark.parametrize(
    "text", ["1e-3", "1e-1002500", "1e-999999999999999999", "1.001", "-100000000e-11", "1e7", "1e999999"]
)
def test_no_digit_is_dropped_however_small_or_large(text: str) -> None:
    with pytest.raises(MisfitError) as caught:
        parse_decimal(Decimal(text), 9, 2)
    assert caught.value.fault_code == "precision"


@pytest.mark.parametrize(
    ("text", "unscaled"),
    [("0e999999999", 0), ("-0.000", 0), ("1.2500e1", 1250), ("125000e-4", 1250), ("-1e2", -10_000)],
)
def test_an_exponent_that_moves_the_point_only_is_exact(text: str, unscaled: int) -> None:
    assert parse_decimal(Decimal(text), 9, 2) == unscaled


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_number_is_taken_exactly_or_refused(value: Decimal) -> None:
    try:
        unscaled = parse_decimal(value, 12, 4)
    except MisfitError as error:
        assert error.fault_code == "precision"  # noqa: PT017 - either outcome is right, by value
        shifted = value.scaleb(4)
        assert abs(shifted) >= 10**12 or shifted != shifted.to_integral_value()
        return
    assert Decimal(f"{unscaled}E-4") == value
