import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.duration import format_duration, parse_duration
from schemas.errors import MisfitError

_U32 = st.integers(0, 2**32 - 1)


@given(_U32, _U32, _U32)
def test_every_duration_is_printed_and_read_back(months: int, days: int, millis: int) -> None:
    raw = struct.pack("<III", months, days, millis)
    assert parse_duration(format_duration(raw)) == raw


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("P1M2DT3.004S", (1, 2, 3004)),
        ("P0D", (0, 0, 0)),
        ("P1Y", (12, 0, 0)),
        ("P1Y2M3W4DT5H6M7.890S", (14, 25, 18_367_890)),
        ("PT1H", (0, 0, 3_600_000)),
        ("PT90M", (0, 0, 5_400_000)),
        ("PT0.0010000S", (0, 0, 1)),
        ("PT0.5S", (0, 0, 500)),
        ("P4294967295M4294967295DT4294967.295S", (2**32 - 1,) * 3),
    ],
)
def test_parts_are_added_up_only_where_that_is_exact(text: str, parts: tuple[int, int, int]) -> None:
    assert struct.unpack("<III", parse_duration(text)) == parts


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "format"),
        ("P", "format"),
        ("PT", "format"),
        ("P1DT", "format"),
        ("P1", "format"),
        ("P-1D", "format"),
        ("-P1D", "format"),
        ("+P1D", "format"),
        ("p1d", "format"),
        ("P1.5D", "format"),
        ("P1,5D", "format"),
        ("PT.5S", "format"),
        ("PT1.S", "format"),
        ("P1D2M", "format"),
        ("P1H", "format"),
        ("P1D ", "format"),
        ("P1D\n", "format"),
        ("P\u0661D", "format"),
        ("P00000000001D", "format"),
        ("PT0.0001S", "precision"),
        ("P4294967296D", "range"),
        ("P357913942Y", "range"),
        ("PT4294967.296S", "range"),
        ("PT9999999999H", "range"),
    ],
)
def test_what_is_no_duration_or_does_not_fit_has_its_code(text: str, code: str) -> None:
    with pytest.raises(MisfitError) as caught:
        parse_duration(text)
    assert caught.value.fault_code == code


@given(st.text("P0123456789YMWDTHS.", max_size=20) | st.text(max_size=20))
def test_any_text_is_read_or_refused_by_one_error(text: str) -> None:
    with suppress(MisfitError):
        assert len(parse_duration(text)) == 12
