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
