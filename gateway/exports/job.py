"""An export as a value: ranges of a partner's log, and the files that hold them.

Why no file is kept: an entry never changes but by erasure, so that a file is made again from the log, byte
for byte, whenever somebody asks for it. What the job keeps of each is where it begins and ends, its size and
its digest. So an export needs no room, every process of many machines can hand out any file, and what was
erased meanwhile is not in it: the file is another one then, and so is its digest in the manifest.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from audit.manifest import Format

State = Literal["waiting", "running", "done", "failed", "cancelled"]
OPEN: Final[tuple[State, ...]] = ("waiting", "running")
"""States of an export that has not ended."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an export ended early: a code of the catalogue, in words."""

    code: str
    detail: str
    hint: str = ""

    def to_json(self) -> str:
        """As it is kept."""
        return json.dumps({"code": self.code, "detail": self.detail, "hint": self.hint})

    @staticmethod
    def from_json(text: str) -> "Failure":
        """What `to_json` made."""
        found: Mapping[str, Any] = json.loads(text)
        return Failure(**found)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries of one epoch of a log, from `first` up to, not with, `end`."""

    origin: str
    first: int
    end: int

    @property
    def count(self) -> int:
        """How many entries."""
        return self.end - self.first


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for. `has_content`: the content as received too, where it is kept."""

    partner: str
    format: Format
    has_content: bool
    stretches: tuple[Stretch, ...]

    @property
    def total(self) -> int:
        """How many entries."""
        return sum(one.count for one in self.stretches)

    def place(self, done: int) -> tuple[int, int] | None:
        """Which stretch, and which index in it, comes after the first `done` entries; None: that is all."""
        for number, one in enumerate(self.stretches):
            if done < one.count:
                return number, one.first + done
            done -= one.count
        return None


@dataclass(frozen=True, slots=True)
class Export:
    """An export as it stands. `parts`: files that are made; `epoch`: grows with each owner."""

    id: str
    wish: Wish
    state: State
    done: int
    parts: int
    erased: int
    size: int
    created_at: int
    ended_at: int | None = None
    error: Failure | None = None
    epoch: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class Part:
    """A file of an export, as it was made last.

    `number`: from 1; `stretch`: the number of its stretch, from 0; `sha256`: 32 bytes; `first_at`, `last_at`:
    the least and greatest time of its evidence.
    """

    number: int
    stretch: int
    first: int
    end: int
    erased: int
    size: int
    sha256: bytes
    first_at: int | None
    last_at: int | None
