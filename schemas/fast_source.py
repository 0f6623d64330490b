"""Python source written line by line, and the functions made from it: what the compiled paths have in common.

The source holds the schema's structure alone. Names that stand in it are made here and numbered; whatever
comes from the schema's text (field names, symbols, defaults) reaches the code as a constant object or as the
`repr` of bytes, never as text of the program. The source stays with its functions: a traceback shows it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from schemas.errors import NotMineError

Piece: TypeAlias = bytes | str
"""Bytes that are always the same, or an expression that gives bytes."""

Wants: TypeAlias = "Mapping[str, Wants] | None"
"""Which fields of a record lead to a pointer's end; None: nothing here does."""

_FEW_PIECES = 3
_INDENT = "    "


class Source:
    """A module in the making: lines, and constants by name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0
        self.constants: dict[str, Any] = {"NotMineError": NotMineError, "join": b"".join}
        self.known: dict[int, str] = {}
        self.names = 0

    def line(self, text: str) -> None:
        """Append a line."""
        self.lines.append(_INDENT * self.depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Lines inside a compound statement."""
        self.line(head)
        self.depth += 1
        yield
        self.depth -= 1

    def fresh(self, stem: str) -> str:
        """A new variable."""
        self.names += 1
        return f"{stem}{self.names}"

    def constant(self, stem: str, value: Any) -> str:
        """The name of an object that the code uses; the same object has one name."""
        name = self.known.get(id(value))
        if name is None:
            name = self.known[id(value)] = self.fresh(stem.upper())
            self.constants[name] = value
        return name

    def joined(self, pieces: Sequence[Piece]) -> str:
        """One expression for pieces in a row."""
        parts = self.merged(pieces)
        if not parts:
            return "b''"
        return (
            " + ".join(f"({part})" if " if " in part else part for part in parts)
            if len(parts) <= _FEW_PIECES
            else f"join(({', '.join(parts)}))"
        )

    def merged(self, pieces: Sequence[Piece]) -> list[str]:
        """The expressions of pieces; those that are always the same become one."""
        parts: list[str] = []
        fixed = b""
        for piece in pieces:
            if isinstance(piece, bytes):
                fixed += piece
                continue
            if fixed:
                parts.append(repr(fixed))
                fixed = b""
            parts.append(piece)
        return [*parts, repr(fixed)] if fixed else parts

    def functions(self, title: str) -> dict[str, Any]:
        """Run the module; `title` names it in tracebacks."""
        text = "\n".join(self.lines) + "\n"
        names: dict[str, Any] = {
            **self.constants,
            "__name__": "schemas.generated",
            "__loader__": _Loader(text),
        }
        exec(compile(text, f"generated/{title}.py", "exec"), names)  # noqa: S102 - only what is written above
        return names


class _Loader:
    """Gives `linecache` the source of a generated module."""

    def __init__(self, text: str) -> None:
        self.text = text

    def get_source(self, _: str) -> str:
        return self.text


def source_of(function: Callable[..., Any]) -> str:
    """The source that a generated function was made from."""
    text: str = function.__globals__["__loader__"].get_source("")
    return text


def wants_of(pointers: Sequence[str]) -> Wants:
    """The fields that lead to the ends of JSON Pointers."""
    wants: dict[str, Any] = {}
    for pointer in pointers:
        at = wants
        for token in pointer[1:].split("/"):
            at = at.setdefault(token.replace("~1", "/").replace("~0", "~"), {})
    return wants or None
