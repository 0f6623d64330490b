from collections.abc import Callable

import pytest

from schemas.avro_type import Logical, Primitive
from schemas.errors import MisfitError
from schemas.fast_clock import CLOCKS, Clock
from schemas.leaf import plain_leaf

_FIRST, _END = -62_135_596_800, 253_402_300_800
"""Seconds of the years 1 to 9999."""

_TEXTS = [
    *(
        "2026-11-22T13:05:00Z",
        "2026-11-22T13:05:00.123Z",
        "2026-11-22T13:05:00.1Z",
        "2026-11-22T13:05:00.123456Z",
    ),
    *("2026-11-22T13:05:00+02:00", "2026-11-22T13:05:00.123-11:30", "2026-11-22T13:05:00-00:00"),
    *(
        "2026-11-22t13:05:00z",
        "2026-11-22T13:05:00.1230Z",
        "2024-02-29T23:59:59.999Z",
        "1969-12-31T23:59:59.999Z",
    ),
    *(
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:00",
        "9999-12-31T23:59:59.999Z",
        "9999-12-31T00:00:00+23:59",
    ),
]
_WRONG = [
    *(
        "",
        "Z",
        "2026-11-22",
        "2026-11-22T",
        "2026-11-22T13:05Z",
        "2026-11-22T13:05:00",
        "2026-11-22 13:05:00Z",
    ),
    *("2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z", "2026-11-22T24:00:00Z"),
    *("2026-11-22T13:60:00Z", "2026-11-22T13:05:60Z", "2026-11-22T13:05:00.Z", "2026-11-22T13:05:00,123Z"),
    *("2026-11-22T13:05:00.1234567Z", "2026-11-22T13:05:00+24:00", "2026-11-22T13:05:00+01:60"),
    *("2026-11-22T13:05:00+0100", "2026-11-22T13:05:00Z ", " 2026-11-22T13:05:00Z", "2026-11-22T13:05+01:00"),
    *(
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "\uff12\uff10\uff12\uff16-11-22T13:05:00Z",
        "2026-11-22T1\uff13:05:00Z",
    ),
]


@pytest.fixture(params=sorted(CLOCKS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def digits(name: str) -> int:
    return {"timestamp-millis": 3, "timestamp-micros": 6}[name]


def _outcome(parse: Callable[[str], int], text: str) -> object:
    try:
        return parse(text)
    except MisfitError as misfit:
        return misfit.fault_code


@pytest.mark.parametrize("text", [*_TEXTS, *_WRONG])
def test_a_text_means_what_the_reference_says_when_it_is_new_and_when_it_is_known(
    name: str, digits: int, text: str
) -> None:
    leaf = plain_leaf(Primitive("long", Logical(name)))
    parse = Clock(digits).parser(leaf)
    for _ in range(3):
        assert _outcome(parse, text) == _outcome(leaf.parse, text)
    assert isinstance(_outcome(parse, text), str) or text not in _WRONG


def test_a_number_is_held_to_its_range(name: str, digits: int) -> None:
    parse = Clock(digits).parser(plain_leaf(Primitive("long", Logical(name))))
    assert parse(_END * 10**digits - 1) == _END * 10**digits - 1
    with pytest.raises(MisfitError):
        parse(_END * 10**digits)


def test_moments_are_written_as_the_reference_writes_them(name: str, digits: int) -> None:
    leaf = plain_leaf(Primitive("long", Logical(name)))
    write = Clock(digits).writer(leaf)
    unit = 10**digits
    for seconds in (
        _FIRST,
        -86_401,
        -86_400,
        -1,
        0,
        1,
        59,
        60,
        3_599,
        3_600,
        86_399,
        86_400,
        1_795_352_700,
        _END - 1,
    ):
        for part in (0, 1, unit // 2, unit - 1):
            assert write(seconds * unit + part) == leaf.json(seconds * unit + part)


def test_more_days_than_are_remembered_are_read_and_written_all_the_same(name: str, digits: int) -> None:
    leaf = plain_leaf(Primitive("long", Logical(name)))
    clock = Clock(digits)
    parse, write = clock.parser(leaf), clock.writer(leaf)
    day = 86_400 * 10**digits
    assert [parse(write(number * day)[1:-1]) for number in range(5_000)] == [
        number * day for number in range(5_000)
    ]
