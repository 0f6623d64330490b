"""The careful way to read JSON: from tokens, without recursion, every fault with its pointer."""

import json
import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from schemas.fault import Path
from schemas.findings import Findings
from schemas.json_text import refuse_rest, walk

DEEPEST = 64
"""Arrays and objects inside each other."""
INT64 = 1 << 63
_LONGEST_NUMBER = 1_000
_LONE = re.compile("[\ud800-\udfff]")
_LITERALS = {"true": True, "false": False, "null": None}


class Broken:
    """Stands for a value that already has its fault, so that it gets no second one."""

    __slots__ = ()


BROKEN = Broken()


def build_json(view: str, raw: bytes, findings: Findings) -> Any:
    """The value of the text; `BROKEN` stands for what has a fault.

    Raises:
        JsonTextError: no JSON text.
    """
    builder = _Builder(raw, findings)
    end = 0
    for kind, start, end in walk(view):
        builder.take(kind, start, end)
    refuse_rest(view, end)
    return builder.root


def parse_integer(text: str) -> int | None:
    """The integer; None beyond 64 bits."""
    if len(text) > 20:  # noqa: PLR2004 - the longest 64-bit number with its sign
        return None
    value = int(text)
    return value if -INT64 <= value < INT64 else None


def parse_fraction(text: str) -> Decimal | None:
    """The exact number; None where it is beyond a double, or absurdly long."""
    if len(text) > _LONGEST_NUMBER:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and math.isfinite(float(value)) else None


def parse_name(token: str, path: Path, findings: Findings) -> tuple[str, bool]:
    """A member's name (mended where it cannot be printed), and whether it is sound."""
    name = str(json.loads(token))
    if not _LONE.search(name):
        return name, True
    name = name.encode(errors="replace").decode()
    findings.add((path, name), "encoding", "the name holds a lone surrogate")
    return name, False


class _Builder:
    def __init__(self, raw: bytes, findings: Findings) -> None:
        self.raw = raw
        self.findings = findings
        self.root: Any = None
        self.stack: list[tuple[Any, Path]] = []
        self.name = ""
        self.is_kept = True
        self.depth = 0

    def take(self, kind: str, start: int, end: int) -> None:
        if kind in "{[":
            self._open({} if kind == "{" else [])
        elif kind in "}]":
            if self.depth == len(self.stack):
                self.stack.pop()
            self.depth -= 1
        elif self.depth > len(self.stack):
            return  # inside what is too deep already
        elif kind == "key":
            self._key(self.raw[start:end].decode())
        else:
            path = self._path()
            self._put(self._scalar(kind, self.raw[start:end].decode(), path))

    def _open(self, container: Any) -> None:
        self.depth += 1
        if self.depth > DEEPEST + 1:
            return
        path = self._path()
        if self.depth == DEEPEST + 1:
            self.findings.add(path, "depth", f"is nested deeper than {DEEPEST} levels")
            self._put(BROKEN)
            return
        self._put(container)
        self.stack.append((container, path))

    def _key(self, token: str) -> None:
        container, path = self.stack[-1]
        self.name, is_sound = parse_name(token, path, self.findings)
        self.is_kept = is_sound and self.name not in container
        if not is_sound:
            container[self.name] = BROKEN
        elif not self.is_kept:
            self.findings.add((path, self.name), "duplicate_key", "stands twice in one object")

    def _scalar(self, kind: str, text: str, path: Path) -> Any:
        if kind == "string":
            value = json.loads(text)
            if not _LONE.search(value):
                return value
            self.findings.add(path, "encoding", "holds a lone surrogate")
        elif kind == "number":
            return self._number(text, path)
        elif text in _LITERALS:
            return _LITERALS[text]
        else:
            self.findings.add(path, "range", "is not a finite number")
        return BROKEN

    def _number(self, text: str, path: Path) -> Any:
        is_fraction = any(mark in text for mark in ".eE")
        value = parse_fraction(text) if is_fraction else parse_integer(text)
        if value is not None:
            return value
        text = "is beyond a double, or longer than 1,000 characters" if is_fraction else "is beyond 64 bits"
        self.findings.add(path, "range", text)
        return BROKEN

    def _path(self) -> Path:
        if not self.stack:
            return None
        container, path = self.stack[-1]
        return (path, len(container)) if isinstance(container, list) else (path, self.name)

    def _put(self, value: Any) -> None:
        if not self.stack:
            self.root = value
            return
        container, _ = self.stack[-1]
        if isinstance(container, list):
            container.append(value)
        elif self.is_kept:
            container[self.name] = value
