"""JSON text before any parser sees it: is it UTF-8, how deep does it nest, where does a value end.

Source: RFC 8259.
"""

import re
from collections.abc import Iterator
from typing import NoReturn

from schemas.errors import JsonTextError

_SPACE = re.compile(r"[ \t\n\r]*+")
_TO_BRACKET = re.compile(r'[^"\[\]{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{}]*+)*+[\[\]{}]', re.DOTALL)
"""Up to the next bracket outside strings. Tried only where the last match ended: no text is read twice."""


def _brackets(text: str, at: int) -> Iterator[tuple[int, int]]:
    """The offset of each bracket outside strings, and +1 where it opens, -1 where it closes.

    In step with any parser up to where that parser would fail.
    """
    match = _TO_BRACKET.match(text, at)
    while match:
        at = match.end()
        yield at - 1, (1 if text[at - 1] in "[{" else -1)
        match = _TO_BRACKET.match(text, at)


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


def deep_spans(text: str, limit: int) -> list[tuple[int, int]]:
    """Start and end of each array or object nested deeper than `limit`; an unclosed one runs to the end."""
    if text.count("{") + text.count("[") <= limit:
        return []
    spans: list[tuple[int, int]] = []
    depth = start = 0
    for at, step in _brackets(text, 0):
        if step > 0 and depth == limit:
            start = at
        elif step < 0 and depth == limit + 1:
            spans.append((start, at + 1))
        depth += step
    if depth > limit:
        spans.append((start, len(text)))
    return spans


def end_of_brackets(text: str, at: int) -> int:
    """The offset after the bracket that closes the one at `at`; the end of the text where none does."""
    depth = 0
    for found, step in _brackets(text, at):
        depth += step
        if depth == 0:
            return found + 1
    return len(text)


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
