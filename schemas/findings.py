"""Gathers the faults of one datum. Bounded: a hostile datum costs neither memory nor time here."""

import difflib
from collections.abc import Iterable
from typing import NoReturn

from schemas.errors import DatumError, MisfitError
from schemas.fault import Fault, FaultCode, Path, format_pointer

MOST_FAULTS = 100
MOST_ITEMS = 100_000
_MOST_SUGGESTIONS = 10
_LONGEST_GUESSED = 64


class Findings:
    """The faults of one datum, and how many array and map items it holds so far."""

    __slots__ = ("faults", "items", "suggestions", "total")

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.total = 0
        self.items = 0
        self.suggestions = 0

    def add(self, path: Path, code: FaultCode, text: str, expected: str | None = None) -> None:
        """Note a fault; beyond the first hundred they are only counted."""
        self.total += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(format_pointer(path), code, text, expected))

    def count(self, path: Path, items: int) -> bool:
        """Count items of an array or map; False (and a fault) where a datum holds too many."""
        self.items += items
        if self.items > MOST_ITEMS:
            self.add(path, "length", f"brings the event to more than {MOST_ITEMS} array and map items")
            return False
        return True

    def unknown(self, path: Path, name: str, known: Iterable[str]) -> None:
        """Note a field that the schema does not have, with the nearest one that it has."""
        text = "is not a field of the schema"
        if len(name) <= _LONGEST_GUESSED and self.suggestions < _MOST_SUGGESTIONS:
            self.suggestions += 1
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
            if near:
                text = f"did you mean {format_pointer((path, near[0]))}?"
        self.add((path, name), "unknown_field", text)

    def stop(self, path: Path, code: FaultCode, text: str, expected: str | None = None) -> NoReturn:
        """Note a fault after which nothing more can be read.

        Raises:
            DatumError: always.
        """
        self.add(path, code, text, expected)
        raise DatumError(tuple(self.faults), self.total)

    def verify(self) -> None:
        """Raise what was found, if anything.

        Raises:
            DatumError: at least one fault was noted.
        """
        if self.total:
            raise DatumError(tuple(self.faults), self.total)


class Trial(Findings):
    """Findings of a union branch on trial: the first fault ends it."""

    __slots__ = ()

    def add(self, path: Path, code: FaultCode, text: str, expected: str | None = None) -> NoReturn:
        """Give up.

        Raises:
            MisfitError: always.
        """
        del path, expected
        raise MisfitError(code, text)

    def unknown(self, path: Path, name: str, known: Iterable[str]) -> NoReturn:
        """Give up, without searching for a suggestion that nobody will read.

        Raises:
            MisfitError: always.
        """
        del path, name, known
        raise MisfitError("unknown_field", "is not a field of the schema")
