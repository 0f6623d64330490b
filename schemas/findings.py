"""Gathers the faults of one datum. Bounded: a hostile datum costs neither memory nor time here."""

from collections.abc import Iterable
from itertools import islice
from typing import NoReturn

from schemas.errors import DatumError, MisfitError
from schemas.fault import Fault, FaultCode, Path, format_pointer
from schemas.suggestion import suggest

MOST_FAULTS = 100
MOST_COUNTED = 10_000
"""Faults, after which a datum is not looked at further."""
MOST_ITEMS = 100_000
MOST_FILLED_BYTES = 1024 * 1024
"""Avro that may stand for what an event leaves out: a short text could otherwise make a huge record."""
MOST_TRIES = 30_000
"""Of branches, in all unions of one datum: a try may cost as much as the whole schema."""
_MOST_COMPARED = 500
"""Names that are held against names that nobody knows, in one datum: each comparison costs microseconds."""


class Findings:
    """The faults of one datum, and how much work and memory it has taken so far.

    `items`: of arrays and maps; `filled`: bytes for absent fields; `tries`: of branches.
    """

    __slots__ = ("compared", "faults", "filled", "items", "total", "tries")

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.total = 0
        self.items = 0
        self.filled = 0
        self.tries = 0
        self.compared = 0

    def add(self, path: Path, code: FaultCode, text: str, expected: str | None = None) -> None:
        """Note a fault; beyond the first hundred they are only counted.

        Raises:
            DatumError: there are ten thousand; nobody counts further.
        """
        self.total += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(format_pointer(path), code, text, expected))
        elif self.total == MOST_COUNTED:
            self.verify()

    def count(self, path: Path, items: int) -> bool:
        """Count items of an array or map; False (and a fault) where a datum holds too many."""
        self.items += items
        if self.items > MOST_ITEMS:
            self.add(path, "length", f"brings the event to more than {MOST_ITEMS} array and map items")
            return False
        return True

    def fill(self, path: Path, size: int) -> None:
        """Count the Avro bytes that stand for absent fields.

        Raises:
            DatumError: an event leaves out too much.
        """
        self.filled += size
        if self.filled > MOST_FILLED_BYTES:
            text = (
                f"brings what is filled in for absent fields to more than {MOST_FILLED_BYTES} bytes of Avro"
            )
            self.stop(path, "length", text)

    def count_try(self, path: Path) -> None:
        """Count a branch that is tried.

        Raises:
            DatumError: it would be one too many, whatever else is wrong with the datum.
        """
        self.tries += 1
        if self.tries > MOST_TRIES:
            text = f"takes more than {MOST_TRIES} tries to find the branches of the event's unions; name them"
            raise DatumError((Fault(format_pointer(path), "union", text),), 1)

    def unknown(self, path: Path, name: str, known: Iterable[str]) -> None:
        """Note a field that the schema does not have, with the nearest of those that were not sent.

        `known`: the fields that were not sent; looked at only while there is patience left.
        """
        text = "is not a field of the schema"
        if self.compared < _MOST_COMPARED:
            names = list(islice(known, _MOST_COMPARED - self.compared))
            self.compared += len(names)
            near = suggest(name, names)
            if near is not None:
                text = f"did you mean {format_pointer((path, near))}?"
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
