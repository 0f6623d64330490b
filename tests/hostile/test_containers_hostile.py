"""Container files that lie inside their data: faults of data in each codec, with the place in the file, and
headers whose schema is harmful. Blocks and headers that are broken as such: `test_container_bombs`.
"""

import json
import struct
from typing import Any

import pytest

from schemas.container import ContainerLimits, read_container
from schemas.errors import ContainerError, DatumError
from tests.container_files import MAGIC, SYNC, block, entry, header, number, packed, sized
from tests.hostile.wire import CANARY, SCHEMA, datum

LIMITS = ContainerLimits()
RIGHT = datum()
TEXT = json.dumps(SCHEMA)
NONE = number(0)
CODECS = ("null", "deflate", "snappy", "zstandard")

DATA: dict[str, tuple[bytes, str, str]] = {
    "int 2^31": (datum(qty=number(1 << 31)), "range", "/1/qty"),
    "int of eleven bytes": (datum(qty=b"\x80" * 10 + b"\x01"), "encoding", "/1/qty"),
    "int in two bytes": (datum(qty=b"\x86\x00"), "encoding", "/1/qty"),
    "boolean 2": (datum(ok=b"\x02"), "encoding", "/1/ok"),
    "NaN": (datum(ratio=struct.pack("<d", float("nan"))), "range", "/1/ratio"),
    "enum -1": (datum(state=number(-1)), "enum", "/1/state"),
    "branch -1": (datum(maybe=number(-1)), "union", "/1/maybe"),
    "length 2^62": (datum(note=number(1 << 62)), "length", "/1/note"),
    "length -1": (datum(note=number(-1)), "length", "/1/note"),
    "no UTF-8": (datum(note=sized(b"\xed\xa0\x80")), "encoding", "/1/note"),
    "decimal of no bytes": (datum(price=sized(b"")), "precision", "/1/price"),
    "decimal of 60 KB": (datum(price=sized(b"\x7f" * 60_000)), "precision", "/1/price"),
    "a date beyond": (datum(day=number(2_932_897)), "range", "/1/day"),
    "millis beyond": (datum(placed_at=number((1 << 63) - 1)), "range", "/1/placed_at"),
    "no UUID": (datum(uid=sized(b"x" * 36)), "format", "/1/uid"),
    "2^40 items": (datum(bits=number(1 << 40)), "length", "/1/bits"),
    "-2^63 items": (datum(bits=number(-(1 << 63)) + NONE), "length", "/1/bits"),
    "a block of a wrong size": (datum(bits=number(-1) + number(9) + NONE * 2), "length", "/1/bits"),
    "a key twice": (datum(tags=number(2) + (sized(b"a") + NONE) * 2 + NONE), "duplicate_key", "/1/tags/a"),
    "an item beyond": (datum(bits=number(1) + number(1 << 31) + NONE), "range", "/1/bits/0"),
}

KINDS: dict[str, tuple[Any, str]] = {
    "a linked list": (
        {"type": "record", "name": "L", "fields": [{"name": "n", "type": ["null", "L"]}]},
        "rule: recursion",
    ),
    "array of empty records": (
        {"type": "array", "items": {"type": "record", "name": "E", "fields": []}},
        "rule: zero_width",
    ),
    "map of null": ({"type": "map", "values": "null"}, "rule: zero_width"),
    "fixed of no bytes": ({"type": "fixed", "name": "F", "size": 0}, "rule: fixed_size"),
    "decimal of 39 digits": (
        {"type": "bytes", "logicalType": "decimal", "precision": 39},
        "rule: decimal",
    ),
    "an unknown logical type": ({"type": "string", "logicalType": "url"}, "rule: logical_type"),
    "a name of SQL": ({"type": "record", "name": "R'; --", "fields": []}, "rule: name"),
    "an unknown name": ("com.acme.Nobody", "rule: unknown_name"),
    "a number": (7, "rule: shape"),
    "a union in a union": ([["null"], "int"], "rule: union"),
    "33 branches": ([f"a.B{n}" for n in range(33)], "rule: count"),
    "a default of another type": (
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "default": "1"}]},
        "rule: default",
    ),
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", DATA)
def test_a_hostile_datum_among_right_ones_is_refused_at_its_place(name: str, codec: str) -> None:
    raw, code, pointer = DATA[name]
    body = packed(codec, RIGHT + raw + RIGHT)
    data = read_container(header(codec, schema=TEXT) + block(3, body), LIMITS).data
    assert next(data).avro == RIGHT
    with pytest.raises(DatumError) as caught:
        next(data)
    first = caught.value.faults[0]
    assert (first.code, first.pointer) == (code, pointer)
    assert CANARY not in str(caught.value)
    assert list(data) == []


@pytest.mark.parametrize("name", KINDS)
def test_a_header_with_a_harmful_schema_is_refused_by_its_rule(name: str) -> None:
    document, rule = KINDS[name]
    with pytest.raises(ContainerError) as caught:
        read_container(header(schema=json.dumps(document)) + block(1, NONE), LIMITS)
    assert rule in caught.value.text
    assert len(caught.value.text) < 1_000


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{"type":"record","type":"record","name":"R","fields":[]}', "rule: duplicate_key"),
        ('{"type":"record","name":"R","fields":[]} x', "rule: syntax"),
        ("\ufeff" + TEXT, "rule: syntax"),
        ('{"type":"fixed","name":"F","size":1e999}', "rule: syntax"),
        ("[" * 200_000, "rule: syntax"),
        ("[" * 100_000 + "]" * 100_000, "rule: depth"),
    ],
    ids=["a key twice", "text behind", "a byte order mark", "1e999", "brackets", "closed brackets"],
)
def test_a_header_with_a_harmful_text_is_refused_by_its_rule(text: str, rule: str) -> None:
    with pytest.raises(ContainerError) as caught:
        read_container(header(schema=text) + block(1, NONE), LIMITS)
    assert rule in caught.value.text


def test_a_header_whose_names_differ_in_case_alone_has_no_schema() -> None:
    raw = MAGIC + number(1) + entry("Avro.Schema", TEXT) + NONE + SYNC
    with pytest.raises(ContainerError, match=r"lacks avro\.schema"):
        read_container(raw + block(1, RIGHT), LIMITS)


def test_a_reference_to_the_schema_of_another_file_is_not_followed() -> None:
    document = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "http://127.0.0.1/x.avsc"}]}
    with pytest.raises(ContainerError, match="rule: name"):
        read_container(header(schema=json.dumps(document)) + block(1, NONE), LIMITS)


@pytest.mark.parametrize("bit", range(8))
def test_a_file_of_real_events_with_a_bit_flipped_in_any_byte_is_read_or_refused(bit: int) -> None:
    whole = header("deflate", schema=TEXT) + block(2, packed("deflate", RIGHT * 2))
    outcomes = {"read": 0, "refused": 0}
    for at in range(bit, len(whole), 8):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << bit
        try:
            list(read_container(bytes(flipped), LIMITS).data)
        except (ContainerError, DatumError):
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
    assert outcomes["refused"] > 0
