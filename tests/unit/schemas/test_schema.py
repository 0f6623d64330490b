import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.errors import SchemaError
from schemas.schema import (
    MOST_REFERENCES,
    Reference,
    Schema,
    canonical_form,
    parse_schema,
    verify_event_schema,
)

_EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "schemas").glob("*.avsc"))

_RICH: dict[str, Any] = {
    "doc": "x",
    "namespace": "a.b",
    "name": "R",
    "type": "record",
    "aliases": ["Old"],
    "fields": [
        {
            "name": "e",
            "type": {"name": "E", "symbols": ["A", "B"], "type": "enum", "doc": "y"},
            "order": "ignore",
        },
        {"default": None, "name": "u", "type": ["null", {"type": "fixed", "size": 16, "name": "other.F"}]},
        {"name": "m", "type": {"values": {"items": {"type": "long"}, "type": "array"}, "type": "map"}},
        {"name": "again", "type": "E"},
        {"name": "far", "type": "other.F"},
        {
            "name": "inner",
            "type": {"type": "record", "name": "c.I", "fields": [{"name": "x", "type": "int"}]},
        },
    ],
}


@pytest.mark.parametrize("text", [json.dumps(_RICH), *(path.read_text() for path in _EXAMPLES)])
def test_canonical_form_and_fingerprint_are_those_of_fastavro(text: str) -> None:
    schema = parse_schema(text)
    theirs = to_parsing_canonical_form(fastavro.parse_schema(json.loads(text)))
    assert canonical_form(schema.root) == theirs
    assert schema.fingerprint.hex() == fingerprint(theirs, "SHA-256")


def test_the_guid_is_the_md5_of_the_text() -> None:
    text = json.dumps(_RICH)
    assert parse_schema(text).guid == UUID(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())


def test_white_space_changes_the_guid_and_not_the_fingerprint() -> None:
    one, other = parse_schema(json.dumps(_RICH)), parse_schema(json.dumps(_RICH, indent=1))
    assert one.fingerprint == other.fingerprint
    assert one.guid != other.guid
    assert one != other


def test_the_name_is_the_full_name() -> None:
    assert parse_schema(json.dumps(_RICH)).name == "a.b.R"
    assert parse_schema('{"type":"record","name":"x.Y","namespace":"ignored","fields":[]}').name == "x.Y"
    assert parse_schema('{"type":"record","name":"Y","fields":[]}').name == "Y"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('"string"', "string"),
        ('["null","int"]', "union"),
        ('{"type":"array","items":"int"}', "array"),
        ('{"type":"map","values":"int"}', "map"),
        ('{"type":"enum","name":"a.E","symbols":["X"]}', "a.E"),
    ],
)
def test_any_type_may_stand_at_the_top_but_not_of_an_event(text: str, name: str) -> None:
    schema = parse_schema(text)
    assert schema.name == name
    with pytest.raises(SchemaError, match="must be a record at the top") as caught:
        verify_event_schema(schema)
    assert (caught.value.rule, caught.value.pointer) == ("shape", "")


def test_a_record_at_the_top_is_an_events() -> None:
    schema = parse_schema(json.dumps(_RICH))
    assert verify_event_schema(schema) is schema


def _record(full_name: str, /, **fields: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": full_name,
        "fields": [{"name": one, "type": fields[one]} for one in fields],
    }


def _parse(document: Any, *references: Reference) -> Schema:
    return parse_schema(json.dumps(document), references)


def _refer(name: str, schema: Schema, *, subject: str = "", version: int = 1) -> Reference:
    return Reference(name, subject or f"{name}-value", version, schema)


_MONEY = _parse(_record("a.Money", amount="long"))
_LINE = _parse(_record("a.Line", price="a.Money"), _refer("a.Money", _MONEY))
_ORDER = _record("Order", lines={"type": "array", "items": "a.Line"}, total="a.Money")


def test_a_name_means_what_a_reference_defines_and_the_canonical_form_is_that_of_the_whole() -> None:
    order = _parse(_ORDER, _refer("a.Money", _MONEY), _refer("a.Line", _LINE))
    whole = _record(
        "Order",
        lines={"type": "array", "items": _record("a.Line", price=_record("a.Money", amount="long"))},
        total="a.Money",
    )
    assert order.root == _parse(whole).root
    assert order.fingerprint == _parse(whole).fingerprint
    assert order.guid != _parse(whole).guid


def test_what_a_reference_leans_on_itself_need_not_be_named_again() -> None:
    assert (
        _parse(_ORDER, _refer("a.Line", _LINE)).root
        == _parse(_ORDER, _refer("a.Money", _MONEY), _refer("a.Line", _LINE)).root
    )


def test_the_guid_covers_name_subject_and_version_of_each_reference() -> None:
    text = json.dumps(_ORDER)
    order = parse_schema(text, [_refer("a.Line", _LINE, subject="lines", version=258)])
    expected = text.encode() + b"a.Line" + b"lines" + bytes([0, 0, 1, 2])
    assert order.guid == UUID(hashlib.md5(expected, usedforsecurity=False).hexdigest())


def test_schemas_are_equal_where_text_and_references_are() -> None:
    one = _parse(_ORDER, _refer("a.Line", _LINE))
    assert one == _parse(_ORDER, _refer("a.Line", _LINE))
    assert hash(one) == hash(_parse(_ORDER, _refer("a.Line", _LINE)))
    assert one != _parse(_ORDER, _refer("a.Line", _LINE, version=2))
    assert one != _parse(_ORDER, _refer("a.Line", _LINE, subject="other"))


def _many(count: int, *, fields: int = 1) -> tuple[Reference, ...]:
    return tuple(
        _refer(f"T{n}", _parse(_record(f"T{n}", **{f"f{one}": "int" for one in range(fields)})))
        for n in range(count)
    )


_OTHER_MONEY = _parse(_record("a.Money", amount="int"))
_BAD_REFERENCES: list[tuple[str, Any, tuple[Reference, ...], str, str]] = [
    ("unresolved", _ORDER, (_refer("a.Money", _MONEY),), "unknown_name", "/fields/0/type/items"),
    ("unused", _record("R"), (_refer("a.Money", _MONEY),), "reference", "/references/0"),
    ("not defined there", _ORDER, (_refer("a.Sum", _MONEY),), "reference", "/references/0/name"),
    (
        "only leant on there",
        _ORDER,
        (_refer("a.Money", _LINE, subject="lines"),),
        "reference",
        "/references/0/name",
    ),
    ("twice", _ORDER, (_refer("a.Line", _LINE),) * 2, "reference", "/references/1/name"),
    ("defined again", _record("a.Line", x="a.Line"), (_refer("a.Line", _LINE),), "duplicate", "/name"),
    (
        "two that define one name",
        _ORDER,
        (_refer("a.Line", _LINE), _refer("a.Money", _OTHER_MONEY, subject="other")),
        "duplicate",
        "/references/1",
    ),
    (
        "one version with two meanings",
        _ORDER,
        (_refer("a.Line", _LINE), _refer("a.Money", _OTHER_MONEY)),
        "reference",
        "/references/1",
    ),
    ("no name", _ORDER, (_refer("a..Line", _LINE),), "name", "/references/0/name"),
    ("no subject", _ORDER, (Reference("a.Line", "", 1, _LINE),), "reference", "/references/0/subject"),
    ("no version", _ORDER, (_refer("a.Line", _LINE, version=0),), "reference", "/references/0/version"),
    ("latest", _ORDER, (_refer("a.Line", _LINE, version=-1),), "reference", "/references/0/version"),
    (
        "large version",
        _ORDER,
        (_refer("a.Line", _LINE, version=2**31),),
        "reference",
        "/references/0/version",
    ),
    (
        "too many",
        _record("R", **{f"f{n}": f"T{n}" for n in range(101)}),
        _many(MOST_REFERENCES + 1),
        "count",
        f"/references/{MOST_REFERENCES}",
    ),
    (
        "too many definitions together",
        _record("R", a="T0", b="T1"),
        _many(2, fields=1_000),
        "count",
        "/references/1",
    ),
    (
        "nothing but empty values",
        _record("R", a={"type": "array", "items": "a.Nothing"}),
        (_refer("a.Nothing", _parse(_record("a.Nothing", x="null"))),),
        "zero_width",
        "/fields/0/type/items",
    ),
]


@pytest.mark.parametrize(
    ("document", "references", "rule", "pointer"),
    [case[1:] for case in _BAD_REFERENCES],
    ids=[case[0] for case in _BAD_REFERENCES],
)
def test_a_reference_that_does_not_hold_is_refused_with_rule_and_place(
    document: Any, references: tuple[Reference, ...], rule: str, pointer: str
) -> None:
    with pytest.raises(SchemaError) as caught:
        _parse(document, *references)
    assert (caught.value.rule, caught.value.pointer) == (rule, pointer)


def test_texts_that_are_admitted_alone_may_be_too_large_together() -> None:
    large = _record("a.Large", x="int") | {"doc": "x" * 200_000}
    other = _record("R", x="a.Large") | {"doc": "x" * 100_000}
    with pytest.raises(SchemaError) as caught:
        _parse(other, _refer("a.Large", _parse(large)))
    assert caught.value.rule == "size"


def test_nesting_counts_through_references() -> None:
    schema = _parse(_record("T0", x="int"))
    for level in range(1, 31):
        schema = _parse(_record(f"T{level}", x=schema.name), _refer(schema.name, schema))
    _parse(_record("T31", x="T30"), _refer("T30", schema))
    with pytest.raises(SchemaError) as caught:
        _parse(_record("T31", x={"type": "array", "items": "T30"}), _refer("T30", schema))
    assert (caught.value.rule, caught.value.pointer) == ("nesting", "")


def test_references_that_meet_again_and_again_are_read_once() -> None:
    left, right = _parse(_record("L0", x="int")), _parse(_record("R0", x="int"))
    for level in range(1, 9):
        both = (_refer(left.name, left), _refer(right.name, right))
        names = {"x": left.name, "y": right.name}
        left, right = (
            _parse(_record(f"L{level}", **names), *both),
            _parse(_record(f"R{level}", **names), *both),
        )
    assert left.name == "L8"
