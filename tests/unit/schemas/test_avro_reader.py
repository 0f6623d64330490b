import io
import json
from decimal import Decimal
from typing import Any

import fastavro
import pytest

from schemas.codec import Codec, compile_codec
from schemas.errors import DatumError
from schemas.schema import parse_schema

_MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
_ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}


def _codec(kind: Any) -> Codec:
    schema = {"type": "record", "name": "R", "fields": [{"name": "v", "type": kind}]}
    return compile_codec(parse_schema(json.dumps(schema)), (), "plain")


def _fault(codec: Codec, raw: bytes) -> tuple[str, str]:
    with pytest.raises(DatumError) as caught:
        codec.json_from_avro(raw)
    return caught.value.faults[0].pointer, caught.value.faults[0].code


@pytest.mark.parametrize(
    ("kind", "raw", "code"),
    [
        ("int", "", "length"),
        ("int", "80", "length"),
        ("int", "8000", "encoding"),
        ("int", "ffffffffffffffffff7f", "encoding"),
        ("long", "ff" * 10, "encoding"),
        ("long", "ff" * 31, "encoding"),
        ("int", "8080808010", "range"),
        ("int", "8080808080808080808001", "encoding"),
        ("boolean", "02", "encoding"),
        ("string", "04ff", "length"),
        ("string", "01", "length"),
        ("string", "02ff", "encoding"),
        ("string", "8080808080808080" + "01", "length"),
        ("bytes", "feffffffffffffffff01", "length"),
        ("double", "000000000000f07f", "range"),
        ("float", "0000c07f", "range"),
        (_ENUM, "01", "enum"),
        (_ENUM, "04", "enum"),
        (["null", "int"], "01", "union"),
        (["null", "int"], "04", "union"),
        ({"type": "fixed", "name": "F", "size": 4}, "000000", "length"),
        ({"type": "array", "items": "int"}, "8080808080808080" + "40", "length"),
        ({"type": "array", "items": "int"}, "ffffffffffffffffff01" + "00", "length"),
        ({"type": "array", "items": "int"}, "0306020400", "length"),
        ({"type": "map", "values": "int"}, "0202ff0200", "encoding"),
        ({"type": "int", "logicalType": "date"}, "feffffff0f", "range"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "feffffffffffffffff01", "range"),
        ({"type": "int", "logicalType": "time-millis"}, "01", "range"),
        ({"type": "string", "logicalType": "uuid"}, "0461" + "62", "format"),
        (_MONEY, "00", "precision"),
        (_MONEY, "06" + "7fffff", "precision"),
        (_MONEY, "c803" + "00" * 228, "precision"),
    ],
)
def test_bytes_that_are_no_datum_are_refused_with_a_code(kind: Any, raw: str, code: str) -> None:
    assert _fault(_codec(kind), bytes.fromhex(raw)) == ("/v", code)


def test_a_map_key_that_stands_twice_is_refused() -> None:
    raw = bytes.fromhex("0402610202610400")
    assert _fault(_codec({"type": "map", "values": "int"}), raw) == ("/v/a", "duplicate_key")


def test_trailing_bytes_are_a_fault() -> None:
    assert _fault(_codec("int"), b"\x02\x00") == ("", "trailing_bytes")


def test_a_huge_decimal_is_refused_without_reading_it_as_a_number() -> None:
    size = 200 * 1024
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "bytes", b"\x7f" * size)
    assert _fault(_codec(_MONEY), out.getvalue()) == ("/v", "precision")


def test_every_logical_fault_is_named_with_its_index() -> None:
    codec = _codec({"type": "array", "items": {"type": "int", "logicalType": "time-millis"}})
    with pytest.raises(DatumError) as caught:
        codec.checked_avro(bytes.fromhex("0601020100"))
    assert [fault.pointer for fault in caught.value.faults] == ["/v/0", "/v/2"]


def test_more_items_than_a_datum_may_hold_are_refused() -> None:
    raw = b"\xc2\x9a\x0c" + b"\x00" * 100_001 + b"\x00"
    assert _fault(_codec({"type": "array", "items": "boolean"}), raw) == ("/v", "length")


@pytest.mark.parametrize(
    ("kind", "legal", "canonical"),
    [
        ({"type": "array", "items": "int"}, "0202020400", "04020400"),
        ({"type": "array", "items": "int"}, "0304020400", "04020400"),
        ({"type": "map", "values": "int"}, "01060261020202620400", "040261020262" + "0400"),
        (_MONEY, "04ff80", "0280"),
    ],
)
def test_legal_avro_that_is_not_canonical_is_printed_but_not_accepted(
    kind: Any, legal: str, canonical: str
) -> None:
    codec = _codec(kind)
    printed = codec.json_from_avro(bytes.fromhex(legal))
    assert printed == codec.json_from_avro(bytes.fromhex(canonical))
    assert codec.checked_avro(bytes.fromhex(canonical)).avro.hex() == canonical
    with pytest.raises(DatumError) as caught:
        codec.checked_avro(bytes.fromhex(legal))
    assert caught.value.faults[0].code == "encoding"


def test_what_fastavro_writes_for_a_negative_decimal_can_be_printed() -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "v", "type": _MONEY}]}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), {"v": Decimal("-1.28")})
    assert _codec(_MONEY).json_from_avro(out.getvalue()) == b'{"v":"-1.28"}'
