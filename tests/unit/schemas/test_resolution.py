import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from schemas.encoder import compile_encoder
from schemas.errors import DatumError, SchemaError
from schemas.fault import Fault
from schemas.findings import MOST_FILLED_BYTES
from schemas.resolution import avro_reader_for, compile_resolution
from schemas.schema import Schema, parse_schema


def schema(document: Any) -> Schema:
    return parse_schema(json.dumps(document))


def resolver(writer: Any, reader: Any) -> Callable[[Any], Any]:
    return compile_resolution(schema(writer).root, schema(reader).root)


def refused(writer: Any, reader: Any) -> tuple[str, str]:
    """Pointer and text of a pair that can never be resolved."""
    with pytest.raises(SchemaError) as caught:
        resolver(writer, reader)
    assert caught.value.rule == "resolution"
    return caught.value.pointer, caught.value.text


def faults(resolve: Callable[[Any], Any], datum: Any) -> tuple[Fault, ...]:
    with pytest.raises(DatumError) as caught:
        resolve(datum)
    return caught.value.faults


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    """A record; a field is `(name, type)` or `(name, type, default)`, or written out."""
    documents = [
        one if isinstance(one, dict) else dict(zip(("name", "type", "default"), one, strict=False))
        for one in fields
    ]
    return {"type": "record", "name": name, "fields": documents, **more}


def enum(*symbols: str, name: str = "E", **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": list(symbols), **more}


def fixed(size: int, name: str = "F", **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size, **more}


def decimal(precision: int, scale: int = 2) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


@pytest.mark.parametrize(
    ("writer", "reader", "datum", "wanted"),
    [
        ("int", "long", 7, 7),
        ("int", "float", 16_777_217, 16_777_216.0),
        ("int", "double", 16_777_217, 16_777_217.0),
        ("long", "float", 2**62 + 1, float(2**62)),
        ("long", "double", 2**53 + 1, float(2**53)),
        ("float", "double", 0.5, 0.5),
        ("string", "bytes", "é", b"\xc3\xa9"),
        ("bytes", "string", b"\xc3\xa9", "é"),
        ("string", "string", "same", "same"),
    ],
)
def test_a_primitive_is_promoted(writer: str, reader: str, datum: Any, wanted: Any) -> None:
    resolved = resolver(writer, reader)(datum)
    assert (resolved, type(resolved)) == (wanted, type(wanted))


@pytest.mark.parametrize(
    ("writer", "reader"),
    [
        ("long", "int"),
        ("float", "int"),
        ("double", "float"),
        ("double", "long"),
        ("boolean", "int"),
        ("int", "boolean"),
        ("int", "string"),
        ("string", "int"),
        ("null", "int"),
        ("int", "null"),
        ("bytes", fixed(4)),
        (fixed(4), "bytes"),
        ("string", enum("A")),
        (enum("A"), "string"),
        ({"type": "array", "items": "int"}, {"type": "map", "values": "int"}),
        (record(), {"type": "map", "values": "int"}),
        (fixed(1), enum("A")),
        (record(name="E"), enum("A")),
    ],
)
def test_types_with_nothing_in_common_are_refused(writer: Any, reader: Any) -> None:
    assert refused(writer, reader)[0] == ""


def test_bytes_that_are_no_utf8_are_a_fault_of_the_datum() -> None:
    resolve = resolver(record(("a", "bytes")), record(("a", "string")))
    assert [(one.pointer, one.code) for one in faults(resolve, [b"\xff"])] == [("/a", "encoding")]


def test_fields_are_found_by_name_in_the_order_of_the_reader() -> None:
    writer = record(("a", "int"), ("gone", "string"), ("b", "int"))
    reader = record(("b", "long"), ("new", "string", "filled"), ("a", "int"))
    assert resolver(writer, reader)([1, "dropped", 2]) == [2, "filled", 1]


def test_a_field_is_found_by_an_alias_of_the_reader_but_its_own_name_comes_first() -> None:
    writer = record(("old", "int"), ("new", "int"))
    renamed = {"name": "fresh", "type": "int", "aliases": ["unheard", "old"]}
    assert resolver(writer, record(renamed))([1, 2]) == [1]
    assert resolver(writer, record({**renamed, "name": "new"}))([1, 2]) == [2]


def test_an_alias_of_the_writer_counts_for_nothing() -> None:
    writer = record({"name": "a", "type": "int", "aliases": ["b"]})
    assert refused(writer, record(("b", "int"))) == (
        "/fields/0",
        "b is not in the writer, and has no default",
    )


def test_a_missing_field_takes_its_default_in_plain_form() -> None:
    reader = record(
        ("money", decimal(4), "\x01\x00"),
        ("maybe", ["null", "string"], None),
        ("inner", record(("x", "int", 1), ("y", "bytes"), name="I"), {"y": "ÿ"}),
        ("list", {"type": "array", "items": "double"}, [1]),
    )
    assert resolver(record(), reader)([]) == [256, (0, None), [1, b"\xff"], [1.0]]


@pytest.mark.parametrize(
    ("writer", "reader", "pointer"),
    [
        (record(name="a.R"), record(("x", "int", 1), name="b.R"), None),
        (record(name="a.Old"), record(("x", "int", 1), aliases=["a.Old"]), None),
        (record(name="a.Old"), record(("x", "int", 1), name="a.New", aliases=["Old"]), None),
        (record(name="a.Old"), record(("x", "int", 1), name="b.New", aliases=["Old"]), "/name"),
        (record(name="Old"), record(("x", "int", 1), name="New"), "/name"),
        (enum("A", name="a.E"), enum("A", "B", name="b.E"), None),
        (enum("A", name="Old"), enum("A", "B", aliases=["Old"]), None),
        (enum("A", name="Old"), enum("A", "B"), "/name"),
        (fixed(2, "a.F"), fixed(2, "b.F"), None),
        (fixed(2, "Old"), fixed(2, aliases=["Old"]), None),
        (fixed(2, "Old"), fixed(2), "/name"),
        (fixed(2), fixed(3), "/size"),
    ],
)
def test_named_types_meet_by_their_last_name_or_by_an_alias(
    writer: Any, reader: Any, pointer: str | None
) -> None:
    if pointer is None:
        assert callable(resolver(writer, reader))
    else:
        assert refused(writer, reader)[0] == pointer


def test_a_symbol_that_the_reader_lacks_becomes_its_default() -> None:
    resolve = resolver(enum("A", "B", "C"), enum("C", "X", default="X"))
    assert [resolve(symbol) for symbol in "ABC"] == ["X", "X", "C"]
    assert resolver(enum("A", "B"), enum("X", default="X"))("A") == "X"


def test_a_symbol_that_the_reader_lacks_is_a_fault_without_a_default() -> None:
    writer = record(("list", {"type": "array", "items": enum("A", "B", default="A")}))
    resolve = resolver(writer, record(("list", {"type": "array", "items": enum("A")})))
    assert resolve([["A", "A"]]) == [["A", "A"]]
    found = faults(resolve, [["A", "B", "B"]])
    assert [(one.pointer, one.code) for one in found] == [("/list/1", "enum"), ("/list/2", "enum")]
    assert found[0].expected == "one of A"


def test_an_enum_without_a_shared_symbol_is_refused() -> None:
    text = "the reader lacks 2 symbols and has no default: A, B"
    assert refused(enum("A", "B"), enum("C")) == ("/symbols", text)


def test_unions_meet_branch_by_branch() -> None:
    resolve = resolver(["null", "int", "string"], ["string", "long", "null"])
    assert [resolve(datum) for datum in ((0, None), (1, 7), (2, "x"))] == [(2, None), (1, 7), (0, "x")]


def test_a_type_moves_into_a_union_and_out_of_it() -> None:
    assert resolver("int", ["null", "int"])(7) == (1, 7)
    resolve = resolver(record(("a", ["null", "int"])), record(("a", "double")))
    assert resolve([(1, 7)]) == [7.0]
    (fault,) = faults(resolve, [(0, None)])
    assert (fault.pointer, fault.code, fault.text) == (
        "/a",
        "union",
        "is null, which cannot be read as double",
    )


def test_a_branch_that_the_reader_lacks_is_a_fault_of_the_datum_that_has_it() -> None:
    resolve = resolver(["null", "int", "string"], ["int", "null"])
    assert resolve((1, 7)) == (0, 7)
    assert faults(resolve, (2, "x"))[0].code == "union"


def test_a_union_of_which_nothing_can_be_read_is_refused() -> None:
    assert refused(["boolean", "string"], ["int", "null"]) == ("", "no branch of int | null reads boolean")


def test_a_branch_of_the_same_type_comes_before_a_promotion() -> None:
    assert resolver("long", ["double", "long"])(2**53 + 1) == (1, 2**53 + 1)
    assert resolver("bytes", ["string", "bytes"])(b"\xff") == (1, b"\xff")
    assert resolver("int", ["string", "double", "long"])(7) == (1, 7.0)


def test_a_branch_of_the_full_name_or_an_alias_comes_before_a_mere_namesake() -> None:
    namesake = record(("x", "int", 0), name="b.R")
    alias = record(("x", "int", 0), name="b.New", aliases=["a.R"])
    itself = record(("x", "int", 0), name="a.R")
    assert resolver(record(name="a.R"), [namesake, itself])([])[0] == 1
    assert resolver(record(name="a.R"), [namesake, alias])([])[0] == 1
    assert resolver(record(name="a.R"), ["null", namesake])([])[0] == 1


def test_a_branch_that_reads_every_datum_comes_before_one_that_may_fail() -> None:
    partial, whole = enum("A", name="a.E"), enum("A", "B", name="b.E")
    assert resolver(enum("A", "B", name="a.E"), [partial, whole])("B") == (1, "B")
    assert resolver(enum("A", "B", name="a.E"), [partial, "string"])("A") == (0, "A")


def _array(kind: Any) -> Any:
    return {"type": "array", "items": kind}


def _map(kind: Any) -> Any:
    return {"type": "map", "values": kind}


def _nullable(kind: Any) -> Any:
    return ["null", kind]


def _bare(kind: Any) -> Any:
    return kind


@pytest.mark.parametrize(
    ("written", "wrapped", "datum"),
    [
        (_bare, _bare, "B"),
        (_array, _array, ["B"]),
        (_map, _map, {"x": "B"}),
        (_nullable, _nullable, (1, "B")),
        (_bare, _nullable, "B"),
    ],
)
def test_what_may_fail_within_a_branch_counts_for_the_branch(
    written: Callable[[Any], Any], wrapped: Callable[[Any], Any], datum: Any
) -> None:
    partial = record(("x", wrapped(enum("A", name="E"))), name="a.R")
    whole = record(("x", wrapped(enum("A", "B", name="E"))), name="b.R")
    writer = record(("x", written(enum("A", "B", name="E"))), name="a.R")
    assert resolver(writer, [partial, whole])([datum])[0] == 1
    assert resolver(writer, [whole, partial])([datum])[0] == 0


def test_the_refusal_of_a_union_names_what_its_namesake_lacks() -> None:
    reader = record(("a", ["null", record(("x", "int"), name="I")]))
    writer = record(("a", record(name="I")))
    assert refused(writer, reader) == (
        "/fields/0/type/1/fields/0",
        "x is not in the writer, and has no default",
    )


def test_arrays_and_maps_are_resolved_item_by_item() -> None:
    resolve = resolver({"type": "array", "items": "int"}, {"type": "array", "items": "double"})
    assert resolve([1, 2]) == [1.0, 2.0]
    resolve = resolver({"type": "map", "values": "int"}, {"type": "map", "values": ["null", "int"]})
    assert resolve({"a": 1}) == {"a": (1, 1)}


def test_items_that_can_never_be_read_are_refused_though_an_array_may_be_empty() -> None:
    arrays = [{"type": "array", "items": kind} for kind in ("string", "int")]
    assert refused(*arrays) == ("/items", "string cannot be read as int")
    maps = [{"type": "map", "values": kind} for kind in ("string", "int")]
    assert refused(*maps) == ("/values", "string cannot be read as int")


@pytest.mark.parametrize(
    ("writer", "reader"),
    [
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            {"type": "long", "logicalType": "timestamp-micros"},
        ),
        ({"type": "long", "logicalType": "timestamp-millis"}, "long"),
        ("long", {"type": "long", "logicalType": "timestamp-millis"}),
        ("int", {"type": "long", "logicalType": "timestamp-millis"}),
        ({"type": "int", "logicalType": "date"}, "double"),
        ({"type": "string", "logicalType": "uuid"}, "string"),
        ({"type": "string", "logicalType": "uuid"}, "bytes"),
        (decimal(9, 2), decimal(9, 3)),
        (decimal(9, 2), decimal(8, 2)),
        (decimal(9, 2), "bytes"),
        (fixed(16, logicalType="uuid"), fixed(16)),
        (fixed(12), fixed(12, logicalType="duration")),
    ],
)
def test_logical_types_that_would_change_the_meaning_are_refused(writer: Any, reader: Any) -> None:
    pointer, text = refused(record(("a", writer)), record(("a", reader)))
    assert pointer == "/fields/0/type/logicalType"
    assert "would be read as" in text


def test_a_decimal_may_gain_digits() -> None:
    assert resolver(decimal(4), decimal(9))(1234) == 1234


def test_a_type_used_twice_is_compiled_once_and_refused_alike() -> None:
    inner = record(("x", "int"), name="I")
    writer = record(("a", inner), ("b", "I"))
    reader = record(("a", record(("x", "string"), name="I")), ("b", "I"))
    assert refused(writer, reader)[0] == "/fields/0/type/fields/0/type"
    reader = record(("b", record(("x", "long"), name="I")), ("a", "I"))
    assert resolver(writer, reader)([[1], [2]]) == [[2], [1]]


def test_schemas_whose_names_fan_out_are_compiled_pair_by_pair() -> None:
    def fan(level: int, bottom: str) -> list[Any]:
        """Two records, each of which may hold either of the two one level below."""
        if level == 0:
            return [record(("x", bottom), name=f"{space}.L0") for space in "ab"]
        named = [f"{space}.L{level - 1}" for space in "ab"]
        return [
            record(("x", fan(level - 1, bottom)), name=f"a.L{level}"),
            record(("x", named), name=f"b.L{level}"),
        ]

    datum: Any = [7]
    for _ in range(11):
        datum = [(0, datum)]
    # Pair by use there are 4 ** 11 of them.
    assert resolver(fan(11, "int"), fan(11, "long"))((0, datum)) == (0, datum)


def test_defaults_cannot_swell_a_datum_without_bound() -> None:
    large = "x" * 100_000
    item = record(("v", "int"), name="I")
    gained = record(("v", "int"), ("text", "string", large), name="I")
    resolve = resolver({"type": "array", "items": item}, {"type": "array", "items": gained})
    assert len(resolve([[1]] * 10)) == 10
    (fault,) = faults(resolve, [[1]] * 100_000)
    assert (fault.pointer, fault.code) == (f"/{MOST_FILLED_BYTES // 100_003}", "length")


def test_a_refusal_stands_where_the_type_is_needed_not_where_it_was_first_met() -> None:
    inner = record(("x", "int"), name="I")
    writer = record(("a", inner), ("b", "I"))
    spare = record(("x", "int"), name="n.I")
    reader = record(("a", [record(("y", "int"), name="I"), spare]), ("b", "I"))
    assert refused(writer, reader)[0] == "/fields/1/type/fields/0"


@pytest.mark.parametrize(
    ("branch", "pointer"),
    [
        ({"type": "long", "logicalType": "timestamp-micros"}, "/1/logicalType"),
        ({"type": "array", "items": "string"}, "/1/items"),
        ({"type": "map", "values": "string"}, "/1/values"),
        (fixed(3), "/1/size"),
        (enum("B"), "/1/symbols"),
        (fixed(3, "Other"), ""),
        ("boolean", ""),
    ],
)
def test_of_a_union_the_branch_is_named_that_was_meant(branch: Any, pointer: str) -> None:
    written = {
        "long": {"type": "long", "logicalType": "timestamp-millis"},
        "array": {"type": "array", "items": "int"},
        "map": {"type": "map", "values": "int"},
        "fixed": fixed(2),
        "enum": enum("A"),
    }
    writer = written.get(branch["type"] if isinstance(branch, dict) else branch, "string")
    assert refused(writer, ["null", branch])[0] == pointer


def test_all_faults_of_a_datum_are_told() -> None:
    resolve = resolver({"type": "array", "items": ["int", "string"]}, {"type": "array", "items": "int"})
    with pytest.raises(DatumError) as caught:
        resolve([(1, "x")] * 150)
    assert (len(caught.value.faults), caught.value.total) == (100, 150)


def test_bytes_of_the_writer_become_canonical_bytes_of_the_reader() -> None:
    writer = schema(record(("list", {"type": "array", "items": "int"}), ("f", "float"))).root
    reader = schema(record(("f", "double"), ("list", {"type": "array", "items": "long"}))).root
    read_as = avro_reader_for(writer, reader)
    two_blocks = b"\x02\x02\x01\x02\x04\x00" + struct.pack("<f", 0.5)
    wanted = bytearray()
    compile_encoder(reader)([0.5, [1, 2]], wanted)
    assert read_as(two_blocks) == bytes(wanted)


def test_bytes_that_are_no_datum_of_the_writer_are_refused() -> None:
    root = schema("int").root
    with pytest.raises(DatumError):
        avro_reader_for(root, root)(b"\x80")
