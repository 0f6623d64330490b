"""JSON text before any parser sees it: is it UTF-8, how deep does it nest, where does a value end.

Source: RFC 8259.
"""

import re
from array import array
from itertools import accumulate, compress, count, islice
from operator import not_
from typing import NoReturn

from schemas.errors import JsonTextError

_SPACE = re.compile(r"[ \t\n\r]*+")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string, or what is left of one that does not end."""
_STEPS = bytes({91: 1, 123: 1, 93: 255, 125: 255}.get(byte, 0) for byte in range(256))
"""Each byte to how far it leads down: 1 for an opening bracket, 255 (-1 in eight bits) for a closing one."""
_NO_BRACKET = bytes(byte for byte in range(256) if not _STEPS[byte])
_TOO_DEEP = re.compile(rb"\x01+")
_WINDOW = 16 * 1024
"""Bytes that are looked at first for the end of a value that nests too deep."""


def view_of(raw: bytes) -> str:
    """The Latin-1 view of UTF-8 bytes, in which an index is a byte offset.

    Raises:
        JsonTextError: the bytes are not UTF-8, or start with a byte order mark.
    """
    if raw.startswith(b"\xef\xbb\xbf"):
        raise JsonTextError("starts with a byte order mark; send UTF-8 without one", offset=0, line=1)
    if not raw.isascii():
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            line = 1 + raw.count(b"\n", 0, error.start)
            raise JsonTextError("is not UTF-8", offset=error.start, line=line) from error
    return raw.decode("latin-1")


def deep_spans(raw: bytes, limit: int, most: int) -> list[tuple[int, int]]:
    """Start and end of each array or object nested deeper than `limit`; an unclosed one runs to the end.

    `most`: how many are looked for. In step with any parser up to where that parser would fail. No loop runs
    over the text in Python: texts of nothing but brackets are as quick as others.
    """
    if raw.count(b"{") + raw.count(b"[") <= limit:
        return []
    steps = array("b", _STRING.sub(b"", raw).translate(_STEPS, _NO_BRACKET))
    if max(accumulate(steps), default=0) <= limit:
        return []
    too_deep = bytes(map(limit.__lt__, accumulate(_steps(raw))))
    runs = islice(_TOO_DEEP.finditer(too_deep), most)
    return [(run.start(), min(run.end() + 1, len(raw))) for run in runs]


def end_of_brackets(view: str, at: int) -> int:
    """The offset after the bracket that closes the one at `at`; the end of the text where none does.

    Looks at no more than twice what it passes over: a text of many such values is not read once for each.
    """
    size = _WINDOW
    while True:
        depths = accumulate(_steps(view[at : at + size].encode("latin-1")))
        end = next(compress(count(at + 1), map(not_, depths)), None)
        if end is not None:
            return end
        if at + size >= len(view):
            return len(view)
        size *= 2


def _steps(raw: bytes) -> "array[int]":
    """How far each byte leads down; those in strings lead nowhere."""
    blank = _STRING.sub(lambda found: b" " * len(found[0]), raw)
    return array("b", blank.translate(_STEPS))


def skip_space(view: str, at: int) -> int:
    """The offset of the next character that is no white space."""
    match = _SPACE.match(view, at)
    return match.end() if match else at


def refuse(view: str, at: int, text: str) -> NoReturn:
    """Say that the text is no JSON at this offset.

    Raises:
        JsonTextError: always.
    """
    at = min(at, len(view))
    raise JsonTextError(text, offset=at, line=1 + view.count("\n", 0, at))


def refuse_rest(view: str, at: int) -> None:
    """Accept only white space up to the end.

    Raises:
        JsonTextError: there is more.
    """
    at = skip_space(view, at)
    if at < len(view):
        refuse(view, at, "more text after the end of the value")
