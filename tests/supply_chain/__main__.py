"""`make audit`: what the program is made of, and whether anything bad is known of it.

Writes the bill of materials, compares the environment with the lock, and looks in the folder of advisories
that AUDIT_DB names. Ends with 1 where something differs or is known to be vulnerable, or where the folder
cannot be read; without a folder with 0, and says that nothing was looked up. Fetches nothing.
"""

import argparse
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.supply_chain.advisories import AdvisoryError, search
from tests.supply_chain.bill import installed_licence, make_bill
from tests.supply_chain.examination import differences, installed_versions, strangers
from tests.supply_chain.lock import LockError, Package, read_lock

BILL: Final = Path(".cache/sbom.cdx.json")
RUN_TIME: Final = "requirements.txt"
DEVELOPMENT: Final = "requirements-dev.txt"

_NOBODY_ASKED: Final = (
    "WARNING: no advisory database is reachable, so nobody has asked what is known to be vulnerable.",
    "  Name a folder of advisories in the OSV format: make audit AUDIT_DB=DIR",
    "  Whether a version was yanked only its index can tell, which is not asked.",
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Audit:
    """Where to look. `root`: the folder of the locks; `database`: of advisories; None: there is none."""

    root: Path
    database: Path | None
    bill: Path
    installed: Mapping[str, str]


def audit(asked: Audit, say: Say) -> int:
    """Do all of it, and say what was found. Returns the exit code."""
    try:
        locks = {name: read_lock((asked.root / name).read_text()) for name in (RUN_TIME, DEVELOPMENT)}
        program = tomllib.loads((asked.root / "pyproject.toml").read_text())["project"]
        packages = {one.name: one for lock in locks.values() for one in lock}.values()
        _write_bill(asked, program["name"], program["version"], locks[RUN_TIME], say)
        troubles = [*_apart(locks), *_look_at(tuple(packages), asked.installed, say)]
        troubles += _look_up(tuple(packages), asked.database, say)
    except (LockError, AdvisoryError, OSError) as error:
        troubles = [str(error)]
    for trouble in troubles:
        say(f"FAILED: {trouble}")
    return 1 if troubles else 0


def _write_bill(asked: Audit, name: str, version: str, lock: Sequence[Package], say: Say) -> None:
    asked.bill.parent.mkdir(parents=True, exist_ok=True)
    asked.bill.write_text(make_bill(name, version, lock, installed_licence))
    say(f"bill of materials: {asked.bill}, CycloneDX, {len(lock)} packages")
    if unknown := [one.name for one in lock if installed_licence(one.name) is None]:
        say(f"  without a licence that is known here: {', '.join(unknown)}")


def _apart(locks: Mapping[str, Sequence[Package]]) -> Sequence[str]:
    """What is run and what is tested are the same versions."""
    tested = {one.name: one.version for one in locks[DEVELOPMENT]}
    found = []
    for one in locks[RUN_TIME]:
        there = tested.get(one.name, "missing")
        if there != one.version:
            found.append(f"{one.name} is {one.version} in {RUN_TIME}, {there} in {DEVELOPMENT}: make lock")
    return found


def _look_at(packages: Sequence[Package], installed: Mapping[str, str], say: Say) -> Sequence[str]:
    say(f"locks: {len(packages)} packages, each pinned to one version and to digests of its files")
    found = differences(packages, installed)
    if not found:
        say("environment: every package that the locks want here is installed in the version that they say")
    if others := strangers(packages, installed):
        say(f"  in no lock, so not examined: {', '.join(others)}")
    return found


def _look_up(packages: Sequence[Package], database: Path | None, say: Say) -> Sequence[str]:
    if database is None:
        for line in _NOBODY_ASKED:
            say(line)
        return []
    searched = search(database, packages)
    newest = f", the newest that names one of ours is of {searched.newest}" if searched.newest else ""
    say(f"advisories: {searched.read} in {database}{newest}")
    if not searched.findings:
        say("  none is about a version of ours")
    return [str(one) for one in searched.findings]


def main() -> int:
    """Audit this checkout and this environment."""
    parser = argparse.ArgumentParser(prog="make audit AUDIT_DB=DIR ARGS=...")
    parser.add_argument("--database", type=Path, help="a folder of advisories in the OSV format")
    parser.add_argument("--bill", type=Path, default=BILL, help=f"where the bill of materials goes ({BILL})")
    asked = parser.parse_args()
    return audit(Audit(Path(), asked.database, asked.bill, installed_versions()), _say)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
