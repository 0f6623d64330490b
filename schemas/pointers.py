"""Text values at named places of a datum: event id, key, time, search keys, whatever a contract points at."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from schemas.avro_type import AvroType, Enumeration, Fixed, Primitive, Record, Union
from schemas.errors import SchemaError
from schemas.leaf import plain_leaf

Pick: TypeAlias = Callable[[Any], str | None]
"""Datum in plain form to the text at one place; None where it is null."""

_UNSTABLE = frozenset({"float", "double"})


def compile_pointers(root: AvroType, pointers: Sequence[str]) -> tuple[tuple[str, Pick], ...]:
    """Each pointer with its getter.

    A pointer leads through records, and through unions of a record and null, to a string, boolean, int,
    long, enum, date, time, timestamp, decimal or uuid, or to a union of such.

    Raises:
        SchemaError: the schema cannot be walked that way, or what stands there has no stable text.
    """
    return tuple((pointer, _compile(root, pointer)) for pointer in pointers)


def _compile(root: AvroType, pointer: str) -> Pick:
    if not pointer.startswith("/"):
        raise SchemaError("pointer", f"{pointer!r} is no JSON Pointer; it starts with `/`")
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]
    return _step(root, tokens, pointer)


def _step(kind: AvroType, tokens: list[str], pointer: str) -> Pick:
    match kind:
        case Union():
            picks = [_step_branch(branch, tokens, pointer) for branch in kind.branches]
            return lambda datum: picks[datum[0]](datum[1])
        case Record() if tokens:
            for index, field in enumerate(kind.fields):
                if field.name == tokens[0]:
                    return _at(index, _step(field.type, tokens[1:], pointer))
            raise SchemaError("pointer", f"{pointer!r} leads to no field: {kind.name} has no {tokens[0]!r}")
        case Primitive() | Fixed() | Enumeration() if not tokens:
            return _text(kind, pointer)
        case _:
            text = (
                "ends at more than one value" if not tokens else "leads through an array, a map or a scalar"
            )
            raise SchemaError("pointer", f"{pointer!r} {text}; point at a scalar field of records")


def _step_branch(branch: AvroType, tokens: list[str], pointer: str) -> Pick:
    return _nothing if branch == Primitive("null") else _step(branch, tokens, pointer)


def _at(index: int, pick: Pick) -> Pick:
    return lambda datum: pick(datum[index])


def _text(kind: Primitive | Fixed | Enumeration, pointer: str) -> Pick:
    has_logical = not isinstance(kind, Enumeration) and kind.logical is not None
    is_opaque = isinstance(kind, Fixed) or kind.name == "bytes"
    if kind.name == "null":
        return _nothing
    if kind.name in _UNSTABLE or (is_opaque and not has_logical):
        raise SchemaError(
            "pointer", f"{pointer!r} ends at {kind.name}, which has no stable text; use string or decimal"
        )
    return plain_leaf(kind).text


def _nothing(_: Any) -> None:
    """Null has no text."""
