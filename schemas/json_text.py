"""JSON grammar over bytes: tokens with exact byte offsets, no recursion. The authority on what is JSON.

Works on the Latin-1 view of the bytes, in which indexes are byte offsets. Never builds values.
Source: RFC 8259; `NaN` and `Infinity` pass as literals here, since they are faults of an event, not of the
text.
"""

import re
from collections.abc import Iterator
from typing import NoReturn

from schemas.errors import JsonTextError

_STRING = r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_TOKEN = re.compile(
    rf"[ \t\n\r]*+(?:(?P<mark>[{{}}\[\],:])|(?P<string>{_STRING})|(?P<literal>true|false|null|NaN|-?Infinity)"
    rf"|(?P<number>{_NUMBER}))"
)
_SPACE = re.compile(r"[ \t\n\r]*+")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)

Token = tuple[str, int, int]
"""Kind (`{ } [ ]`, `key`, `string`, `number`, `literal`), first byte, byte after the last."""


def view_of(raw: bytes) -> str:
    """The Latin-1 view of UTF-8 bytes.

    Raises:
        JsonTextError: the bytes are not UTF-8, or start with a byte order mark.
    """
    if raw.startswith(b"\xef\xbb\xbf"):
        raise JsonTextError("starts with a byte order mark; send UTF-8 without one", offset=0, line=1)
    if not raw.isascii():
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError as error:
            line = line_of(raw, error.start)
            raise JsonTextError("is not UTF-8", offset=error.start, line=line) from error
    return raw.decode("latin-1")


def line_of(raw: bytes, offset: int) -> int:
    """The line, from 1, of a byte offset."""
    return 1 + raw.count(b"\n", 0, offset)


def is_shallow(view: str, limit: int) -> bool:
    """Whether no parser can nest deeper than `limit` in this text (which may still be no JSON)."""
    if view.count("{") + view.count("[") <= limit:
        return True
    depth = 0
    for match in _BRACKETS.finditer(view):
        character = view[match.start()]
        if character in "[{":
            depth += 1
            if depth > limit:
                return False
        elif character in "]}":
            depth -= 1
    return True


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


def walk(view: str, at: int = 0) -> Iterator[Token]:
    """The tokens of the one JSON value that starts at or after `at`; stops after it.

    Raises:
        JsonTextError: the text breaks the grammar.
    """
    open_marks: list[str] = []
    wanted = "value"
    while True:
        match = _TOKEN.match(view, at)
        if match is None:
            _refuse_token(view, at)
        kind = match.lastgroup or ""
        start, at = match.start(kind), match.end()
        if kind == "mark":
            mark = view[start]
            wanted = _after_mark(view, start, mark, wanted, open_marks)
            if mark not in ",:":
                yield mark, start, at
        elif wanted.startswith("key"):
            if kind != "string":
                refuse(view, start, "a member's name must be a string")
            yield "key", start, at
            wanted = "colon"
        elif wanted.startswith("value"):
            yield kind, start, at
            wanted = "comma"
        else:
            refuse(view, start, f"a {wanted} is missing")
        if not open_marks:
            return


def _after_mark(view: str, at: int, mark: str, wanted: str, open_marks: list[str]) -> str:
    """What must follow a punctuation mark; keeps the stack of open containers."""
    if mark in "{[" and wanted.startswith("value"):
        open_marks.append(mark)
        return "key or end" if mark == "{" else "value or end"
    if mark in "}]" and (wanted == "comma" or wanted.endswith("or end")):
        if open_marks and open_marks[-1] + mark in ("{}", "[]"):
            open_marks.pop()
            return "comma"
    elif mark == "," and wanted == "comma" and open_marks:
        return "key" if open_marks[-1] == "{" else "value"
    elif mark == ":" and wanted == "colon":
        return "value"
    return refuse(view, at, f"`{mark}` where a {wanted} must stand")


def _refuse_token(view: str, at: int) -> NoReturn:
    at = skip_space(view, at)
    if at >= len(view):
        refuse(view, at, "ends too early")
    if view[at] == '"':
        refuse(view, at, "a string that does not end, or holds a control character or an unknown escape")
    refuse(view, at, "is no JSON here")
