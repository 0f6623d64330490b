import json
from typing import Any

import pytest

from schemas.findings import MOST_ITEMS
from schemas.json_schema import json_schema
from schemas.leaf import JsonFlavour
from schemas.schema import parse_schema
from tests.json_schema_oracle import Verdicts

LINE = {
    "type": "record",
    "name": "Line",
    "doc": "One line.",
    "fields": [{"name": "sku", "type": "string"}, {"name": "qty", "type": "int", "default": 1}],
}
ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "namespace": "com.acme",
    "doc": "An order.",
    "fields": [
        {"name": "id", "type": "string", "doc": "Yours, for ever."},
        {"name": "lines", "type": {"type": "array", "items": LINE}},
        {"name": "gift", "type": ["null", "Line"]},
        {
            "name": "state",
            "type": {"type": "enum", "name": "State", "doc": "Where.", "symbols": ["NEW", "OLD"]},
        },
        {"name": "placed", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0},
        {"name": "seen", "type": [{"type": "long", "logicalType": "timestamp-millis"}, "null"]},
        {
            "name": "total",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
            "default": "\x01",
        },
        {"name": "proof", "type": "bytes", "default": "\x00\x01"},
        {"name": "tags", "type": {"type": "map", "values": "string"}, "default": {"a": "b"}},
        {"name": "note", "type": ["string", "long", "null"], "default": "x"},
    ],
}
GOOD = {"id": "A-1", "lines": [{"sku": "x"}], "state": "NEW"}


def described(document: Any, flavour: JsonFlavour = "plain", **rest: str) -> dict[str, Any]:
    root = parse_schema(json.dumps(document)).root
    whole: dict[str, Any] = json.loads(json_schema(root, flavour=flavour, **rest))
    return whole


def judge(flavour: JsonFlavour = "plain") -> Verdicts:
    return Verdicts(parse_schema(json.dumps(ORDER)).root, flavour)


def test_it_says_what_it_is_of_and_of_which_dialect() -> None:
    address = "https://gw.example/v1/types/order.placed/schema?as=jsonschema"
    whole = described(ORDER, address=address, title="order.placed")
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (whole["$id"], whole["title"], whole["description"]) == (address, "order.placed", "An order.")
    assert "$id" not in described(ORDER)
    assert described(ORDER)["title"] == "Order"


def test_only_what_has_no_default_and_no_null_is_required() -> None:
    assert described(ORDER)["required"] == ["id", "lines", "state"]
    assert described(ORDER)["additionalProperties"] is False
    assert "required" not in described({"type": "record", "name": "R", "fields": []})


def test_what_is_used_twice_is_written_once() -> None:
    whole = described(ORDER)
    fields = whole["properties"]
    assert set(whole["$defs"]) == {"com.acme.Line", "logical-timestamp-millis"}
    assert fields["lines"]["items"] == {"$ref": "#/$defs/com.acme.Line"}
    assert fields["placed"]["$ref"] == "#/$defs/logical-timestamp-millis"
    assert fields["state"]["enum"] == ["NEW", "OLD"]
    assert "$defs" not in described(LINE)


def test_doc_becomes_description_where_it_stands() -> None:
    whole = described(ORDER)
    assert whole["properties"]["id"]["description"] == "Yours, for ever."
    assert whole["properties"]["state"]["description"] == "Where."
    assert whole["$defs"]["com.acme.Line"]["description"] == "One line."


def test_defaults_stand_as_people_write_them() -> None:
    fields = described(ORDER)["properties"]
    found = {name: field["default"] for name, field in fields.items() if "default" in field}
    assert found == {
        "gift": None,
        "placed": "1970-01-01T00:00:00.000Z",
        "seen": None,
        "total": "0.01",
        "proof": "AAE=",
        "tags": {"a": "b"},
        "note": "x",
    }


def test_defaults_stand_as_the_avro_json_encoding_has_them() -> None:
    fields = described(ORDER, "avro")["properties"]
    assert (fields["placed"]["default"], fields["proof"]["default"]) == (0, "\x00\x01")
    assert fields["note"]["default"] == {"string": "x"}


@pytest.mark.parametrize("flavour", ["plain", "avro"])
def test_every_default_passes(flavour: JsonFlavour) -> None:
    whole = judge(flavour)
    written = {name: one["default"] for name, one in whole.document["properties"].items() if "default" in one}
    assert whole.both({**GOOD, **written}) == (True, True)


def test_a_union_of_several_says_that_order_counts() -> None:
    fields = described(ORDER)["properties"]
    assert fields["note"]["$comment"] == "The first that fits, in this order."
    assert len(fields["note"]["anyOf"]) == 3
    assert "$comment" not in fields["gift"]
    assert "$comment" not in described(ORDER, "avro")["properties"]["note"]


def test_a_wrapped_union_names_its_branch() -> None:
    gift = described(ORDER, "avro")["properties"]["gift"]["anyOf"]
    assert gift[0] == {"type": "null"}
    assert gift[1]["required"] == ["com.acme.Line"]


CAT = {"type": "record", "name": "Cat", "fields": [{"name": "name", "type": "string"}]}
DOG = {"type": "record", "name": "Dog", "fields": [{"name": "name", "type": "string", "default": ""}]}
LISTS = {"type": "array", "items": ["int", "long"]}


@pytest.mark.parametrize(
    ("kind", "taken", "refused"),
    [
        (
            ["null", CAT, DOG],
            [None, {}, {"name": "x"}, {"Cat": {"name": "x"}}, {"Dog": {}}],
            [{"Cat": {}}, {"null": None}, {"Cat": {"name": "x"}, "Dog": {}}, {"Dog": None}, "x"],
        ),
        (["int", "long"], [1, 1 << 40, {"int": 1}, {"long": 1}], [{"int": 1 << 40}, {}, {"string": 1}, 1.5]),
        (
            [LISTS, {"type": "map", "values": LISTS}, CAT],
            [[], [1 << 40, {"long": 1}], {"array": [1]}, {"map": [1]}, {"Cat": {"name": ""}}],
            [{"x": 1}, [[1]], {"array": 1}, {"map": {"x": [1.5]}}],
        ),
        (["string", {"type": "enum", "name": "E", "symbols": ["A"]}], ["A", "B", {"E": "A"}], [{"E": "B"}]),
    ],
    ids=lambda one: json.dumps(one)[:30],
)
def test_where_branches_look_alike_a_value_may_name_its_own(
    kind: Any, taken: list[Any], refused: list[Any]
) -> None:
    document = {"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]}
    whole = Verdicts(parse_schema(json.dumps(document)).root, "plain")
    assert [one for one in taken if whole.both({"f": one}) != (True, True)] == []
    assert [one for one in refused if whole.both({"f": one}) != (False, False)] == []


def test_unions_in_unions_do_not_double_at_every_level() -> None:
    kind: Any = "long"
    for level in range(14):
        record = {"type": "record", "name": f"R{level}", "fields": [{"name": "x", "type": "int"}]}
        kind = [{"type": "map", "values": kind}, record]
    document = {"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]}
    assert len(json_schema(parse_schema(json.dumps(document)).root, flavour="plain")) < 40_000


@pytest.mark.parametrize(
    ("change", "is_taken"),
    [
        ({}, True),
        ({"lines": []}, True),
        ({"gift": {"sku": "x", "qty": 2}}, True),
        ({"seen": "2026-01-15T00:00:00Z"}, True),
        ({"total": 1.25}, True),
        ({"note": 5}, True),
        ({"tags": {"": "x"}}, True),
        ({"lines": {}}, False),
        ({"lines": [{}]}, False),
        ({"lines": [{"sku": "x", "Qty": 1}]}, False),
        ({"gift": {"sku": "x", "qty": "2"}}, False),
        ({"gift": []}, False),
        ({"state": "GONE"}, False),
        ({"total": "100.00"}, False),
        ({"total": "1.001"}, False),
        ({"note": True}, False),
        ({"tags": {"a": 1}}, False),
        ({"stat": "NEW"}, False),
    ],
)
def test_it_takes_what_the_validator_takes_and_nothing_else(
    change: dict[str, Any], *, is_taken: bool
) -> None:
    assert judge().both({**GOOD, **change}) == (is_taken, is_taken)


def test_nothing_that_is_required_may_be_left_out() -> None:
    for name in GOOD:
        assert judge().both({key: value for key, value in GOOD.items() if key != name}) == (False, False)


def test_no_array_and_no_map_may_have_more_items_than_an_event() -> None:
    fields = described(ORDER)["properties"]
    assert (fields["lines"]["maxItems"], fields["tags"]["maxProperties"]) == (MOST_ITEMS, MOST_ITEMS)


def test_a_name_of_avro_is_never_taken_for_a_logical_type() -> None:
    day = {"type": "int", "logicalType": "date"}
    named = {"type": "fixed", "name": "logical_date", "size": 2}
    fields = [("a", day), ("b", day), ("c", named), ("d", "logical_date")]
    document = {"type": "record", "name": "date", "fields": [{"name": n, "type": t} for n, t in fields]}
    assert set(described(document)["$defs"]) == {"logical-date", "logical_date"}


def test_a_schema_that_names_one_type_over_and_over_stays_small() -> None:
    inner: Any = {"type": "record", "name": "R0", "fields": [{"name": "x", "type": "string"}]}
    for level in range(1, 10):
        fields = [{"name": "a", "type": inner}, {"name": "b", "type": inner["name"]}]
        inner = {"type": "record", "name": f"R{level}", "fields": fields}
    text = json_schema(parse_schema(json.dumps(inner)).root, flavour="plain")
    assert text.count('"maxLength"') == 1
