"""Read typed values out of located nodes, and collect everything that is wrong with them.

A reader is a function from a `Slot` to a value; it raises `SlotError` for what is wrong with that one value.
A `Form` hands the members of a mapping to readers, notes what they refuse, and goes on with the next: one
look at a file finds all its faults.
"""

import difflib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from partners.contract import pointer_to
from partners.errors import PartnersError, Problem, SlotError
from partners.yaml_tree import Items, Members, Node, Scalar

T = TypeVar("T")
U = TypeVar("U")

DURATION: Final = re.compile(r"(0|[1-9][0-9]{0,8})(s|m|h|d|w|y)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 365 * 86_400}
SIZE: Final = re.compile(r"(0|[1-9][0-9]{0,11})(B|KiB|MiB|GiB|TiB)")
_BYTES: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
POINTER: Final = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
PATH: Final = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.][A-Za-z0-9_.-]*)*")
MAX_TEXT: Final = 200
MAX_POINTER: Final = 512
MAX_PATH: Final = 200
_MAX_GUESSED: Final = 64


@dataclass(frozen=True, slots=True)
class Sink:
    """Where problems with one file are gathered."""

    file: str
    problems: list[Problem]

    def add(self, line: int, pointer: str, code: str, detail: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.file, line, pointer, code, detail))


@dataclass(frozen=True, slots=True)
class Slot:
    """A node, with its place in the document."""

    node: Node
    pointer: str
    line: int
    sink: Sink

    def form(self) -> "Form":
        """Open it as a mapping.

        Raises:
            SlotError: it is none.
        """
        if not isinstance(self.node, Members):
            raise SlotError(
                "type", f"is {kind_of(self.node)}; write a mapping: indented lines of 'name: value'"
            )
        return Form(self.node, self)

    def items(self, limit: int) -> list["Slot"]:
        """Open it as a list of at most `limit` items.

        Raises:
            SlotError: it is no list, or a longer one.
        """
        if not isinstance(self.node, Items):
            raise SlotError("type", f"is {kind_of(self.node)}; write a list: [one, two]")
        if len(self.node.items) > limit:
            raise SlotError("length", f"has {len(self.node.items)} items; at most {limit} are allowed")
        return [
            Slot(node, f"{self.pointer}/{index}", node.line, self.sink)
            for index, node in enumerate(self.node.items)
        ]

    def read(self, reader: Callable[["Slot"], T], default: U) -> T | U:
        """Read it; on refusal note the problem and answer with the default."""
        try:
            return reader(self)
        except SlotError as error:
            self.sink.add(self.line, self.pointer, error.problem, error.detail)
        except PartnersError as error:
            self.sink.add(self.line, self.pointer, "format", str(error))
        return default


class Form:
    """A mapping that is being read: every member must be asked for before `close`."""

    def __init__(self, node: Members, slot: Slot) -> None:
        """Start with no member asked for."""
        self._node = node
        self._slot = slot
        self._asked: list[str] = []

    def slots(self) -> list[tuple[str, Slot]]:
        """List all members, by name, as asked for: for mappings whose keys are the author's own."""
        self._asked += self._node.members
        return [(name, self._member(name)) for name in self._node.members]

    def take(self, name: str, reader: Callable[[Slot], T], default: U) -> T | U:
        """Read a member that may be absent."""
        self._asked.append(name)
        return self._member(name).read(reader, default) if name in self._node.members else default

    def need(self, name: str, reader: Callable[[Slot], T], default: U) -> T | U:
        """Read a member that must be there; without it, note the problem and answer with the default."""
        if name not in self._node.members:
            pointer = self._slot.pointer + pointer_to(name)
            self._slot.sink.add(self._slot.line, pointer, "missing", f"'{name}' is missing: add it")
        return self.take(name, reader, default)

    @property
    def has_problems(self) -> bool:
        """Whether anything is noted so far, here or elsewhere."""
        return bool(self._slot.sink.problems)

    def close(self) -> None:
        """Note every member that nobody asked for, with the name that was probably meant."""
        for name in self._node.members:
            if name not in self._asked:
                slot = self._member(name)
                words = f"unknown field '{shown(name)}'{did_you_mean(name, self._asked)}"
                slot.sink.add(slot.line, slot.pointer, "unknown_field", words)

    def _member(self, name: str) -> Slot:
        pointer = self._slot.pointer + pointer_to(name)
        return Slot(self._node.members[name], pointer, self._node.lines[name], self._slot.sink)


def kind_of(node: Node) -> str:
    """Say in words what a node is."""
    if isinstance(node, Members):
        return "a mapping"
    if isinstance(node, Items):
        return "a list"
    kinds = {str: "text", bool: "true or false", int: "a number", type(None): "empty"}
    return kinds[type(node.value)]


def shown(word: str) -> str:
    """Cut a word from the file to what fits in a message."""
    cut = word if len(word) <= _MAX_GUESSED else word[:_MAX_GUESSED] + "..."
    return "".join(char if char.isprintable() else "?" for char in cut)


def did_you_mean(word: str, known: Collection[str]) -> str:
    """End a sentence with the nearest known word, or with all of them where none is near."""
    near = difflib.get_close_matches(word[:_MAX_GUESSED], list(known), n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; one of: {', '.join(sorted(known))}" if known else ""


def text(slot: Slot, *, limit: int = MAX_TEXT) -> str:
    """Read a text of one line."""
    value = slot.node.value if isinstance(slot.node, Scalar) else None
    if not isinstance(value, str):
        raise SlotError(
            "type", f"is {kind_of(slot.node)}; write text (in quotes, if it looks like something else)"
        )
    if not 0 < len(value) <= limit:
        raise SlotError("length", f"has {len(value)} characters; write 1 to {limit}")
    if not value.isprintable():
        raise SlotError("format", "holds a line break or another character that cannot be shown")
    return value


def flag(slot: Slot) -> bool:
    """Read `true` or `false`."""
    value = slot.node.value if isinstance(slot.node, Scalar) else None
    if not isinstance(value, bool):
        raise SlotError("type", f"is {kind_of(slot.node)}; write true or false")
    return value


def integer(low: int, high: int) -> Callable[[Slot], int]:
    """Make a reader of whole numbers from `low` to `high`."""

    def read(slot: Slot) -> int:
        value = slot.node.value if isinstance(slot.node, Scalar) else None
        if not isinstance(value, int) or isinstance(value, bool):
            raise SlotError("type", f"is {kind_of(slot.node)}; write a whole number from {low} to {high}")
        return _within(value, low, high, str)

    return read


def choice(known: Sequence[T]) -> Callable[[Slot], T]:
    """Make a reader of one word among those known."""

    def read(slot: Slot) -> T:
        word = text(slot)
        for one in known:
            if one == word:
                return one
        raise SlotError(
            "enum", f"'{shown(word)}' is not known{did_you_mean(word, [str(one) for one in known])}"
        )

    return read


def duration(low: int, high: int) -> Callable[[Slot], int]:
    """Make a reader of durations (`15s`, `5m`, `24h`, `90d`, `2w`, `7y`), in seconds."""

    def read(slot: Slot) -> int:
        found = DURATION.fullmatch(_plain(slot))
        if found is None:
            raise SlotError("format", "write a duration as a number and a unit: 15s, 5m, 24h, 90d, 2w or 7y")
        return _within(int(found[1]) * _SECONDS[found[2]], low, high, _duration_words)

    return read


def size(low: int, high: int) -> Callable[[Slot], int]:
    """Make a reader of sizes (`256KiB`, `5GiB`), in bytes."""

    def read(slot: Slot) -> int:
        found = SIZE.fullmatch(_plain(slot))
        if found is None:
            raise SlotError("format", "write a size as a number and a unit: 512B, 256KiB, 8MiB, 5GiB or 1TiB")
        return _within(int(found[1]) * _BYTES[found[2]], low, high, lambda number: f"{number}B")

    return read


def pointer(slot: Slot) -> str:
    """Read a JSON Pointer to a value inside the event. Source: RFC 6901, section 3."""
    value = text(slot, limit=MAX_POINTER)
    if POINTER.fullmatch(value) is None:
        raise SlotError(
            "format", "write a JSON Pointer: /order_id, or /lines/0/id ('~' is ~0, '/' in a name is ~1)"
        )
    return value


def path(slot: Slot) -> str:
    """Read the path of a file beside this one: relative, downwards, of plain characters."""
    value = text(slot, limit=MAX_PATH)
    steps = value.split("/")
    if PATH.fullmatch(value) is None or any(step in {".", ".."} for step in steps):
        raise SlotError(
            "format",
            "write a path relative to this file, such as schemas/order.avsc: no leading '/', no '.' or '..', "
            "only letters, digits, '.', '_' and '-'",
        )
    return value


def each(reader: Callable[[Slot], T], *, limit: int) -> Callable[[Slot], tuple[T, ...]]:
    """Make a reader of lists without repeats; wrong items are noted one by one and left out."""

    def read(slot: Slot) -> tuple[T, ...]:
        values: list[T] = []
        for item in slot.items(limit):
            value = item.read(reader, None)
            if value is not None and value in values:
                item.sink.add(
                    item.line, item.pointer, "duplicate_key", "stands here twice: remove one of them"
                )
            elif value is not None:
                values.append(value)
        return tuple(values)

    return read


def _plain(slot: Slot) -> str:
    value = slot.node.value if isinstance(slot.node, Scalar) else None
    return str(value) if isinstance(value, str | int) else ""


def _within(value: int, low: int, high: int, words: Callable[[int], str]) -> int:
    if not low <= value <= high:
        raise SlotError("range", f"is out of range: from {words(low)} to {words(high)}")
    return value


def _duration_words(seconds: int) -> str:
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"
