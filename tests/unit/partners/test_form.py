"""Readers of single values, and the words for what is wrong."""

import pytest

from partners import form
from partners.errors import SlotError
from partners.form import Sink, Slot
from partners.yaml_tree import Scalar, Value


def slot(value: Value) -> Slot:
    return Slot(Scalar(3, value), "/here", 3, Sink("a.yaml", []))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("15s", 15),
        ("5m", 300),
        ("24h", 86_400),
        ("90d", 7_776_000),
        ("2w", 1_209_600),
        ("1y", 31_536_000),
    ],
)
def test_durations_are_read_in_seconds(text: str, seconds: int) -> None:
    assert form.duration(0, 40_000_000)(slot(text)) == seconds


@pytest.mark.parametrize("value", ["", "5", 5, "5 m", "-5m", "05m", "5M", "1h30m", "1.5h", "5ms", True, None])
def test_what_is_no_duration_is_refused_with_an_example(value: Value) -> None:
    with pytest.raises(SlotError, match="24h"):
        form.duration(0, 100)(slot(value))


@pytest.mark.parametrize(
    ("text", "count"), [("0B", 0), ("512B", 512), ("256KiB", 262_144), ("5GiB", 5 * 2**30)]
)
def test_sizes_are_read_in_bytes(text: str, count: int) -> None:
    assert form.size(0, 2**40)(slot(text)) == count


@pytest.mark.parametrize("value", ["", "5", 5, "5GB", "5 GiB", "-1B", "1.5GiB", "5gib", None])
def test_what_is_no_size_is_refused_with_an_example(value: Value) -> None:
    with pytest.raises(SlotError, match="256KiB"):
        form.size(0, 2**40)(slot(value))


@pytest.mark.parametrize(("low", "high", "words"), [(0, 60, "0d to 1m"), (3_600, 172_800, "1h to 2d")])
def test_a_range_is_told_in_the_units_of_the_file(low: int, high: int, words: str) -> None:
    with pytest.raises(SlotError, match=words):
        form.duration(low, high)(slot("90d"))


@pytest.mark.parametrize("text", ["/a", "/a/0/b", "/a~0b~1c", "/", "/a b", "//"])
def test_pointers_are_kept_as_written(text: str) -> None:
    assert form.pointer(slot(text)) == text


@pytest.mark.parametrize("text", ["a", "a/b", "/a~", "/a~2", "#/a", "/" + "a" * 512])
def test_what_is_no_pointer_is_refused(text: str) -> None:
    with pytest.raises(SlotError):
        form.pointer(slot(text))


def test_the_near_word_is_offered_else_all() -> None:
    assert form.did_you_mean("recieves", ["sends", "receives"]) == "; did you mean 'receives'?"
    assert form.did_you_mean("zzz", ["sends", "receives"]) == "; one of: receives, sends"
    assert form.did_you_mean("zzz", []) == ""


def test_a_refused_value_is_noted_at_its_place_and_the_default_taken() -> None:
    one = slot("x")
    assert one.read(form.flag, None) is None
    assert [str(problem) for problem in one.sink.problems] == [
        "a.yaml:3: /here: is text; write true or false"
    ]


def test_words_from_the_file_are_cut_and_cleaned_before_they_are_shown() -> None:
    assert form.shown("a\x1bb") == "a?b"
    assert len(form.shown("a" * 1_000)) < 100
