"""An exception to a rule carries its code and its reason; calls that lose events are not made at all."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

# Attribute calls that ruff cannot see on an instance, with the reason.
BANNED_CALLS = {
    "add_all": "five times slower than session.execute(insert(Row), rows)",
    "produce_batch": "drops headers without a word",
}
EXCEPTION = re.compile(r"#\s*(noqa|type:\s*ignore|pragma:\s*no)\b", re.IGNORECASE)
REASONED = re.compile(
    r"#\s*(noqa:\s*[A-Z]+\d+(\s*,\s*[A-Z]+\d+)*|type:\s*ignore\[[\w, -]+\])\s*[-#:;(]*\s*\w.{7,}",
    re.IGNORECASE,
)


def comments(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of every comment, strings not mistaken for one."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def unreasoned(comment: str) -> bool:
    """Whether a comment switches a check off without a code and a reason."""
    return any(not REASONED.match(comment, match.start()) for match in EXCEPTION.finditer(comment))


def test_switched_off_checks_carry_code_and_reason(
    sources: Mapping[Path, str], test_sources: Mapping[Path, str]
) -> None:
    found = [
        f"{path}:{line}: {comment}"
        for path, text in {**sources, **test_sources}.items()
        for line, comment in comments(text)
        if unreasoned(comment)
    ]
    assert found == []


@pytest.mark.parametrize(
    "comment", ["# noqa", "# noqa: S608", "# type: ignore", "# type: ignore[misc]", "# noqa: S608 -"]
)
def test_a_bare_exception_is_seen(comment: str) -> None:
    assert unreasoned(comment)


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: S608 - the table name is ours",
        "# noqa: S608, PLR0911  # a table of answers, one a line",
        "# type: ignore[misc]  # the library ships no types",
        "# says noqatall",
    ],
)
def test_a_reasoned_exception_passes(comment: str) -> None:
    assert not unreasoned(comment)


def banned_calls(tree: ast.Module) -> Iterator[str]:
    """Calls of a banned attribute on whatever object."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in BANNED_CALLS
        ):
            yield f"line {node.lineno}: {node.func.attr}: {BANNED_CALLS[node.func.attr]}"


def test_calls_that_cost_or_lose_are_not_made(trees: Mapping[Path, ast.Module]) -> None:
    assert [f"{path}: {call}" for path, tree in trees.items() for call in banned_calls(tree)] == []


def test_a_banned_call_is_seen_on_an_instance() -> None:
    assert list(banned_calls(ast.parse("self.session.add_all(rows)")))
