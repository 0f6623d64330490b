"""Joined ids, digests, places."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners.contract import join_id, pointer_to
from partners.contract_file import attach_files, read_contract

TEXT = "gateway: v1\npartner: acme\nsends:\n  order.placed:\n    schema: a.avsc\n  b: {schema: b.avsc}\n"


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (["A-1"], "A-1"),
        (["a:b%"], "a:b%"),
        (["IBM", "2010-03-01"], "IBM:2010-03-01"),
        (["a:b", "c%"], "a%3Ab:c%25"),
        (["", ""], ":"),
    ],
)
def test_ids_are_joined_by_colons_that_the_parts_cannot_hold(parts: list[str], joined: str) -> None:
    assert join_id(parts) == joined


@given(st.lists(st.text(alphabet="a:%3A25", max_size=6), min_size=2, max_size=4))
def test_a_joined_id_gives_its_parts_back(parts: list[str]) -> None:
    back = [part.replace("%3A", ":").replace("%25", "%") for part in join_id(parts).split(":")]
    assert back == parts


def test_the_digest_covers_text_paths_and_contents() -> None:
    file = attach_files(read_contract(TEXT, name="acme.yaml"), {"a.avsc": "1", "b.avsc": "2"})
    others = [
        replace(file, text=TEXT + "\n"),
        replace(file, files=(("a.avsc", "1"), ("b.avsc", "3"))),
        replace(file, files=(("a.avsc", "1"), ("c.avsc", "2"))),
        replace(file, files=(("a.avsc", "1b.avsc2"),)),
        replace(file, files=()),
    ]
    assert len({file.sha256(), *(other.sha256() for other in others)}) == 1 + len(others)


def test_the_digest_asks_neither_for_the_files_name_nor_for_the_order_of_files() -> None:
    file = attach_files(read_contract(TEXT, name="acme.yaml"), {"a.avsc": "1", "b.avsc": "2"})
    other = replace(file, name="other.yaml", files=(("b.avsc", "2"), ("a.avsc", "1")))
    assert other.sha256() == file.sha256()


def test_the_digest_has_its_known_answer() -> None:
    file = attach_files(read_contract(TEXT, name="acme.yaml"), {"a.avsc": "1", "b.avsc": "2"})
    # Made from the description in the docstring of sha256(), by other code.
    assert file.sha256().hex() == "da6ae48b82078f6c7204b875ccf49309cbce2404cba979c38e284b97bfdad71c"


def test_a_problem_found_later_is_placed_at_the_nearest_line() -> None:
    file = read_contract(TEXT, name="acme.yaml")
    assert str(file.problem("/sends/order.placed/schema", "reference", "no")) == (
        "acme.yaml:5: /sends/order.placed/schema: no"
    )
    assert file.problem("/sends/order.placed/id/0", "reference", "no").line == 4
    assert file.problem("/nowhere", "reference", "no").line == 1


def test_names_are_escaped_in_pointers() -> None:
    assert pointer_to("a/b", "~") == "/a~1b/~0"
