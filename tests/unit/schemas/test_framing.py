from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import FramingError
from schemas.framing import decode_guid, decode_prefix, encode_guid, encode_prefix

_GUID = UUID("12345678-9abc-def0-1234-56789abcdef0")


def test_prefix_is_a_zero_byte_and_the_id() -> None:
    assert encode_prefix(41, b"xy").hex() == "0000000029" + b"xy".hex()


@given(st.integers(0, 2**32 - 1), st.binary(max_size=10))
def test_prefix_round_trips(schema_id: int, datum: bytes) -> None:
    assert decode_prefix(encode_prefix(schema_id, datum)) == (schema_id, datum)


@pytest.mark.parametrize("schema_id", [-1, 2**32])
def test_an_id_that_does_not_fit_is_refused(schema_id: int) -> None:
    with pytest.raises(FramingError):
        encode_prefix(schema_id, b"")


@pytest.mark.parametrize("value", [b"", b"\x00\x00\x00\x00", b"\x01\x00\x00\x00\x01x", b"{}"])
def test_a_value_without_prefix_is_refused(value: bytes) -> None:
    with pytest.raises(FramingError):
        decode_prefix(value)


def test_guid_header_round_trips() -> None:
    assert encode_guid(_GUID) == b"\x01" + _GUID.bytes
    assert decode_guid(encode_guid(_GUID)) == _GUID


@pytest.mark.parametrize("header", [b"", _GUID.bytes, b"\x00" + _GUID.bytes, b"\x01" + _GUID.bytes + b"x"])
def test_another_header_is_refused(header: bytes) -> None:
    with pytest.raises(FramingError):
        decode_guid(header)
