"""Bytes that mean harm to a reader: much depth, many parts, numbers without end, all in little text.

Memory of JSON is held against the size of the text: what passes here stays under 64 MiB for 1 MiB. Avro is
read within those 64 MiB whatever its size, since an event has at most 100,000 items.
"""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from schemas.avro_reader import compile_reader
from schemas.encoder import append_long
from schemas.errors import DatumError, PayloadError
from schemas.json_reader import members, read_json, split_array
from schemas.schema import parse_schema

_SIZE = 64 * 1024
_LONGEST = 256 * 1024
_MEMORY_FOR_A_BYTE = 64
_MEMORY = 64 * 1024 * 1024


def _full(start: str, part: str, end: str) -> bytes:
    """A text of the size."""
    room = _SIZE - len((start + end).encode())
    return (start + part * (room // len(part.encode())) + end).encode()


def _peak(read: Callable[[bytes], Any], raw: bytes) -> tuple[str, int]:
    """The code of the refusal, if it is one, and the most memory in bytes that was held at once."""
    code = ""
    tracemalloc.start()
    try:
        read(raw)
    except DatumError as error:
        code = error.faults[0].code
    except PayloadError as error:
        code = error.code
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return code, peak


_TEXTS: list[tuple[str, bytes, str]] = [
    ("brackets", _full("", "[", ""), "body_malformed"),
    ("objects", _full("", '{"a":', ""), "body_malformed"),
    ("closed brackets", b"[" * (_SIZE // 2) + b"]" * (_SIZE // 2), "depth"),
    ("many just deep enough", _full("[", "[" * 63 + "]" * 63 + ",", "0]"), ""),
    ("many just too deep", _full("[", "[" * 64 + "]" * 64 + ",", "0]"), "depth"),
    ("small ones too deep", _full("[" * 64, "[],", "0" + "]" * 64), "depth"),
    ("closing brackets", _full("[", "]", ""), "body_malformed"),
    ("integers", _full("[", "1,", "1]"), ""),
    ("fractions", _full("[", "1.5,", "1]"), ""),
    ("exponents", _full("[", "1e5,", "1]"), ""),
    ("tiny exponents", _full("[", "1e-999999999999,", "1]"), ""),
    ("large exponents", _full("[", "1e999,", "1]"), "range"),
    ("absurd exponents", _full("[", "1e99999999999999999999,", "1]"), "range"),
    ("no numbers", _full("[", "NaN,", "1]"), "range"),
    ("large integers", _full("[", "99999999999999999999,", "1]"), "range"),
    ("one long integer", _full("", "9", ""), "range"),
    ("one long fraction", _full("0.", "9", ""), "range"),
    ("one long exponent", _full("1e", "9", ""), "range"),
    ("empty arrays", _full("[", "[],", "1]"), ""),
    ("empty objects", _full("[", "{},", "1]"), ""),
    ("small objects", _full("[", '{"a":1},', "1]"), ""),
    ("empty strings", _full("[", '"",', "1]"), ""),
    ("strings of brackets", _full("[", '"[",', "1]"), ""),
    ("strings of quotes", _full("[", '"\\"",', "1]"), ""),
    ("lone surrogates", _full("[", '"\\ud800",', "1]"), "encoding"),
    ("lone surrogates as names", _full("[", '{"\\ud800":1},', "1]"), "encoding"),
    ("pairs of surrogates", _full("[", '"\\ud83d\\ude00",', "1]"), ""),
    ("one name over and over", _full("{", '"a":1,', '"a":1}'), "duplicate_key"),
    ("names that stand twice", _full("[", '{"a":1,"a":1},', "1]"), "duplicate_key"),
    ("many names", json.dumps({f"{n:x}": 0 for n in range(6_000)}).encode(), ""),
    ("a string without end", _full('["', "a", ""), "body_malformed"),
    ("an escape without end", _full('["', "\\\\", "\\"), "body_malformed"),
    ("white space", _full("[", " ", "]"), ""),
    ("white space without end", _full("[", " ", ""), "body_malformed"),
    ("quotes", _full("", '"', ""), "body_malformed"),
    ("no utf-8", b'["' + b"\xff" * _SIZE, "body_malformed"),
    ("zeros", bytes(_SIZE), "body_malformed"),
]


@pytest.mark.parametrize(("raw", "code"), [case[1:] for case in _TEXTS], ids=[case[0] for case in _TEXTS])
def test_hostile_json_is_read_or_refused_in_memory_that_its_size_bounds(raw: bytes, code: str) -> None:
    found, peak = _peak(read_json, raw)
    assert found == code
    assert peak < _MEMORY_FOR_A_BYTE * len(raw)


@pytest.mark.parametrize("raw", [case[1] for case in _TEXTS], ids=[case[0] for case in _TEXTS])
def test_hostile_json_is_split_or_refused_in_memory_that_its_size_bounds(raw: bytes) -> None:
    _, peak = _peak(lambda one: (members if one[:1] == b"{" else split_array)(one, most=1000), raw)
    assert peak < _MEMORY_FOR_A_BYTE * len(raw)


def _long(value: int) -> bytes:
    out = bytearray()
    append_long(value, out)
    return bytes(out)


def _items(count: int, item: bytes) -> bytes:
    return _long(count) + item * count + b"\x00"


def _blocks(block: bytes) -> bytes:
    return block * (_LONGEST // len(block)) + b"\x00"


_ARRAY = {"type": "array", "items": "int"}
_STRINGS = {"type": "map", "values": "string"}
_MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
_HOLLOW = {
    "type": "record",
    "name": "H",
    "fields": [{"name": "b", "type": "boolean"}, *({"name": f"n{n}", "type": "null"} for n in range(14))],
}
_MOST = 100_000

_DATA: list[tuple[str, Any, bytes, str]] = [
    ("as many items as there may be", {"type": "array", "items": "boolean"}, _items(_MOST, b"\x01"), ""),
    ("one more", {"type": "array", "items": "boolean"}, _items(_MOST + 1, b"\x01"), "length"),
    ("nulls", {"type": "array", "items": ["null", "int"]}, _items(_MOST, b"\x00"), ""),
    ("branches", {"type": "array", "items": ["null", "long"]}, _items(_MOST, b"\x02\x80\x08"), ""),
    ("empty arrays", {"type": "array", "items": _ARRAY}, _items(_MOST, b"\x00"), ""),
    ("empty maps", {"type": "array", "items": _STRINGS}, _items(_MOST, b"\x00"), ""),
    ("empty strings", {"type": "array", "items": "string"}, _items(_MOST, b"\x00"), ""),
    ("hollow records", {"type": "array", "items": _HOLLOW}, _items(_MOST, b"\x00"), ""),
    ("blocks of one", _ARRAY, _blocks(b"\x02\x02"), "length"),
    ("sized blocks of one", _ARRAY, _blocks(b"\x01\x02\x02"), ""),
    ("blocks of a wrong size", _ARRAY, _blocks(b"\x01\x04\x02"), "length"),
    ("blocks of a negative size", _ARRAY, _blocks(b"\x01\x01\x02"), "length"),
    ("items without end", _ARRAY, _long(2**40), "length"),
    ("the most negative count", _ARRAY, _long(-(2**63)) + b"\x00", "length"),
    ("a text without end", "string", _long(2**40), "length"),
    ("a text of negative length", "string", _long(-1), "length"),
    ("a text longer than texts may be", "string", _long(_LONGEST + 1) + b"a" * (_LONGEST + 1), "length"),
    ("a text as long as it may be", "string", _long(_LONGEST) + b"a" * _LONGEST, ""),
    ("a number that never ends", "long", b"\x80" * _LONGEST, "encoding"),
    ("a number with empty bytes", "long", b"\x80" * 9 + b"\x00", "encoding"),
    ("a number of 65 bits", "long", b"\xff" * 9 + b"\x02", "encoding"),
    ("a decimal that would take minutes", _MONEY, _long(_LONGEST) + b"\x7f" * _LONGEST, "precision"),
    ("keys that stand twice", _STRINGS, _items(_MOST // 2, b"\x02a\x00"), "duplicate_key"),
    (
        "many keys",
        _STRINGS,
        _long(50_000) + b"".join(b"\x0a%05x\x00" % n for n in range(50_000)) + b"\x00",
        "",
    ),
    ("bytes that follow", "null", bytes(_LONGEST), "trailing_bytes"),
    ("a branch before the first", ["null", "int"], b"\x01", "union"),
    ("a branch after the last", ["null", "int"], b"\x04", "union"),
    ("a symbol before the first", {"type": "enum", "name": "E", "symbols": ["A"]}, b"\x01", "enum"),
    ("neither true nor false", "boolean", b"\x02", "encoding"),
    ("no utf-8", "string", b"\x02\xff", "encoding"),
    (
        "wrong times without end",
        {"type": "array", "items": {"type": "int", "logicalType": "time-millis"}},
        _items(_MOST, b"\x01"),
        "range",
    ),
]


@pytest.mark.parametrize(
    ("kind", "raw", "code"), [case[1:] for case in _DATA], ids=[case[0] for case in _DATA]
)
def test_hostile_avro_is_read_or_refused_in_bounded_memory(kind: Any, raw: bytes, code: str) -> None:
    read = compile_reader(parse_schema(json.dumps(kind)).root)
    found, peak = _peak(read, raw)
    assert found == code
    assert peak < _MEMORY
