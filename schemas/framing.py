"""How a record says which schema its datum has.

Prefix framing is what every client reads; header framing leaves the value pure.

Source: Confluent wire format.
"""

from typing import Final
from uuid import UUID

from schemas.errors import FramingError

VALUE_SCHEMA_HEADER: Final = "__value_schema_id"
_PREFIX_BYTES: Final = 5
_GUID_BYTES: Final = 17
_LARGEST_ID: Final = (1 << 32) - 1


def encode_prefix(schema_id: int, datum: bytes) -> bytes:
    """A zero byte, the schema id as u32, the datum.

    Raises:
        FramingError: the id does not fit.
    """
    if not 0 <= schema_id <= _LARGEST_ID:
        raise FramingError(f"a schema id is a number from 0 to {_LARGEST_ID}")
    return b"\x00" + schema_id.to_bytes(4, "big") + datum


def decode_prefix(value: bytes) -> tuple[int, bytes]:
    """Schema id and datum.

    Raises:
        FramingError: the value does not start with a zero byte and a schema id.
    """
    if len(value) < _PREFIX_BYTES or value[0] != 0:
        raise FramingError(
            "the value does not start with byte 00 and four bytes of schema id (prefix framing)"
        )
    return int.from_bytes(value[1:_PREFIX_BYTES], "big"), value[_PREFIX_BYTES:]


def encode_guid(guid: UUID) -> bytes:
    """The value of the header `__value_schema_id`: byte 01 and the GUID."""
    return b"\x01" + guid.bytes


def decode_guid(header: bytes) -> UUID:
    """The GUID in the header `__value_schema_id`.

    Raises:
        FramingError: not byte 01 and 16 bytes.
    """
    if len(header) != _GUID_BYTES or header[0] != 1:
        raise FramingError(
            f"the header {VALUE_SCHEMA_HEADER} is not byte 01 and the 16 bytes of a GUID (header framing)"
        )
    return UUID(bytes=header[1:])
