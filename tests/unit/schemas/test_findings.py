import pytest

from schemas.avro_type import Array, AvroType, Enumeration, Map, Primitive, Record, Union, describe
from schemas.errors import DatumError, MisfitError
from schemas.fault import Path, format_pointer
from schemas.findings import MOST_COUNTED, MOST_FAULTS, MOST_FILLED_BYTES, MOST_ITEMS, Findings, Trial

_AT: Path = (None, "lines")


def test_a_datum_without_faults_is_verified_in_silence() -> None:
    findings = Findings()
    findings.fill(_AT, MOST_FILLED_BYTES)
    assert findings.count(_AT, MOST_ITEMS)
    findings.verify()


def test_a_hundred_faults_are_kept_ten_thousand_are_counted_and_then_it_ends() -> None:
    findings = Findings()
    for _ in range(MOST_COUNTED - 1):
        findings.add(_AT, "type", "is a number")
    assert (len(findings.faults), findings.total) == (MOST_FAULTS, MOST_COUNTED - 1)
    with pytest.raises(DatumError) as caught:
        findings.add(_AT, "type", "is a number")
    assert (len(caught.value.faults), caught.value.total) == (MOST_FAULTS, MOST_COUNTED)


def test_items_and_what_is_filled_in_are_counted_over_the_whole_datum() -> None:
    findings = Findings()
    assert findings.count(_AT, MOST_ITEMS)
    assert not findings.count((_AT, 1), 1)
    findings.fill(_AT, MOST_FILLED_BYTES)
    with pytest.raises(DatumError) as caught:
        findings.fill((_AT, 2), 1)
    assert [(fault.pointer, fault.code) for fault in caught.value.faults] == [
        ("/lines/1", "length"),
        ("/lines/2", "length"),
    ]


def test_an_unknown_name_is_held_against_few_names_however_many_there_are() -> None:
    findings, looked_at = Findings(), 0
    for _ in range(50):
        known = iter([f"name{n}" for n in range(300)])
        findings.unknown(_AT, "name", known)
        looked_at += 300 - len(list(known))
    assert looked_at < 1_000
    assert findings.faults[0].text == "did you mean /lines/name0?"
    assert findings.faults[-1].text == "is not a field of the schema"


def test_a_trial_ends_at_its_first_fault_of_any_kind() -> None:
    for end in (
        lambda: Trial().add(_AT, "type", "is a number"),
        lambda: Trial().unknown(_AT, "a", ["b"]),
        lambda: Trial().count(_AT, MOST_ITEMS + 1),
        lambda: Trial().fill(_AT, MOST_FILLED_BYTES + 1),
        lambda: Trial().stop(_AT, "length", "is too long"),
    ):
        with pytest.raises(MisfitError):
            end()


def test_types_of_any_size_are_described_in_few_words() -> None:
    kind: AvroType = Enumeration("E", tuple(f"S{n}" for n in range(1_000)))
    assert describe(kind) == "one of S0, S1, S2, S3, S4, S5, S6, S7, S8, S9 (and 990 more)"
    for _ in range(10):
        kind = Union(
            (Primitive("null"), Array(kind), *(Record("a." + "r" * 100 + str(n), ()) for n in range(30)))
        )
    assert len(describe(kind)) <= 301
    assert describe(Map(Array(Map(Array(Primitive("int")))))) == "map of array of map of array of …"


def test_a_pointer_is_cut_as_a_whole_too() -> None:
    path: Path = None
    for _ in range(64):
        path = (path, "é" * 200)
    pointer = format_pointer(path)
    assert len(pointer) == 1_001
    assert pointer.endswith("…")
