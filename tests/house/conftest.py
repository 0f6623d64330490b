"""The repository as the house tests see it: paths are relative to its root, found without git."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGES = ("audit", "gateway", "partners", "schemas")
_MADE_BY_TOOLS = {"__pycache__", "gateway-data", "node_modules"}


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name not in {".ci", ".dockerignore", ".gitignore"}
        if hidden or path.name in _MADE_BY_TOOLS or path.suffix == ".egg-info":
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def texts(root: Path) -> Mapping[Path, str]:
    """Every text file of the repository."""
    found: dict[Path, str] = {}
    for path in _files(root):
        raw = path.read_bytes()
        if b"\0" not in raw:
            found[path.relative_to(root)] = raw.decode(errors="replace")
    return found


@pytest.fixture(scope="session")
def sources(texts: Mapping[Path, str]) -> Mapping[Path, str]:
    """The Python files of the four packages."""
    return {path: text for path, text in texts.items() if path.suffix == ".py" and path.parts[0] in PACKAGES}


@pytest.fixture(scope="session")
def test_sources(texts: Mapping[Path, str]) -> Mapping[Path, str]:
    """The Python files under tests/."""
    return {path: text for path, text in texts.items() if path.suffix == ".py" and path.parts[0] == "tests"}


@pytest.fixture(scope="session")
def trees(sources: Mapping[Path, str]) -> Mapping[Path, ast.Module]:
    """The four packages, parsed."""
    return {path: ast.parse(text, str(path)) for path, text in sources.items()}


@pytest.fixture(scope="session")
def modules(sources: Mapping[Path, str]) -> tuple[str, ...]:
    """Dotted names of everything importable in the four packages, packages included.

    Left out: Alembic's environment and revisions, which only Alembic can run.
    """
    names = []
    for path in sources:
        parts = path.with_suffix("").parts
        if parts[:2] == ("gateway", "migrations") and len(parts) > 2 and parts[-1] != "__init__":
            continue
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return tuple(names)
