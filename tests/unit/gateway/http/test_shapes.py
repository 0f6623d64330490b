import jsonschema
import pytest

from gateway.http.shapes import (
    TEXT,
    Shape,
    any_of,
    listed,
    mapped,
    maybe,
    page_of,
    record,
    ref,
    text,
    whole,
    word,
)


@pytest.mark.parametrize(
    ("shape", "good", "bad"),
    [
        (text("[a-z]+", most=3), "abc", "abcd"),
        (text("[a-z]+"), "abc", "abc1"),
        (text(least=1), "a", ""),
        (word("yes", "no"), "no", "maybe"),
        (maybe(word("yes")), None, "no"),
        (maybe(TEXT), None, 1),
        (maybe(any_of(TEXT, whole())), None, []),
        (whole(1, 9), 9, 10),
        (whole(), 1 << 40, -1),
        (listed(TEXT, most=1), ["a"], ["a", "b"]),
        (mapped(whole()), {"a": 1}, {"a": "1"}),
        (record({"a": TEXT}, optional={"b": TEXT}), {"a": "", "new": 1}, {"b": ""}),
        (page_of(TEXT), {"items": ["a"], "next": None}, {"items": ["a"]}),
    ],
)
def test_a_shape_takes_what_it_says_and_nothing_else(shape: Shape, good: object, bad: object) -> None:
    validator = jsonschema.Draft202012Validator(shape)
    assert validator.is_valid(good)
    assert not validator.is_valid(bad)


def test_a_named_shape_may_be_null_too() -> None:
    assert maybe(ref("Receipt")) == {"anyOf": [ref("Receipt"), {"type": "null"}]}
