import json
from typing import Any, get_args

import pytest

from schemas.compatibility import check_levels, find_differences
from schemas.levels import Level
from schemas.schema import Reference, Schema, parse_schema


def _schema(*fields: Any, name: str = "R") -> Schema:
    members = [
        field
        if isinstance(field, dict)
        and "name" in field
        and "fields" not in field
        and "size" not in field
        and "symbols" not in field
        else {"name": "v", "type": field}
        for field in fields
    ]
    return parse_schema(json.dumps({"type": "record", "name": name, "fields": members}))


def _decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def _long(logical: str) -> dict[str, Any]:
    return {"type": "long", "logicalType": logical}


def _enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": symbols, **more}


def _record(name: str, *fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


_READABLE: list[tuple[Any, Any]] = [
    ("long", "int"),
    ("double", "long"),
    ("string", "bytes"),
    ("bytes", "string"),
    (["null", "int"], "int"),
    (["null", "long"], ["null", "int"]),
    ("int", ["int"]),
    (_enum("A", "B"), _enum("A")),
    (_enum("A", default="A"), _enum("A", "B")),
    (_decimal(8, 2), _decimal(6, 2)),
    (_record("a.I"), _record("b.I")),
    (_record("New", aliases=["Old"]), _record("Old")),
    (
        _record("I", {"name": "n", "type": "int", "aliases": ["o"]}),
        _record("I", {"name": "o", "type": "int"}),
    ),
    ({"type": "array", "items": "double"}, {"type": "array", "items": "float"}),
]

_UNREADABLE: list[tuple[Any, Any, str]] = [
    ("int", "long", "/fields/0/type"),
    ("string", "int", "/fields/0/type"),
    ("int", ["null", "int"], "/fields/0/type"),
    (["null", "string"], "int", "/fields/0/type"),
    (["null", _record("I", {"name": "n", "type": "int"})], _record("I"), "/fields/0/type/1/fields/0"),
    ({"type": "array", "items": "int"}, {"type": "array", "items": "string"}, "/fields/0/type/items"),
    ({"type": "map", "values": "int"}, {"type": "map", "values": "string"}, "/fields/0/type/values"),
    ({"type": "map", "values": "int"}, {"type": "array", "items": "int"}, "/fields/0/type"),
    (_enum("A"), _enum("A", "B"), "/fields/0/type/symbols"),
    (_record("I"), _record("J"), "/fields/0/type/name"),
    (
        {"type": "fixed", "name": "F", "size": 2},
        {"type": "fixed", "name": "F", "size": 3},
        "/fields/0/type/size",
    ),
    (_decimal(6, 2), _decimal(6, 3), "/fields/0/type/logicalType"),
    (_decimal(6, 2), _decimal(8, 2), "/fields/0/type/logicalType"),
    (_decimal(6, 2), "bytes", "/fields/0/type/logicalType"),
    (_long("timestamp-millis"), _long("timestamp-micros"), "/fields/0/type/logicalType"),
    ("long", _long("timestamp-millis"), "/fields/0/type/logicalType"),
    ({"type": "string", "logicalType": "uuid"}, "string", "/fields/0/type/logicalType"),
]


@pytest.mark.parametrize(("reader", "writer"), _READABLE)
def test_what_avro_resolves_is_compatible(reader: Any, writer: Any) -> None:
    assert find_differences(reader=_schema(reader), writer=_schema(writer)) == ()


@pytest.mark.parametrize(("reader", "writer", "pointer"), _UNREADABLE)
def test_what_cannot_be_read_or_reads_wrongly_is_named_with_its_place(
    reader: Any, writer: Any, pointer: str
) -> None:
    differences = find_differences(reader=_schema(reader), writer=_schema(writer))
    assert [difference.pointer for difference in differences] == [pointer]


def test_a_new_field_needs_a_default_to_read_old_data() -> None:
    old, new = _schema(), _schema({"name": "a", "type": "int"})
    (difference,) = check_levels(new, [old], "BACKWARD")
    assert str(difference) == "backward /fields/0: a is not in the writer, and has no default"
    assert check_levels(new, [old], "FORWARD") == ()
    assert check_levels(_schema({"name": "a", "type": "int", "default": 0}), [old], "FULL") == ()


def test_forward_asks_whether_old_readers_read_new_data() -> None:
    old, new = _schema("int"), _schema("long")
    assert check_levels(new, [old], "BACKWARD") == ()
    (difference,) = check_levels(new, [old], "FORWARD")
    assert (difference.direction, difference.pointer) == ("forward", "/fields/0/type")


def test_only_transitive_levels_look_beyond_the_newest() -> None:
    oldest, newest, new = (
        _schema(),
        _schema({"name": "a", "type": "int"}),
        _schema({"name": "a", "type": "int"}, {"name": "b", "type": "int", "default": 1}),
    )
    assert check_levels(new, [newest, oldest], "BACKWARD") == ()
    assert check_levels(new, [newest, oldest], "BACKWARD_TRANSITIVE") != ()


@pytest.mark.parametrize("level", get_args(Level.__value__ if hasattr(Level, "__value__") else Level))
def test_the_first_version_breaks_no_level(level: Level) -> None:
    assert check_levels(_schema("int"), [], level) == ()


def test_level_none_allows_everything() -> None:
    assert check_levels(_schema("int"), [_schema("string")], "NONE") == ()


def test_a_new_field_whose_enum_has_a_default_lacks_one_of_its_own() -> None:
    new = _schema({"name": "e", "type": _enum("A", default="A")})
    (difference,) = find_differences(reader=new, writer=_schema())
    assert (difference.pointer, difference.kind) == ("/fields/0", "READER_FIELD_MISSING_DEFAULT_VALUE")
    assert difference.subject == "e"


def test_a_branch_is_named_with_all_that_stands_around_it() -> None:
    inner = _record("I", {"name": "n", "type": "int"})
    reader = _schema({"type": "array", "items": ["null", inner]})
    writer = _schema({"type": "array", "items": ["null", _record("I", {"name": "n", "type": "string"})]})
    (difference,) = find_differences(reader=reader, writer=writer)
    assert difference.pointer == "/fields/0/type/items/1/fields/0/type"
    (lacking,) = find_differences(reader=_schema(["null", "boolean"]), writer=_schema(["null", "string"]))
    assert (lacking.pointer, lacking.kind, lacking.subject) == (
        "/fields/0/type",
        "MISSING_UNION_BRANCH",
        "string",
    )


def test_an_alias_without_a_namespace_is_of_the_namespace_of_its_type() -> None:
    reader = _schema(_record("a.New", aliases=["Old"]))
    assert find_differences(reader=reader, writer=_schema(_record("a.Old"))) == ()
    assert find_differences(reader=reader, writer=_schema(_record("b.Old"))) != ()


def test_messages_say_more_than_a_name() -> None:
    (difference,) = find_differences(reader=_schema({"name": "b", "type": "int"}), writer=_schema())
    assert difference.text == "b is not in the writer, and has no default"


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        (_decimal(6, 2), _decimal(6, 3)),
        (_long("timestamp-millis"), _long("timestamp-micros")),
        ({"type": "string", "logicalType": "uuid"}, "string"),
        (["null", _long("timestamp-millis")], ["null", _long("timestamp-micros")]),
    ],
)
def test_logical_types_count_unless_that_is_switched_off(reader: Any, writer: Any) -> None:
    strict = find_differences(reader=_schema(reader), writer=_schema(writer))
    assert [one.kind for one in strict] == ["LOGICAL_TYPE_MISMATCH"]
    assert find_differences(reader=_schema(reader), writer=_schema(writer), is_strict=False) == ()


def test_each_pair_of_types_is_compared_once_however_often_it_stands_there() -> None:
    """Without that, unions of records in unions of records cost more than this machine has time for."""

    def nest(letter: str, kind: str) -> Schema:
        known: set[str] = set()

        def level(depth: int, index: int) -> Any:
            name = f"{letter}{depth}_{index}"
            if name in known:
                return name
            known.add(name)
            fields: list[Any] = [{"name": "x", "type": kind}]
            if depth < 9:
                fields.append({"name": "u", "type": [level(depth + 1, one) for one in range(2)]})
            return {"type": "record", "name": name, "fields": fields}

        return parse_schema(json.dumps(level(0, 0)))

    found = find_differences(reader=nest("A", "int"), writer=nest("B", "string"))
    assert 0 < len(found) <= 100


def test_any_type_may_stand_at_the_top() -> None:
    assert find_differences(reader=parse_schema('"long"'), writer=parse_schema('"int"')) == ()
    (difference,) = find_differences(reader=parse_schema('"int"'), writer=parse_schema('"long"'))
    assert difference.pointer == ""


def test_types_of_references_are_compared_as_if_they_stood_there() -> None:
    text = json.dumps(_record("S", {"name": "x", "type": "R"}))
    old, new = (parse_schema(text, [Reference("R", "r", 1, _schema(kind))]) for kind in ("int", "string"))
    (difference,) = find_differences(reader=new, writer=old)
    assert difference.pointer == "/fields/0/type/fields/0/type"
