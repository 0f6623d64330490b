"""What a filter passes, and how it is read."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners.errors import SlotError
from partners.filter import Filter, compile_filter, placed_checks, with_numbers, written
from partners.filter_form import read_filter
from partners.form import Sink, Slot
from partners.yaml_tree import read_tree, tree_of


def read(value: Any) -> tuple[Filter | None, list[tuple[str, str]]]:
    sink = Sink("", [])
    found = Slot(tree_of(value), "/filter", 1, sink).read(read_filter, None)
    return found, [(one.pointer, one.code) for one in sink.problems]


def passes(value: Any, data: Any) -> bool:
    found, faults = read(value)
    assert found is not None
    assert not faults
    found = with_numbers(found, {"/n", "/price", "/total"}.__contains__)
    return compile_filter(found)(json.loads(json.dumps(data), parse_float=Decimal))


DATA = {
    "id": "A-1",
    "n": 5,
    "price": 12.5,
    "total": "12.50",
    "is_paid": True,
    "at": "2026-01-31T12:00:00.5Z",
    "day": "2026-01-31",
    "note": None,
    "empty": "",
    "version": "1.10",
    "to": {"country": "DE", "a/b": 1},
}


@pytest.mark.parametrize(
    ("check", "is_passed"),
    [
        ({"pointer": "/id", "equals": "A-1"}, True),
        ({"pointer": "/id", "equals": "A-2"}, False),
        ({"pointer": "/n", "equals": 5}, True),
        ({"pointer": "/n", "equals": "5"}, True),
        ({"pointer": "/n", "equals": True}, False),
        ({"pointer": "/is_paid", "equals": True}, True),
        ({"pointer": "/is_paid", "equals": 1}, False),
        ({"pointer": "/price", "equals": 12.5}, True),
        ({"pointer": "/total", "equals": 12.5}, True),
        ({"pointer": "/total", "in": ["12.5"]}, True),
        ({"pointer": "/version", "equals": "1.1"}, False),
        ({"pointer": "/version", "equals": "1.10"}, True),
        ({"pointer": "/version", "in": [1]}, False),
        ({"pointer": "/total", "above": 12.49, "below": "12.51"}, True),
        ({"pointer": "/empty", "equals": ""}, True),
        ({"pointer": "/id", "equals": ""}, False),
        ({"pointer": "/note", "equals": ""}, False),
        ({"pointer": "/empty", "in": ["", "x"]}, True),
        ({"pointer": "/n", "in": [1, 5]}, True),
        ({"pointer": "/n", "in": [1, 2]}, False),
        ({"pointer": "/n", "above": 5}, False),
        ({"pointer": "/n", "at_least": 5}, True),
        ({"pointer": "/n", "below": 5}, False),
        ({"pointer": "/n", "at_most": 5}, True),
        ({"pointer": "/id", "above": 5}, False),
        ({"pointer": "/is_paid", "above": 0}, False),
        ({"pointer": "/at", "above": "2026-01-31T13:00:00+01:00"}, True),
        ({"pointer": "/at", "at_most": "2026-01-31T12:00:00.500000000Z"}, True),
        ({"pointer": "/at", "equals": "2026-01-31T13:00:00.500+01:00"}, True),
        ({"pointer": "/at", "above": "2026-01-31"}, False),
        ({"pointer": "/day", "at_least": "2026-01-31"}, True),
        ({"pointer": "/day", "below": "2026-01-31"}, False),
        ({"pointer": "/note", "exists": True}, False),
        ({"pointer": "/note", "exists": False}, True),
        ({"pointer": "/nowhere/else", "exists": False}, True),
        ({"pointer": "/id/deeper", "exists": True}, False),
        ({"pointer": "/to/country", "equals": "DE"}, True),
        ({"pointer": "/to/a~1b", "exists": True}, True),
        ({"pointer": "/to", "equals": "DE"}, False),
        ({"all": [{"pointer": "/n", "equals": 5}, {"pointer": "/id", "equals": "A-1"}]}, True),
        ({"all": [{"pointer": "/n", "equals": 5}, {"pointer": "/id", "equals": "A-2"}]}, False),
        ({"any": [{"pointer": "/n", "equals": 6}, {"pointer": "/id", "equals": "A-1"}]}, True),
        ({"not": {"any": [{"pointer": "/n", "equals": 6}, {"pointer": "/note", "exists": True}]}}, True),
    ],
)
def test_a_filter_decides(check: dict[str, Any], is_passed: bool) -> None:  # noqa: FBT001 - the table's
    assert passes(check, DATA) is is_passed


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        ("x", [("/filter", "type")]),
        ({}, [("/filter", "format")]),
        ({"all": [], "any": []}, [("/filter", "format")]),
        ({"all": []}, [("/filter/all", "length")]),
        ({"pointer": "/n"}, [("/filter", "missing")]),
        ({"pointer": "n", "equals": 1}, [("/filter/pointer", "format")]),
        ({"pointer": "/n", "equal": 1}, [("/filter", "missing")]),
        ({"pointer": "/n", "equals": 1, "equal": 1}, [("/filter/equal", "unknown_field")]),
        ({"pointer": "/n", "equals": None}, [("/filter/equals", "type")]),
        ({"pointer": "/n", "equals": [1]}, [("/filter/equals", "type")]),
        ({"pointer": "/n", "in": []}, [("/filter/in", "length")]),
        ({"pointer": "/n", "in": [1, 1]}, [("/filter/in/1", "duplicate_key")]),
        ({"pointer": "/n", "in": list(range(101))}, [("/filter/in", "length")]),
        ({"pointer": "/n", "above": True}, [("/filter/above", "format")]),
        ({"pointer": "/n", "above": ""}, [("/filter/above", "format")]),
        ({"pointer": "/n", "above": "soon"}, [("/filter/above", "format")]),
        ({"pointer": "/n", "above": "1e9999"}, [("/filter/above", "format")]),
        ({"pointer": "/n", "exists": 1}, [("/filter/exists", "type")]),
        ({"all": [{"pointer": "/n", "equals": 1}, 5]}, [("/filter/all/1", "type")]),
        ({"not": {"not": {"not": {"not": {"not": {}}}}}}, [("/filter/not/not/not/not/not", "depth")]),
    ],
)
def test_each_fault_is_told_where_it_is(value: Any, faults: list[tuple[str, str]]) -> None:
    assert read(value)[1] == faults


def test_a_filter_has_so_many_checks_at_most() -> None:
    listed = [{"pointer": f"/n{index}", "exists": True} for index in range(40)]
    assert read({"any": [{"all": listed}, {"all": listed}]})[1] == [("/filter", "length")]
    assert read({"any": [{"pointer": "/n", "exists": True}] * 65})[1] == [("/filter/any", "length")]


def test_data_that_is_nested_without_end_is_no_filter() -> None:
    value: Any = {"pointer": "/n", "exists": True}
    for _ in range(5_000):
        value = {"not": value}
    with pytest.raises(SlotError, match="deeper"):
        tree_of(value)


def test_yaml_and_json_are_read_alike() -> None:
    text = 'any:\n- {pointer: /price, above: 12.25, at_most: 100}\n- {pointer: /id, in: [A-1, "7", 7]}\n'
    sink = Sink("", [])
    from_yaml = Slot(read_tree(text, name="f"), "", 1, sink).read(read_filter, None)
    from_json, _ = read(
        {
            "any": [
                {"pointer": "/price", "above": 12.25, "at_most": 100},
                {"pointer": "/id", "in": ["A-1", "7", 7]},
            ]
        }
    )
    assert from_yaml == from_json
    assert not sink.problems


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
_OPERAND = st.booleans() | st.integers(-9, 9) | st.sampled_from(["x", "1.5", "2026-01-31", "-0"])
_BOUND = st.integers(-9, 9) | st.sampled_from(["1.5", "2026-01-31", "2026-01-31T00:00:00Z"])
_CHECK = st.fixed_dictionaries(
    {"pointer": st.sampled_from(["/a", "/a/b", "/c/a"])},
    optional={"exists": st.booleans(), "equals": _OPERAND, "above": _BOUND, "at_most": _BOUND},
).filter(lambda one: len(one) > 1)
_FILTER = st.recursive(
    _CHECK,
    lambda inner: (
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"not": inner})
    ),
    max_leaves=4,
)


@given(_FILTER, _VALUES)
def test_whatever_the_data_is_a_filter_says_yes_or_no(value: Any, data: Any) -> None:
    found, faults = read(value)
    if faults:
        assert {code for _, code in faults} == {"depth"}
        return
    assert found is not None
    assert compile_filter(found)(data) in {True, False}
    assert read(written(found))[0] == found
    assert len(list(placed_checks(found))) >= 1
