"""What stands in the files around the code: locks, addresses, commands, links."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

LOCKS = ("requirements.txt", "requirements-dev.txt")
# Spelled in parts, so that this file does not name what it forbids.
INDEX_HOSTS = (
    "py" + "pi.org",
    "py" + "pi.python.org",
    "python" + "hosted.org",
    "repo." + "maven.apache.org",
    "repo1." + "maven.org",
    "registry." + "npmjs.org",
    "deb." + "debian.org",
    "archive." + "ubuntu.com",
)
PIN = re.compile(r"(?P<name>[a-z0-9-]+)(\[[a-z,-]+\])?==(?P<version>[\w.!+-]+)")
NUMBERED = re.compile(
    r"\b(issues?|tickets?|pull request|pr|mr)\s*(no\.?\s*)?#?\d+\b|\((#|gh-)\d+\)", re.IGNORECASE
)
LINK = re.compile(r"\[[^\]]+\]\((?!\w+:|#)([^)#\s]+)")


def lines_with(texts: Mapping[Path, str], pattern: re.Pattern[str]) -> Iterator[str]:
    """`path:line: text` of each line that matches."""
    for path, text in texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                yield f"{path}:{number}: {line.strip()[:120]}"


def pins(lock: str) -> dict[str, str]:
    """Name to version of a requirements file.

    Raises:
        ValueError: an entry is no exact pin, or carries no hash.
    """
    found = {}
    for entry in re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n?", "", lock, flags=re.MULTILINE).strip()):
        pin = PIN.match(entry)
        if pin is None or not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry):
            raise ValueError(f"no pin with a hash: {entry[:60]}")
        found[pin["name"]] = pin["version"]
    return found


def test_no_file_names_a_package_index(texts: Mapping[Path, str]) -> None:
    assert list(lines_with(texts, re.compile("|".join(map(re.escape, INDEX_HOSTS))))) == []


def test_no_file_refers_to_a_numbered_issue(texts: Mapping[Path, str]) -> None:
    prose = {
        path: text for path, text in texts.items() if path.parts[0] != "examples" and path.name not in LOCKS
    }
    assert list(lines_with(prose, NUMBERED)) == []


@pytest.mark.parametrize("words", ["see issue {}", "(#{})", "Issue #{}", "fixes ticket {}"])
def test_a_numbered_issue_is_seen(words: str) -> None:
    assert NUMBERED.search(words.format(12))


@pytest.mark.parametrize("lock", LOCKS)
def test_locked_requirements_are_pinned_by_hash_and_say_nothing_of_where(lock: str, root: Path) -> None:
    text = (root / lock).read_text()
    assert len(pins(text)) > len(("more", "than", "a", "few"))
    assert "://" not in text
    assert re.findall(r"^-.*", text, flags=re.MULTILINE) == []


@pytest.mark.parametrize("entry", ["aiohttp>=3\n", "aiohttp==3.14.5\n", "./local.whl\n"])
def test_a_requirement_without_pin_or_hash_is_seen(entry: str) -> None:
    with pytest.raises(ValueError, match="no pin with a hash"):
        pins(entry)


def test_development_runs_what_production_runs(root: Path) -> None:
    production, development = (pins((root / lock).read_text()) for lock in LOCKS)
    assert {name: development.get(name) for name in production} == production


def test_every_declared_dependency_is_locked(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["build"]]
    names = {re.split(r"[\[<>=~! ;]", requirement)[0].lower() for requirement in declared}
    assert names - pins((root / "requirements.txt").read_text()).keys() == set()


def test_make_targets_named_in_the_documents_exist(root: Path, texts: Mapping[Path, str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), flags=re.MULTILINE))
    named = {
        (str(path), target)
        for path, text in texts.items()
        if path.suffix == ".md" or path == Path(".ci/run")
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", text, flags=re.MULTILINE)
    }
    assert named
    assert [name for name in named if name[1] not in targets] == []


def test_links_between_documents_lead_somewhere(root: Path, texts: Mapping[Path, str]) -> None:
    links = [
        (path, target)
        for path, text in texts.items()
        if path.suffix == ".md"
        for target in LINK.findall(text)
    ]
    assert links
    assert [f"{path}: {target}" for path, target in links if not (root / path.parent / target).exists()] == []


def test_code_named_in_the_architecture_exists(root: Path) -> None:
    text = (root / "ARCHITECTURE.md").read_text()
    tops = "audit|bench|docs|examples|gateway|partners|schemas|tests"
    named = re.findall(rf"`((?:{tops}|\*)/[\w./*-]*)`", text)
    assert named
    assert [name for name in named if not [*root.glob(name), *root.glob(f"{name}.py")]] == []
