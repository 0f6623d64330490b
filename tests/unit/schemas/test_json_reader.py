from decimal import Decimal
from typing import Any

import pytest

from schemas.errors import DatumError, JsonTextError
from schemas.json_reader import members, read_json, split_array


def _faults(raw: bytes) -> list[tuple[str, str]]:
    with pytest.raises(DatumError) as caught:
        read_json(raw)
    return [(fault.pointer, fault.code) for fault in caught.value.faults]


def test_numbers_keep_their_digits() -> None:
    value = read_json(b'{"a":16007.06,"b":0.10,"c":1}')
    assert value == {"a": Decimal("16007.06"), "b": Decimal("0.10"), "c": 1}
    assert str(value["b"]) == "0.10"


@pytest.mark.parametrize(
    ("raw", "faults"),
    [
        (b'{"a":1,"a":2}', [("/a", "duplicate_key")]),
        (b'{"x":{"a~/b":1,"a~/b":2}}', [("/x/a~0~1b", "duplicate_key")]),
        (b'{"a":1,"a":{"b":NaN}}', [("/a", "duplicate_key"), ("/a/b", "range")]),
        (
            b"[NaN,Infinity,-Infinity,1e999]",
            [("/0", "range"), ("/1", "range"), ("/2", "range"), ("/3", "range")],
        ),
        (b"[9223372036854775808,-9223372036854775809]", [("/0", "range"), ("/1", "range")]),
        (b"[" + b"1" * 5000 + b"]", [("/0", "range")]),
        (b"[1." + b"1" * 5000 + b"]", [("/0", "range")]),
        (b"[1e99999999999999999999]", [("/0", "range")]),
        (b'{"a":["\\ud800"]}', [("/a/0", "encoding")]),
        (b'{"\\udc00x":1}', [("/?x", "encoding")]),
        (b"[" * 65 + b"]" * 65, [("/0" * 64, "depth")]),
        (b"[" * 5000 + b"]" * 5000, [("/0" * 64, "depth")]),
        (b'{"a":' * 65 + b"1" + b"}" * 65, [("/a" * 64, "depth")]),
    ],
)
def test_faults_of_the_event_are_all_named(raw: bytes, faults: list[tuple[str, str]]) -> None:
    assert _faults(raw) == faults


@pytest.mark.parametrize(
    "raw", [b"[9223372036854775807,-9223372036854775808]", b"[" * 64 + b"]" * 64, b'"\\ud83d\\ude00"']
)
def test_limits_themselves_are_taken(raw: bytes) -> None:
    read_json(raw)


def test_brackets_in_strings_do_not_nest() -> None:
    assert read_json(b'["' + b"[" * 500 + b'\\""]') == ["[" * 500 + '"']


@pytest.mark.parametrize(
    ("raw", "offset", "line"),
    [
        (b"", 0, 1),
        (b"\xef\xbb\xbf{}", 0, 1),
        ('{"a":1}'.encode("utf-16"), 0, 1),
        ('{"a":1}'.encode("utf-16-be"), 0, 1),
        (b'{"a":\n "\xff"}', 8, 2),
        (b"{} x", 3, 1),
        (b"[1,\n2,\n!]", 7, 3),
        (b"01", 1, 1),
        (b"[1 2]", 3, 1),
        (b'{"a" 1}', 5, 1),
        (b"{1:2}", 1, 1),
        (b'["a\nb"]', 3, 1),
        (b'["\\x"]', 2, 1),
        (b'{"a":1', 6, 1),
        (b"nul", 0, 1),
        (b"[" * 100_000, 100_000, 1),
    ],
)
def test_what_is_no_json_is_refused_with_offset_and_line(raw: bytes, offset: int, line: int) -> None:
    with pytest.raises(JsonTextError) as caught:
        read_json(raw)
    assert (caught.value.code, caught.value.offset, caught.value.line) == ("body_malformed", offset, line)


def test_an_array_is_split_into_exact_slices() -> None:
    assert split_array(b' [ 1.50 , {"a" : [2]} ,"\xc3\xa9" ] ') == [b"1.50", b'{"a" : [2]}', b'"\xc3\xa9"']
    assert split_array(b"[ ]") == []


def test_no_more_elements_are_split_than_asked_for() -> None:
    assert split_array(b"[1,2]", most=2) == [b"1", b"2"]
    with pytest.raises(DatumError) as caught:
        split_array(b"[1,2,3,", most=2)
    assert caught.value.faults[0].code == "length"


def test_errors_after_what_is_too_deep_keep_their_offset() -> None:
    with pytest.raises(JsonTextError) as caught:
        read_json(b"[" + b"[" * 100 + b"]" * 100 + b",\n?]")
    assert (caught.value.offset, caught.value.line) == (203, 2)


def test_names_that_stand_twice_in_very_many_objects_are_one_fault() -> None:
    for count, told in ((100, 100), (101, 1)):
        with pytest.raises(DatumError) as caught:
            read_json(b"[" + b",".join([b'{"a":0,"a":1}'] * count) + b"]")
        assert caught.value.total == told
        assert {fault.code for fault in caught.value.faults} == {"duplicate_key"}


def test_a_faulty_element_does_not_spoil_its_neighbours() -> None:
    deep = b"[" * 200 + b"]" * 200
    assert split_array(b'[{"a":1,"a":2},NaN,' + deep + b",1]") == [b'{"a":1,"a":2}', b"NaN", deep, b"1"]


def test_many_elements_that_nest_too_deep_are_taken_apart_in_one_pass() -> None:
    deep = b'["]",' * 20_000 + b"0" + b"]" * 20_000
    elements = split_array(b"[" + b",".join([deep] * 20) + b"]")
    assert elements == [deep] * 20


@pytest.mark.parametrize("raw", [b"[1,]", b"[,1]", b"[1 2]", b"[1", b"[", b"[1]x", b"nul", b"[{]"])
def test_an_array_that_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(JsonTextError):
        split_array(raw)


@pytest.mark.parametrize("read", [split_array, members])
def test_another_top_than_wanted_is_a_type_fault(read: Any) -> None:
    with pytest.raises(DatumError) as caught:
        read(b'"x"')
    assert caught.value.faults[0].code == "type"


def test_members_are_exact_slices() -> None:
    assert members(b' { "a" : 1.50 , "b":{"a":[2]},"\\u00e9":"\xc3\xa9" } ') == [
        ("a", b"1.50"),
        ("b", b'{"a":[2]}'),
        ("é", b'"\xc3\xa9"'),
    ]
    assert members(b"{ }") == []


@pytest.mark.parametrize(
    ("raw", "fault"), [(b'{"a":1,"a":1}', ("/a", "duplicate_key")), (b'{"\\ud800":1}', ("/?", "encoding"))]
)
def test_doubled_and_unprintable_members_are_faults(raw: bytes, fault: tuple[str, str]) -> None:
    with pytest.raises(DatumError) as caught:
        members(raw)
    assert (caught.value.faults[0].pointer, caught.value.faults[0].code) == fault


@pytest.mark.parametrize(
    "raw", [b'{"a":1,}', b'{"a"}', b'{"a":}', b'{"a":1', b'{"a":1}x', b"{a:1}", b'{"a":1 "b":2}']
)
def test_an_object_that_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(JsonTextError):
        members(raw)
