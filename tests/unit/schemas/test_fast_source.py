import pytest

from schemas.fast_source import Source, source_of, wants_of


def test_lines_stand_in_their_blocks_and_constants_under_their_names() -> None:
    source = Source()
    value = object()
    with source.block("def give():"), source.block("if True:"):
        source.line(f"return {source.constant('value', value)}")
    give = source.functions("test")["give"]
    assert give() is value
    assert source_of(give).startswith("def give():\n    if True:\n        return VALUE")


def test_one_object_has_one_name_and_equal_ones_have_two() -> None:
    source = Source()
    one, other = [1], [1]
    assert source.constant("a", one) == source.constant("b", one)
    assert source.constant("a", one) != source.constant("a", other)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([], "b''"),
        ([b"a", b"b"], "b'ab'"),
        (["x", b"a", b"", b"b", "y"], "x + b'ab' + y"),
        (["x", "y if y else z"], "x + (y if y else z)"),
        (["x", b"a", "y", b"b"], "join((x, b'a', y, b'b'))"),
    ],
)
def test_pieces_that_are_always_the_same_become_one(pieces: list[bytes | str], text: str) -> None:
    assert Source().joined(pieces) == text


def test_wants_lead_to_the_ends_of_pointers() -> None:
    assert wants_of(()) is None
    assert wants_of(("/a", "/b/c", "/b/d")) == {"a": {}, "b": {"c": {}, "d": {}}}
    assert wants_of(("/a~1b~0c",)) == {"a/b~c": {}}
