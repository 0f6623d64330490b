import json
from typing import Any

import pytest

from schemas.avro_type import Record
from schemas.codec import compile_codec
from schemas.errors import SchemaError
from schemas.leaf import JsonFlavour
from schemas.sample import MOST_BYTES, sample
from schemas.schema import parse_schema

UUID = "0123abcd-4567-4e89-8abc-0123456789ab"
FLAVOURS: tuple[JsonFlavour, ...] = ("plain", "avro")


def logical(carrier: str, name: str, **rest: int) -> dict[str, Any]:
    return {"type": carrier, "logicalType": name, **rest}


def fixed(name: str, size: int, **rest: object) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size, **rest}


FIELDS: dict[str, tuple[Any, Any, Any]] = {
    "nothing": ("null", None, None),
    "flag": ("boolean", True, True),
    "count": ("int", 1, 1),
    "total": ("long", 1, 1),
    "ratio": ("float", 1.5, 1.5),
    "share": ("double", 1.5, 1.5),
    "order_id": ("string", "order_id", "order_id"),
    "raw": ("bytes", "Ynl0ZXM=", "bytes"),
    "hash": (fixed("Hash", 7), "Ynl0ZXNieQ==", "bytesby"),
    "state": ({"type": "enum", "name": "State", "symbols": ["NEW", "OLD"]}, "NEW", "NEW"),
    "key": (logical("string", "uuid"), UUID, UUID),
    "day": (logical("int", "date"), "2026-01-15", 20_468),
    "clock": (logical("int", "time-millis"), "12:30:45.123", 45_045_123),
    "at": (logical("long", "timestamp-micros"), "2026-01-15T12:30:45.123456Z", 1_768_480_245_123_456),
    "local": (
        logical("long", "local-timestamp-nanos"),
        "2026-01-15T12:30:45.123456789",
        10**9 * 1_768_480_245 + 123_456_789,
    ),
    "span": (fixed("Span", 12, logicalType="duration"), "P1M2DT3.004S", "\x01\0\0\0\x02\0\0\0\xbc\x0b\0\0"),
    "amount": (logical("bytes", "decimal", precision=9, scale=2), "1.23", "{"),
    "whole": (logical("bytes", "decimal", precision=9), "1", "\x01"),
    "part": (logical("bytes", "decimal", precision=3, scale=3), "0.123", "{"),
    "wide": (fixed("Wide", 16, logicalType="decimal", precision=4, scale=1), "1.2", "\0" * 15 + "\x0c"),
    "lines": ({"type": "array", "items": "string"}, ["lines"], ["lines"]),
    "tags": ({"type": "map", "values": "int"}, {"key": 1}, {"key": 1}),
    "note": (["null", "string"], "note", {"string": "note"}),
    "either": (["null", "long", "string"], 1, {"long": 1}),
    "void": (["null"], None, None),
}


def order() -> Record:
    return record({name: kind for name, (kind, _, _) in FIELDS.items()})


def record(fields: dict[str, Any], **defaults: Any) -> Record:
    listed = [
        {"name": name, "type": kind, **({"default": defaults[name]} if name in defaults else {})}
        for name, kind in fields.items()
    ]
    root = parse_schema(json.dumps({"type": "record", "name": "Order", "fields": listed})).root
    assert isinstance(root, Record)
    return root


def test_each_type_has_one_sample_as_people_write_it() -> None:
    assert json.loads(sample(order(), flavour="plain")) == {
        name: plain for name, (_, plain, _) in FIELDS.items()
    }


def test_each_type_has_one_sample_in_the_avro_json_encoding() -> None:
    assert json.loads(sample(order(), flavour="avro")) == {
        name: avro for name, (_, _, avro) in FIELDS.items()
    }


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_sample_validates_and_comes_back_as_it_was(flavour: JsonFlavour) -> None:
    fields = [{"name": name, "type": kind} for name, (kind, _, _) in FIELDS.items()]
    schema = parse_schema(json.dumps({"type": "record", "name": "Order", "fields": fields}))
    codec = compile_codec(schema, ("/order_id", "/state", "/at"), flavour)
    text = sample(schema.root, flavour=flavour)
    encoded = codec.avro_from_json(text)
    assert json.loads(codec.json_from_avro(encoded.avro)) == json.loads(text)
    assert all(encoded.values.values())


def test_a_sample_is_laid_out_for_people_and_always_the_same() -> None:
    text = sample(record({"id": "string", "qty": "int"}), flavour="plain")
    assert text == b'{\n  "id": "id",\n  "qty": 1\n}\n'
    assert sample(order(), flavour="plain") == sample(order(), flavour="plain")


def test_of_a_large_type_what_may_be_left_out_is_left_out() -> None:
    large = fixed("Large", 65_536)
    fields = {"id": "string", "first": large}
    fields |= {f"more{number}": ["null", "Large"] for number in range(20)}
    fields |= {"list": {"type": "array", "items": "Large"}, "map": {"type": "map", "values": "Large"}}
    fields |= {"given": "string", "only": ["Large", "int"]}
    root = record(fields, given="x")
    value = json.loads(sample(root, flavour="plain"))
    assert set(value) == {"id", "first", "list", "map", "only"}
    assert (value["list"], value["map"]) == ([], {})
    wrapped = json.loads(sample(root, flavour="avro"))
    assert set(wrapped["only"]) == {"Large"}


def test_a_type_whose_smallest_datum_is_no_event_has_no_sample() -> None:
    fields: dict[str, Any] = {"f0": fixed("Large", 65_536)}
    fields |= {f"f{number}": "Large" for number in range(1, 30)}
    with pytest.raises(SchemaError) as caught:
        sample(record(fields), flavour="plain")
    assert (caught.value.rule, str(MOST_BYTES // 1024 // 1024) in caught.value.text) == ("size", True)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_any_type_has_a_sample_not_only_a_record(flavour: JsonFlavour) -> None:
    assert sample(parse_schema('"string"').root, flavour=flavour) == b'"string"\n'
    assert sample(parse_schema('["null","int"]').root, flavour=flavour) != b"null\n"
