"""Known vulnerabilities, from a folder of advisories in the OSV format, as JSON or YAML.

The folder is whatever was fetched beforehand: a copy of the advisory database of the Python Packaging
Authority, or an unpacked dump of a database that speaks the same format. Nothing is fetched here.

Source: Open Source Vulnerability format 1.6, "affected" and its evaluation.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tests.supply_chain.lock import Package

ECOSYSTEM: Final = "PyPI"
ENDINGS: Final = frozenset({".json", ".yaml", ".yml"})
_SEPARATORS: Final = re.compile(r"[-_.]+")


class AdvisoryError(Exception):
    """The folder, or an advisory in it, cannot be read: nobody may take that for good news."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A package of the lock that an advisory is about. `fixed`: those that mend it, if any are told."""

    package: Package
    id: str
    aliases: tuple[str, ...]
    summary: str
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        also = f" ({', '.join(self.aliases)})" if self.aliases else ""
        mend = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no fixed version is told"
        return f"{self.package.name} {self.package.version}: {self.id}{also}: {self.summary}; {mend}"


@dataclass(frozen=True, slots=True)
class Searched:
    """What a folder said. `read`: advisories in it. `newest`: when one of ours was changed last."""

    findings: tuple[Finding, ...]
    read: int
    newest: str


def search(folder: Path, packages: Sequence[Package]) -> Searched:
    """Look for each package in every advisory of a folder and of those below it.

    Raises:
        AdvisoryError: there is no folder, no advisory in it, or one that may concern us cannot be read.
    """
    if not folder.is_dir():
        raise AdvisoryError(f"{folder} is no folder: name one that holds advisories in the OSV format")
    by_name = {one.name: one for one in packages}
    named = re.compile(r"(?<![a-z0-9])(?:" + "|".join(map(re.escape, sorted(by_name))) + r")(?![a-z0-9])")
    findings: list[Finding] = []
    read, newest = 0, ""
    for path in sorted(one for one in folder.rglob("*") if one.suffix in ENDINGS and one.is_file()):
        text = path.read_text(encoding="utf-8", errors="replace")
        if '"affected"' not in text and "affected:" not in text:
            continue
        read += 1
        # Most name nothing of ours, and to parse tens of thousands takes long.
        if named.search(_SEPARATORS.sub("-", text.lower())):
            told = _parse(path, text)
            newest = max(newest, str(told.get("modified", "")))
            findings += _findings(path, told, by_name)
    if not read:
        raise AdvisoryError(f"{folder} holds no advisory in the OSV format (.json, .yaml)")
    return Searched(tuple(findings), read, newest)


def _parse(path: Path, text: str) -> Mapping[str, Any]:
    try:
        # Times stay texts: a timestamp of YAML may be out of what Python has.
        told = json.loads(text) if path.suffix == ".json" else yaml.load(text, yaml.BaseLoader)  # noqa: S506 - makes texts, lists and maps alone
    except (ValueError, yaml.YAMLError) as error:
        raise AdvisoryError(f"{path}: cannot be read: {str(error)[:120]}") from error
    if not isinstance(told, dict) or not isinstance(told.get("id"), str):
        raise AdvisoryError(f"{path}: no advisory: it has no id")
    return told


def _findings(path: Path, told: Mapping[str, Any], by_name: Mapping[str, Package]) -> Iterator[Finding]:
    if told.get("withdrawn"):
        return
    try:
        for affected in told.get("affected") or []:
            of = affected.get("package") or {}
            one = by_name.get(canonicalize_name(str(of.get("name", ""))))
            if one is None or of.get("ecosystem") != ECOSYSTEM or not _is_affected(one.version, affected):
                continue
            aliases = tuple(sorted(map(str, told.get("aliases") or ())))
            text = str(told.get("summary") or told.get("details") or "no words").strip()
            yield Finding(one, told["id"], aliases, text.splitlines()[0][:160], tuple(_fixed(affected)))
    except (AttributeError, TypeError, KeyError, InvalidVersion) as error:
        raise AdvisoryError(f"{path}: {told['id']} is not in the OSV format: {str(error)[:120]}") from error


def _is_affected(version: str, affected: Mapping[str, Any]) -> bool:
    ours = Version(version)
    if any(_is_version(text, ours) for text in affected.get("versions") or ()):
        return True
    ranges = [one for one in affected.get("ranges") or () if one.get("type") != "GIT"]
    if not ranges and not affected.get("versions"):
        return True  # nothing says which: all of them
    return any(_is_within(ours, one["events"]) for one in ranges)


def _is_version(text: object, ours: Version) -> bool:
    try:
        return Version(str(text)) == ours
    except InvalidVersion:
        return False  # of long ago: a lock has none such


def _is_within(ours: Version, events: Sequence[Mapping[str, object]]) -> bool:
    """Whether a range holds a version: the last event before it says so."""
    is_within = False
    told = [(_start(text), word) for one in events for word, text in one.items()]
    for version, word in sorted(told, key=_place):
        if word == "introduced" and ours >= version:
            is_within = True
        elif (word == "fixed" and ours >= version) or (word == "last_affected" and ours > version):
            is_within = False
    return is_within


def _place(event: tuple[Version, str]) -> tuple[Version, bool]:
    return event[0], event[1] != "introduced"


def _start(text: object) -> Version:
    return Version("0.dev0" if str(text) == "0" else str(text))


def _fixed(affected: Mapping[str, Any]) -> Iterator[str]:
    for one in affected.get("ranges") or ():
        if one.get("type") != "GIT":
            yield from (str(event["fixed"]) for event in one["events"] if "fixed" in event)
