from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import MisfitError
from schemas.temporal import format_date, format_timestamp, parse_date, parse_time, parse_timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.dates())
def test_dates_agree_with_the_standard_library(day: date) -> None:
    days = parse_date(day.isoformat())
    assert date(1970, 1, 1) + timedelta(days=days) == day
    assert format_date(days) == day.isoformat()


@given(st.datetimes(timezones=st.timezones().map(lambda _: UTC)))
def test_timestamps_agree_with_the_standard_library(moment: datetime) -> None:
    text = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    units = parse_timestamp(text, 6, zoned=True)
    assert _EPOCH + timedelta(microseconds=units) == moment
    assert format_timestamp(units, 6, zoned=True) == text


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)), st.integers(-23, 23), st.integers(0, 59))  # noqa: DTZ001 - hypothesis wants bounds without a zone
def test_offsets_move_to_utc(local: datetime, hours: int, minutes: int) -> None:
    sign = "-" if hours < 0 else "+"
    text = f"{local.isoformat(timespec='milliseconds')}{sign}{abs(hours):02}:{minutes:02}"
    assert parse_timestamp(text, 3, zoned=True) == parse_timestamp(
        datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds"),
        3,
        zoned=False,
    )


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_by_one_error(text: str) -> None:
    for read in (parse_date, lambda one: parse_time(one, 3), lambda one: parse_timestamp(one, 3, zoned=True)):
        with suppress(MisfitError):
            read(text)


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00.0000Z", "2026-01-01T00:00:00.000000000000+00:00"])
def test_digits_that_say_nothing_are_taken(text: str) -> None:
    assert parse_timestamp(text, 3, zoned=True) == parse_timestamp("2026-01-01T00:00:00Z", 3, zoned=True)


def test_times_before_the_epoch_keep_their_fraction() -> None:
    assert format_timestamp(-1, 3, zoned=True) == "1969-12-31T23:59:59.999Z"
