"""YAML to located nodes."""

import pytest

from partners.errors import ContractFileError, Problem
from partners.yaml_tree import MAX_DEPTH, MAX_NODES, Items, Members, Scalar, read_tree, walk


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ContractFileError) as caught:
        read_tree(text, name="a.yaml")
    return caught.value.problems


def test_nodes_know_their_lines() -> None:
    root = read_tree("a:\n  b: 1\n  c: [x,\n      y]\n", name="a.yaml")
    assert dict(walk(root)) == {"": 1, "/a": 1, "/a/b": 2, "/a/c": 3, "/a/c/0": 3, "/a/c/1": 4}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("0755", "0755"),
        ("0x1f", "0x1f"),
        ("1e3", "1e3"),
        ("1_000", "1_000"),
        ("2026-11-22", "2026-11-22"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("1" * 19, "1" * 19),
    ],
)
def test_only_plain_words_and_numbers_are_other_than_text(text: str, value: object) -> None:
    root = read_tree(f"a: {text}", name="a.yaml")
    assert isinstance(root, Members)
    scalar = root.members["a"]
    assert isinstance(scalar, Scalar)
    assert scalar.value == value
    assert type(scalar.value) is type(value)


def test_all_duplicate_keys_are_reported_with_both_lines() -> None:
    found = problems("a:\n  x: 1\n  y: 2\n  x: 3\nb: 1\na: 2\n")
    assert [(one.line, one.pointer, one.code) for one in found] == [
        (4, "/a/x", "duplicate_key"),
        (6, "/a", "duplicate_key"),
    ]
    assert "line 2" in found[0].detail


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("a: 1\nb: &x 1", 2, "not_allowed"),
        ("a: *x", 1, "not_allowed"),
        ("a: &a [*a]", 1, "not_allowed"),
        ("a: !!int 1", 1, "not_allowed"),
        ("a: !x 1", 1, "not_allowed"),
        ("a: !!python/object/apply:os.system [id]", 1, "not_allowed"),
        ("- !!python/name:os.system ''", 1, "not_allowed"),
        ("<<: {a: 1}", 1, "not_allowed"),
        ("a: 1\n---\nb: 2", 2, "not_allowed"),
        ("%YAML 1.2\n---\na: 1", 1, "not_allowed"),
        ("%TAG ! tag:x,2000:\n---\na: 1", 1, "not_allowed"),
        ('a: "\\ud800"', 1, "not_allowed"),
        ('a: "\\0"', 1, "not_allowed"),
        ("? [a]\n: 1", 1, "type"),
        ("", 1, "missing"),
        ("# only a comment\n", 1, "missing"),
        ("a: b: c", 1, "syntax"),
        ("a:\n\tb: 1", 2, "syntax"),
        ("a: [1, 2", 1, "syntax"),
        ("a: 1\nb: \x07", 2, "syntax"),
        ('a: "\\UFFFFFFFF"', 1, "syntax"),
        ("%YAML " + "1" * 5_000 + ".1\n---\n", 1, "syntax"),
        ("a: " + "x" * 5_000, 1, "length"),
        ("[" * (MAX_DEPTH + 1), 1, "depth"),
        ("- " * (MAX_DEPTH + 1) + "a", 1, "depth"),
        ("- a\n" * MAX_NODES, MAX_NODES, "length"),
        ("#" * (1024 * 1024 + 1), 1, "length"),
        ("é" * (600 * 1024), 1, "length"),
    ],
)
def test_what_a_contract_does_not_need_is_refused_at_its_line(text: str, line: int, code: str) -> None:
    assert [(one.line, one.code) for one in problems(text)] == [(line, code)]


def test_depth_up_to_the_limit_is_read() -> None:
    node = read_tree("[" * MAX_DEPTH + "]" * MAX_DEPTH, name="a.yaml")
    depth = 1
    while isinstance(node, Items) and node.items:
        node, depth = node.items[0], depth + 1
    assert depth == MAX_DEPTH


def test_a_tab_is_explained() -> None:
    assert "spaces" in problems("a:\n\tb: 1")[0].detail
