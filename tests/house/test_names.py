"""Names say what a thing is; packages hold a docstring; tests mirror the sources."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

BANNED = {"manager", "helper", "util", "common", "data", "info", "process", "handler"}
# Names that another library looks up, so that we cannot choose them.
THEIRS = {
    "data_received",
    "feed_data",
    "get_extra_info",
    "process_bind_param",
    "process_result_value",
    "process_revision_directives",
}


def words(name: str) -> set[str]:
    """Words of a snake_case or CamelCase name, lower case, singular."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return {word.lower().removesuffix("s") if word.lower() != "process" else "process" for word in found}


def named(path: Path, tree: ast.Module) -> Iterator[str]:
    """The names of a module, of its folders, classes and functions."""
    yield from path.with_suffix("").parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def test_no_name_says_nothing(trees: Mapping[Path, ast.Module]) -> None:
    found = {
        f"{path}: {name}"
        for path, tree in trees.items()
        for name in named(path, tree)
        if words(name) & BANNED and name not in THEIRS
    }
    assert sorted(found) == []


@pytest.mark.parametrize(
    "name", ["StoreManager", "path_utils", "HTTPInfo", "process", "process_batch", "JSONData", "_handlers"]
)
def test_banned_words_are_seen_in_either_spelling(name: str) -> None:
    assert words(name) & BANNED


@pytest.mark.parametrize("name", ["database", "Metadata", "informed", "processing", "commonly"])
def test_words_that_only_contain_a_banned_one_are_free(name: str) -> None:
    assert not words(name) & BANNED


def test_packages_hold_only_a_docstring(trees: Mapping[Path, ast.Module]) -> None:
    roots = {path: tree for path, tree in trees.items() if path.name == "__init__.py"}
    assert roots
    assert [
        str(path) for path, tree in roots.items() if len(tree.body) != 1 or not ast.get_docstring(tree)
    ] == []


def test_every_source_folder_is_a_package(sources: Mapping[Path, str]) -> None:
    folders = {path.parent for path in sources if path.parent != Path("gateway/migrations/versions")}
    assert sorted(str(folder) for folder in folders if folder / "__init__.py" not in sources) == []


def test_unit_tests_stand_where_their_module_stands(
    sources: Mapping[Path, str], test_sources: Mapping[Path, str]
) -> None:
    units = [
        path for path in test_sources if path.parts[:2] == ("tests", "unit") and path.name.startswith("test_")
    ]
    strays = []
    for path in units:
        folder = Path(*path.parts[2:-1])
        modules = {source.stem for source in sources if source.parent == folder}
        modules |= {folder.name} | {
            source.parent.name for source in sources if source.parent.parent == folder
        }
        subject = path.stem.removeprefix("test_")
        if not any(subject == module or subject.startswith(f"{module}_") for module in modules):
            strays.append(f"{path}: {folder} has no {subject}")
    assert strays == []


def test_test_files_have_names_of_their_own(test_sources: Mapping[Path, str]) -> None:
    names = Counter(path.name for path in test_sources if path.name.startswith("test_"))
    assert [name for name, times in names.items() if times > 1] == []
