from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.http.parameters import (
    choice,
    coming,
    flag,
    instant,
    limit,
    parse_instant,
    read_query,
    wait_seconds,
)

NOW = 1_800_000_000_000


def test_offered_parameters_are_read() -> None:
    assert read_query(b"limit=5&id=a%20b", frozenset({"limit", "id"})) == {"limit": "5", "id": "a b"}


@pytest.mark.parametrize("raw", [b"other=1", b"limit=1&limit=2", b"limit=%ff", b"\xff=1", b"a=&" * 60])
def test_unknown_repeated_and_unreadable_parameters_are_refused(raw: bytes) -> None:
    with pytest.raises(CallerError) as caught:
        read_query(raw, frozenset({"limit"}))
    assert caught.value.code == "parameter_invalid"


@given(st.binary(max_size=200))
def test_any_query_string_is_read_or_one_error(raw: bytes) -> None:
    with suppress(CallerError):
        assert read_query(raw, frozenset({"a"})).keys() <= {"a"}


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("24h", NOW - 86_400_000),
        ("2026-11-22T13:00:00Z", 1_795_352_400_000),
        ("2026-11-22", 1_795_305_600_000),
        ("2026-11-22T14:00:00+01:00", 1_795_352_400_000),
        ("2026-11-22T14:00:00 01:00", 1_795_352_400_000),
        ("2026-11-22t13:00:00.500z", 1_795_352_400_500),
    ],
)
def test_times_are_rfc_3339_or_a_span_before_now(text: str, at: int) -> None:
    assert parse_instant(text, "since", NOW) == at


@pytest.mark.parametrize(
    "text", ["", "today", "2026-11-31", "2026-11-2", "2026-13-01T00:00:00Z", "-1h", "1w"]
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(CallerError):
        instant({"since": text}, "since", NOW)


def wanted_choice(query: dict[str, str]) -> object:
    return choice(query, "direction", ("inbound",), None)


def wanted_flag(query: dict[str, str]) -> object:
    return flag(query, "dry_run")


@pytest.mark.parametrize(
    ("reader", "query"),
    [
        (limit, {"limit": "0"}),
        (limit, {"limit": "1001"}),
        (limit, {"limit": "-1"}),
        (limit, {"limit": "٣"}),
        (wait_seconds, {"wait": "31"}),
        (wanted_flag, {"dry_run": "yes"}),
        (wanted_choice, {"direction": "up"}),
    ],
)
def test_values_out_of_bounds_are_refused(
    reader: Callable[[dict[str, str]], object], query: dict[str, str]
) -> None:
    with pytest.raises(CallerError) as caught:
        reader(query)
    assert caught.value.code == "parameter_invalid"


def test_a_span_of_what_is_to_come_counts_from_now_on() -> None:
    assert coming({"before": "30d"}, "before", NOW) == NOW + 30 * 86_400_000
    assert coming({"before": "2026-11-22"}, "before", NOW) == 1_795_305_600_000
    assert coming({}, "before", NOW) is None
    with pytest.raises(CallerError, match="before"):
        coming({"before": "soon"}, "before", NOW)
