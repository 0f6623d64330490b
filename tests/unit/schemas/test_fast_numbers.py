import pytest

from schemas.avro_type import Logical, Primitive
from schemas.encoder import append_long
from schemas.errors import NotMineError
from schemas.fast_numbers import bounds, reader, skipper
from schemas.fast_varint import LEAST_LARGE, SHORT, long_bytes


def _varint(value: int) -> bytes:
    out = bytearray()
    append_long(value, out)
    return bytes(out)


_EDGES = sorted({
    sign * (1 << bits) + step for bits in range(63) for step in (-1, 0, 1) for sign in (-1, 1)
} | {-(1 << 63), (1 << 63) - 1})  # fmt: skip


def test_varints_are_those_of_the_encoder() -> None:
    assert [long_bytes(value) for value in _EDGES] == [_varint(value) for value in _EDGES]
    assert [SHORT[value] for value in range(-64, LEAST_LARGE)] == [
        _varint(value) for value in range(-64, LEAST_LARGE)
    ]


@pytest.mark.parametrize(
    "limits", [(-(1 << 63), (1 << 63) - 1), (-(1 << 31), (1 << 31) - 1), (0, 99), (-1_000, 5)]
)
def test_numbers_are_read_and_skipped_within_their_bounds_and_nowhere_else(limits: tuple[int, int]) -> None:
    read, skip = reader(*limits), skipper(*limits)
    for value in _EDGES:
        raw = b"?" + _varint(value) + b"?"
        if limits[0] <= value <= limits[1]:
            assert read(raw, 1) == (value, len(raw) - 1)
            assert len(raw) == 3 or skip(raw, 2) == len(raw) - 1
        else:
            with pytest.raises(NotMineError):
                read(raw, 1)
            if len(raw) > 3:  # those of one byte nobody skips where that may be wrong
                with pytest.raises(NotMineError):
                    skip(raw, 2)


@pytest.mark.parametrize(
    "raw", [b"\x80\x00", b"\xff\x80\x00", b"\x80" * 9 + b"\x00", b"\xff" * 9 + b"\x02", b"\xff" * 10]
)
def test_numbers_in_a_longer_form_than_they_need_or_beyond_64_bits_are_not_taken(raw: bytes) -> None:
    wide = (-(1 << 63), (1 << 63) - 1)
    with pytest.raises((NotMineError, IndexError)):
        reader(*wide)(raw, 0)
    with pytest.raises((NotMineError, IndexError)):
        skipper(*wide)(raw, 1)


@pytest.mark.parametrize(
    ("name", "logical", "limits"),
    [
        ("int", None, (-(1 << 31), (1 << 31) - 1)),
        ("long", None, (-(1 << 63), (1 << 63) - 1)),
        ("int", "date", (-719_162, 2_932_896)),
        ("int", "time-millis", (0, 86_399_999)),
        ("long", "time-micros", (0, 86_399_999_999)),
        ("long", "timestamp-millis", (-62_135_596_800_000, 253_402_300_799_999)),
        ("long", "local-timestamp-micros", (-62_135_596_800_000_000, 253_402_300_799_999_999)),
        ("long", "timestamp-nanos", (-(1 << 63), (1 << 63) - 1)),
    ],
)
def test_bounds_are_the_reference_bounds(name: str, logical: str | None, limits: tuple[int, int]) -> None:
    assert bounds(Primitive(name, None if logical is None else Logical(logical))) == limits
