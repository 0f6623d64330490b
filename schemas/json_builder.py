"""The careful way to read JSON: a parser whose hooks keep what is odd, then a walk that names it by pointer.

What nests too deep is cut out before the parser sees it: nothing here recurses without bound, and hostile
text costs little more than honest text.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from schemas.errors import JsonTextError
from schemas.fault import FaultCode, Path
from schemas.findings import MOST_FAULTS, Findings
from schemas.json_text import deep_spans

DEEPEST: Final = 64
"""Arrays and objects inside each other."""
_INT64: Final = 1 << 63
_LONGEST_NUMBER: Final = 1_000
_LONE = re.compile("[\ud800-\udfff]")
_CUT: Final = "-" + "9" * 20
"""Stands in the text for what was cut out, and is hardly longer; sent by anyone else, it is a fault too."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Stands for a value that cannot be used; its fault is noted once, here and not again by the checker."""

    code: FaultCode
    text: str


_DEEP = Broken("depth", f"is nested deeper than {DEEPEST} levels")
_LARGE = Broken("range", "is beyond 64 bits")
_BEYOND = Broken("range", f"is beyond a double, or longer than {_LONGEST_NUMBER} characters")
_NOT_FINITE = Broken("range", "is not a finite number")
_SURROGATE = Broken("encoding", "holds a lone surrogate")


class _ManyDoubledError(Exception):
    """Ends the parser early; never leaves this module."""


Doubled = dict[int, list[tuple[str, Any]]]
"""By identity of an object: its members whose name stood there before."""


def find_deep(raw: bytes) -> list[tuple[int, int]]:
    """Start and end of what nests too deep; of one more than can be told at most."""
    return deep_spans(raw, DEEPEST, MOST_FAULTS + 1)


def build_json(raw: bytes, findings: Findings, deep: list[tuple[int, int]] | None = None) -> Any:
    """The value of UTF-8 bytes; `Broken` stands for each value that has a fault.

    `deep`: what `find_deep` found, if it was asked.

    Raises:
        JsonTextError: no JSON text.
        DatumError: it nests too deep in more than a hundred places, or as many objects have a name twice;
            nothing else is looked at.
    """
    spans = find_deep(raw) if deep is None else deep
    if len(spans) > MOST_FAULTS:
        findings.stop(None, "depth", f"{_DEEP.text}, in more than {MOST_FAULTS} places")
    text = _cut(raw, spans).decode()
    doubled: Doubled = {}
    decoder = json.JSONDecoder(
        object_pairs_hook=lambda pairs: _first_members(pairs, doubled),
        parse_int=_integer,
        parse_float=_fraction,
        parse_constant=lambda _: _NOT_FINITE,
    )
    try:
        value = decoder.decode(text)
    except _ManyDoubledError:
        findings.stop(None, "duplicate_key", f"names stand twice in more than {MOST_FAULTS} objects")
    except json.JSONDecodeError as error:
        offset = _uncut(len(text[: error.pos].encode()), spans)
        said = f"is no JSON: {error.msg.rstrip(': ').lower()}"
        raise JsonTextError(said, offset=offset, line=1 + raw.count(b"\n", 0, offset)) from error
    return _report(value, doubled, findings)


def parse_integer(text: str) -> int | None:
    """The integer; None beyond 64 bits."""
    if len(text) > 20:  # noqa: PLR2004 - the longest 64-bit number with its sign
        return None
    value = int(text)
    return value if -_INT64 <= value < _INT64 else None


def parse_fraction(text: str) -> Decimal | None:
    """The exact number; None where it is beyond a double, or absurdly long."""
    if len(text) > _LONGEST_NUMBER or not math.isfinite(float(text)):
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def is_printable(text: str) -> bool:
    """Whether a text holds no lone surrogate."""
    return not _LONE.search(text)


def mend(text: str) -> str:
    """The text with `?` for each lone surrogate, so that it can be shown."""
    return text.encode(errors="replace").decode()


def _integer(text: str) -> int | Broken:
    if text == _CUT:
        return _DEEP
    value = parse_integer(text)
    return _LARGE if value is None else value


def _fraction(text: str) -> Decimal | Broken:
    value = parse_fraction(text)
    return _BEYOND if value is None else value


def _first_members(pairs: list[tuple[str, Any]], doubled: Doubled) -> dict[str, Any]:
    """An object with the first member of each name; later ones are kept aside."""
    value: dict[str, Any] = {}
    later: list[tuple[str, Any]] = []
    for name, item in pairs:
        if name in value:
            later.append((name, item))
        else:
            value[name] = item
    if later:
        doubled[id(value)] = later
        if len(doubled) > MOST_FAULTS:
            raise _ManyDoubledError
    return value


def _cut(raw: bytes, spans: list[tuple[int, int]]) -> bytes:
    parts: list[bytes] = []
    at = 0
    for start, end in spans:
        parts += (raw[at:start], _CUT.encode())
        at = end
    return b"".join([*parts, raw[at:]]) if parts else raw


def _uncut(position: int, spans: list[tuple[int, int]]) -> int:
    """The position in the whole text of one in the text that was cut."""
    for start, end in spans:
        if position <= start:
            break
        position += end - start - len(_CUT)
    return position


def _report(root: Any, doubled: Doubled, findings: Findings) -> Any:
    """Note every fault in the value, with its pointer, and put `Broken` where a text cannot be used."""
    holder = [root]
    waiting: list[Iterator[tuple[Any, Any, Any, Path]]] = [iter([(holder, 0, root, None)])]
    while waiting:
        for container, place, value, path in waiting[-1]:
            if isinstance(value, str):
                if not is_printable(value):
                    container[place] = _SURROGATE
                    findings.add(path, _SURROGATE.code, _SURROGATE.text)
            elif isinstance(value, Broken):
                findings.add(path, value.code, value.text)
            elif isinstance(value, dict | list):
                waiting.append(_parts(value, path, doubled, findings))
                break
        else:
            waiting.pop()
    return holder[0]


def _parts(
    value: dict[str, Any] | list[Any], path: Path, doubled: Doubled, findings: Findings
) -> Iterator[tuple[Any, Any, Any, Path]]:
    """Container, place, value and path of each part; faults of names are noted on the way."""
    if isinstance(value, list):
        yield from ((value, index, item, (path, index)) for index, item in enumerate(value))
        return
    for name, item in list(value.items()):
        if is_printable(name):
            yield value, name, item, (path, name)
        else:
            findings.add((path, mend(name)), "encoding", "the name holds a lone surrogate")
            value[name] = _SURROGATE
    for name, item in doubled.get(id(value), ()):
        findings.add((path, mend(name)), "duplicate_key", "stands twice in one object")
        yield {}, name, item, (path, mend(name))
