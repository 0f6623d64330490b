"""One fault of a datum: where it is, what is wrong, what was expected. Never holds the value itself."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

FaultCode: TypeAlias = Literal[
    "missing",
    "unknown_field",
    "type",
    "range",
    "length",
    "enum",
    "format",
    "precision",
    "union",
    "depth",
    "duplicate_key",
    "encoding",
    "trailing_bytes",
]
"""The closed list that users see in `errors[]`."""

Path: TypeAlias = "tuple[Path, str | int] | None"
"""A place in a datum, linked from the inside out: cheap to extend, made into text only for a fault."""

_TOKEN_CHARACTERS = 100
_POINTER_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a datum.

    `pointer`: RFC 6901, `/lines/0/qty`; `expected`: the type that the schema wants, where one is at fault.
    """

    pointer: str
    code: FaultCode
    text: str
    expected: str | None = None


def format_pointer(path: Path) -> str:
    """The JSON Pointer of a path; a name from outside is cut at 100 characters, the whole at 1,000.

    Source: RFC 6901, section 3.
    """
    tokens: list[str] = []
    while path is not None:
        path, token = path
        text = str(token)
        if len(text) > _TOKEN_CHARACTERS:
            text = text[:_TOKEN_CHARACTERS] + "…"
        tokens.append("/" + text.replace("~", "~0").replace("/", "~1"))
    pointer = "".join(reversed(tokens))
    return pointer if len(pointer) <= _POINTER_CHARACTERS else pointer[:_POINTER_CHARACTERS] + "…"
