"""May this schema be used at all: every limit, and every refusal that is about a limit.

The text is judged first (size, depth, syntax, doubled keys), before any parser that recurses sees it. What
the types cost (nesting, number, zero-width items) is judged while they are built, on measures that also
count what is only named, since a chain of named types nests deeply in a flat text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.errors import DatumError, JsonTextError, SchemaError
from schemas.json_reader import read_json

MOST_TEXT_BYTES = 256 * 1024
MOST_DEFINITIONS = 2_000
"""Named types and fields."""
MOST_NESTING = 32
"""Records, arrays, maps and unions inside each other, through names too."""
MOST_EXPANDED = 20_000
"""Types counted with every named one written out where it is used: bounds the work for one datum."""
MOST_NAME = 128
MOST_FULL_NAME = 255
MOST_SYMBOLS = 1_000
MOST_BRANCHES = 32
MOST_FIXED_BYTES = 64 * 1024
MOST_HOLLOW = 16
"""Values of no bytes in an item, to each byte that it takes at least: bounds memory against input."""
MOST_DECIMAL_DIGITS = 38
MOST_DECIMAL_BYTES = 16
MOST_VERSION = (1 << 31) - 1

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Measure:
    """What a type costs: `nesting` levels, `expanded` types, `width` bytes that its shortest datum takes.

    `hollow`: how many of its types take no bytes at all, yet a place in memory.
    """

    nesting: int
    expanded: int
    width: int
    hollow: int


def admit_text(text: str) -> Any:
    """The JSON value of a schema text.

    Raises:
        SchemaError: too large, too deep, no JSON, or a key stands twice.
    """
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise SchemaError("syntax", "holds a lone surrogate; send UTF-8 text") from error
    _admit_bytes(len(raw))
    try:
        return read_json(raw)
    except JsonTextError as error:
        raise SchemaError("syntax", f"is no JSON text: {error}") from error
    except DatumError as error:
        fault = error.faults[0]
        rule = fault.code if fault.code in {"depth", "duplicate_key"} else "syntax"
        raise SchemaError(rule, fault.text, fault.pointer) from error


def admit_texts(texts: Sequence[str]) -> None:
    """A text and those that it leans on, admitted each, that are not too large together.

    Raises:
        SchemaError: they are.
    """
    _admit_bytes(sum(len(text.encode()) for text in texts))


def admit_reference(name: Any, subject: Any, version: Any, pointer: str) -> None:
    """A reference to a type of another schema: a full name, a subject, a number.

    Raises:
        SchemaError: one of them is none.
    """
    admit_full_name(name, f"{pointer}/name")
    if not isinstance(subject, str) or not subject:
        raise SchemaError("reference", "needs a subject", f"{pointer}/subject")
    if type(version) is not int or not 1 <= version <= MOST_VERSION:
        raise SchemaError(
            "reference", f"a version is an integer from 1 to {MOST_VERSION}", f"{pointer}/version"
        )


def _admit_bytes(count: int) -> None:
    if count > MOST_TEXT_BYTES:
        raise SchemaError("size", f"is {count} bytes long; at most {MOST_TEXT_BYTES} are taken")


def admit_name(name: Any, pointer: str) -> str:
    """A simple name.

    Raises:
        SchemaError: no name by Avro's grammar, or too long.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SchemaError(
            "name", "a name starts with a letter or `_` and goes on with letters, digits and `_`", pointer
        )
    if len(name) > MOST_NAME:
        raise SchemaError("name", f"is longer than {MOST_NAME} characters", pointer)
    return name


def admit_full_name(name: Any, pointer: str) -> str:
    """A name with or without a namespace.

    Raises:
        SchemaError: a part is no name, or the whole is too long.
    """
    if not isinstance(name, str):
        raise SchemaError("name", "must be a string", pointer)
    if len(name) > MOST_FULL_NAME:
        raise SchemaError("name", f"is longer than {MOST_FULL_NAME} characters", pointer)
    for part in name.split("."):
        admit_name(part, pointer)
    return name


def admit_measure(measure: Measure, pointer: str) -> Measure:
    """A type that is neither nested too deeply nor too large when written out.

    Raises:
        SchemaError: it is.
    """
    if measure.nesting > MOST_NESTING:
        raise SchemaError("nesting", f"nests more than {MOST_NESTING} levels; flatten it", pointer)
    if measure.expanded > MOST_EXPANDED:
        text = f"has more than {MOST_EXPANDED} types when named ones are written out; split the event"
        raise SchemaError("expanded", text, pointer)
    return measure


def admit_items(measure: Measure, pointer: str) -> None:
    """Items of an array, or values of a map, that take at least one byte.

    Raises:
        SchemaError: they take none, so that five bytes could stand for billions of them.
    """
    if measure.width == 0:
        text = "items take no bytes (null, an empty record); five bytes could stand for billions of them"
        raise SchemaError("zero_width", text, pointer)
    if measure.hollow > MOST_HOLLOW * measure.width:
        text = f"items hold more than {MOST_HOLLOW} values of no bytes (null, empty records) to each byte"
        raise SchemaError("zero_width", text, pointer)


def admit_size(size: Any, pointer: str) -> int:
    """The size of a fixed, in bytes.

    Raises:
        SchemaError: no integer from 1 to 65,536.
    """
    if type(size) is not int or not 1 <= size <= MOST_FIXED_BYTES:
        raise SchemaError("fixed_size", f"must be an integer from 1 to {MOST_FIXED_BYTES}", pointer)
    return size


def admit_count(what: str, count: int, most: int, pointer: str) -> None:
    """Between one and `most` of something.

    Raises:
        SchemaError: none or too many.
    """
    if not 1 <= count <= most:
        raise SchemaError("count", f"has {count} {what}; from 1 to {most} are taken", pointer)
