"""Files and functions stay short enough to be read in one go."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

FILE_LINES = 400
TEST_FILE_LINES = 600
FUNCTION_LINES = 60
USUAL_FUNCTION_LINES = 30
USUAL_SHARE = 0.9


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Name and number of lines of each function, from `def` to its last line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{node.name} (line {node.lineno})", (node.end_lineno or node.lineno) - node.lineno + 1


def too_long(texts: Mapping[Path, str], limit: int) -> list[str]:
    """Files over the limit, with their lengths."""
    lengths = {path: text.count("\n") for path, text in texts.items()}
    return [f"{path}: {lines} lines" for path, lines in lengths.items() if lines > limit]


def test_source_files_are_at_most_400_lines(sources: Mapping[Path, str]) -> None:
    assert sources
    assert too_long(sources, FILE_LINES) == []


def test_test_files_are_at_most_600_lines(test_sources: Mapping[Path, str]) -> None:
    assert test_sources
    assert too_long(test_sources, TEST_FILE_LINES) == []


def test_functions_are_at_most_60_lines(
    sources: Mapping[Path, str], test_sources: Mapping[Path, str]
) -> None:
    found = [
        f"{path}: {name}: {lines} lines"
        for path, text in {**sources, **test_sources}.items()
        for name, lines in functions(ast.parse(text))
        if lines > FUNCTION_LINES
    ]
    assert found == []


def test_nine_functions_in_ten_are_at_most_30_lines(trees: Mapping[Path, ast.Module]) -> None:
    lengths = [lines for tree in trees.values() for _, lines in functions(tree)]
    short = sum(lines <= USUAL_FUNCTION_LINES for lines in lengths)
    assert short >= USUAL_SHARE * len(lengths), f"{short} of {len(lengths)}"


def test_the_measure_counts_methods_and_nested_functions() -> None:
    tree = ast.parse(
        "class A:\n    async def b(self):\n        def c():\n            pass\n        return c\n"
    )
    assert dict(functions(tree)) == {"b (line 2)": 4, "c (line 3)": 2}
