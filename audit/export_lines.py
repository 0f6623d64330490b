"""Exports as JSON lines: an object a line, columns in order, the evidence last and as it is.

The evidence is an object in the line, byte for byte the one that was hashed: whoever wants to hash it cuts it
out behind the first `,"evidence":`, which no text can hold, since quotes in texts have a backslash.

Source: docs/formats.md section 13.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Final

from audit.errors import MalformedError
from audit.export_row import AT, COLUMNS, Value, encode_json
from audit.manifest import FILE_ENTRIES

_NAMES: Final = tuple(COLUMNS)
_HEAD: Final = _NAMES[:-1]
_CUT: Final = b',"evidence":'
_FORM: Final = "{" + ",".join(f'"{name}":%s' for name in _NAMES) + "}\n"
_SPELL: Final[Mapping[type, Callable[[Any], str]]] = {
    str: encode_basestring,
    int: str,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _: "null",
}
"""As `encode_json` would spell each, by the same function of the standard library."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


class LineWriter:
    """A file that grows by rows."""

    def __init__(self) -> None:
        """Begin it."""
        self._lines: list[bytes] = []

    def add(self, columns: Sequence[Sequence[Value]]) -> None:
        """Take the next rows, column by column."""
        self._lines += map(_line, zip(*columns, strict=True))

    def end(self) -> bytes:
        """The file over all of them."""
        return b"".join(self._lines)


def encode_lines(rows: Sequence[tuple[Value, ...]]) -> bytes:
    """The file over these rows."""
    writer = LineWriter()
    writer.add(tuple(zip(*rows, strict=True)))
    return writer.end()


def decode_lines(raw: bytes, most: int = FILE_ENTRIES) -> Iterator[tuple[Value, ...]]:
    """The rows of a file, `most` at most, in the one spelling that they have.

    Raises:
        MalformedError: a line is not as `encode_lines` writes it.
    """
    start, number = 0, 0
    while start < len(raw):
        end, number = raw.find(b"\n", start) + 1, number + 1
        if number > most:
            raise MalformedError(f"export: more than {most} lines")
        line = raw[start:end] if end else b""
        try:
            row = _row(line)
            is_exact = _line(row) == line
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise MalformedError(f"export: line {number} is not one of an export") from error
        if not is_exact:
            raise MalformedError(f"export: line {number} is not in its exact form")
        yield row
        start = end


def _line(row: tuple[Value, ...]) -> bytes:
    at, evidence = row[AT], row[-1]
    spelled = [_SPELL.get(type(value), encode_json)(value) for value in row[:-1]]
    if at is not None:
        spelled[AT] = f'"{_instant(int(at))}"'
    return (_FORM % (*spelled, "null" if evidence is None else evidence)).encode()


def _row(line: bytes) -> tuple[Value, ...]:
    head, cut, raw = line.partition(_CUT)
    members: dict[str, Any] = json.loads(head.decode() + "}")
    if not cut or tuple(members) != _HEAD:
        raise ValueError("other members")
    if members["at"] is not None:
        members["at"] = _milliseconds(members["at"])
    evidence = raw[:-2].decode()
    return (*members.values(), None if evidence == "null" else evidence)


def _instant(at: int) -> str:
    seconds, ms = divmod(at, 1_000)
    return f"{_second(seconds)}.{ms:03d}Z"


@lru_cache(64)
def _second(at: int) -> str:
    return (_EPOCH + timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%S")


def _milliseconds(text: str) -> int:
    if _TIME.fullmatch(text) is None:
        raise ValueError("no time")
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
