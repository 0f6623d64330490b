"""One finding of the doctor: what was seen, how bad it is, how to mend it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad. `not asked`: it could not be looked at; the finding says why."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was seen in an `area`; `mend`: a command or a setting, empty where nothing is to be done."""

    level: Level
    area: str
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Area:
    """Makes the findings of one area."""

    name: str

    def ok(self, what: str) -> Finding:
        """As it should be."""
        return Finding(Level.OK, self.name, what)

    def warning(self, what: str, mend: str) -> Finding:
        """It works, and will not for ever, or not under every load."""
        return Finding(Level.WARNING, self.name, what, mend)

    def fault(self, what: str, mend: str) -> Finding:
        """It does not work, or something may be lost."""
        return Finding(Level.FAULT, self.name, what, mend)

    def not_asked(self, why: str) -> Finding:
        """Nobody looked."""
        return Finding(Level.NOT_ASKED, self.name, why)


def count(findings: Iterable[Finding], level: Level) -> int:
    """How many are of a level."""
    return sum(one.level is level for one in findings)


def format_line(finding: Finding) -> str:
    """One line: level, area, what, and how to mend it behind an arrow."""
    mend = f"  -> {finding.mend}" if finding.mend else ""
    return f"{finding.level:<9}  {finding.area:<8}  {finding.what}{mend}"
