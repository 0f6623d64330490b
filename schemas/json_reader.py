"""Strict JSON: one reader for validation and for use, and exact slices of arrays and objects.

Two ways with one meaning: the C parser for the honest text, and the iterative builder, asked only when the
first met anything odd. Numbers with a fraction or exponent become `Decimal`: no digit is lost.
Source: RFC 8259; RFC 7493 (no duplicate names, no lone surrogates).
"""

import json
import re
from decimal import Decimal
from typing import Any, Final, NoReturn

from schemas.fault import Path
from schemas.findings import Findings
from schemas.json_builder import build_json, find_deep, is_printable, mend, parse_fraction, parse_integer
from schemas.json_text import end_of_brackets, refuse, refuse_rest, skip_space, view_of

_LONG_OR_EXPONENT = re.compile(r"[0-9]{18}|(?:\A|[\[,:\s])-?+[0-9]++(?:\.[0-9]++)?+[eE]")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

MOST_MEMBERS: Final = 1_000
"""Of an object that is taken apart member by member; data are read whole and have no such bound."""


class _OddError(Exception):
    """The fast way met something that the careful way must judge."""


def read_json(raw: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        JsonTextError: no JSON text.
        DatumError: duplicate names, numbers beyond 64 bits or double, depth over 64, lone surrogates.
    """
    findings = Findings()
    value = read_with_findings(raw, findings)
    findings.verify()
    return value


def read_with_findings(raw: bytes, findings: Findings) -> Any:
    """As `read_json`, but faults are noted and `Broken` stands where they are.

    Raises:
        JsonTextError: no JSON text.
    """
    view = view_of(raw)
    deep = find_deep(raw)
    if not deep and not _SURROGATE.search(view):
        decoder = _CAREFUL if _LONG_OR_EXPONENT.search(view) else _SWIFT
        try:
            return decoder.decode(view if raw.isascii() else raw.decode())
        except (_OddError, ValueError, RecursionError):
            pass  # judged below, with pointers
    return build_json(raw, findings, deep)


def split_array(raw: bytes, *, most: int | None = None) -> list[bytes]:
    """The exact bytes of each element of a top-level array; faults inside them are left to their reader.

    `most`: how many elements are taken; the rest is not looked at, so that a hostile body costs no more.

    Raises:
        JsonTextError: no JSON text.
        DatumError: the top is not an array, or has more than `most` elements.
    """
    view, at = _opened(raw, "[", "array")
    parts: list[bytes] = []
    mark = "]" if view[at : at + 1] == "]" else ","
    while mark == ",":
        start = skip_space(view, at)
        at = _end_of_value(view, start)
        parts.append(raw[start:at])
        if most is not None and len(parts) > most:
            Findings().stop(None, "length", f"has more than {most} elements")
        mark, at = _next_mark(view, at, "]")
    refuse_rest(view, at if parts else at + 1)
    return parts


def members(raw: bytes, *, most: int = MOST_MEMBERS) -> list[tuple[str, bytes]]:
    """Name and exact bytes of each member of a top-level object; faults in values are left to their reader.

    `most`: how many are taken; the rest is not looked at, so that a hostile object costs no more.

    Raises:
        JsonTextError: no JSON text.
        DatumError: the top is not an object, or has more than `most` members; a name stands twice, or holds
            a lone surrogate.
    """
    view, at = _opened(raw, "{", "object")
    findings = Findings()
    found: dict[str, bytes] = {}
    mark = "}" if view[at : at + 1] == "}" else ","
    is_empty = mark == "}"
    count = 0
    while mark == ",":
        count += 1
        if count > most:
            findings.stop(None, "length", f"has more than {most} members")
        start = skip_space(view, at)
        if view[start : start + 1] != '"':
            refuse(view, start, "a member's name must be a string")
        at = _end_of_value(view, start)
        name = json.loads(raw[start:at])
        start = skip_space(view, _after_colon(view, at))
        at = _end_of_value(view, start)
        if not is_printable(name):
            findings.add((None, mend(name)), "encoding", "the name holds a lone surrogate")
        elif name in found:
            findings.add((None, name), "duplicate_key", "stands twice in one object")
        found[name] = raw[start:at]
        mark, at = _next_mark(view, at, "}")
    refuse_rest(view, at + 1 if is_empty else at)
    findings.verify()
    return list(found.items())


def _opened(raw: bytes, mark: str, expected: str) -> tuple[str, int]:
    """The view, and the offset of what follows the opening mark."""
    view = view_of(raw)
    at = skip_space(view, 0)
    if view[at : at + 1] != mark:
        findings = Findings()
        build_json(raw, findings)
        path: Path = None
        findings.stop(path, "type", f"is not an {expected}", expected)
    return view, skip_space(view, at + 1)


def _next_mark(view: str, at: int, closing: str) -> tuple[str, int]:
    at = skip_space(view, at)
    mark = view[at : at + 1]
    if mark not in {",", closing}:
        refuse(view, at, f"a comma or `{closing}` is missing" if mark else "ends too early")
    return mark, at + 1


def _after_colon(view: str, at: int) -> int:
    at = skip_space(view, at)
    if view[at : at + 1] != ":":
        refuse(view, at, "a colon is missing" if at < len(view) else "ends too early")
    return at + 1


def _end_of_value(view: str, at: int) -> int:
    """The offset after the value that starts here; of one that nests too deep, by its brackets alone.

    Such a value is left to its own reader, which will refuse it: it does not spoil its neighbours.
    """
    try:
        return int(_SKIPPER.raw_decode(view, at)[1])
    except RecursionError:
        return end_of_brackets(view, at)
    except json.JSONDecodeError as error:
        return refuse(view, error.pos, f"is no JSON: {error.msg.rstrip(': ').lower()}")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _OddError
    return value


def _integer(text: str) -> int:
    value = parse_integer(text)
    if value is None:
        raise _OddError
    return value


def _fraction(text: str) -> Decimal:
    value = parse_fraction(text)
    if value is None:
        raise _OddError
    return value


def _constant(_: str) -> NoReturn:
    raise _OddError


_CAREFUL = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)
_SWIFT = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=Decimal, parse_constant=_constant)
"""For texts whose numbers are all short and without exponent: no number need be asked whether it fits."""
_SKIPPER = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=len)
