"""The texts at all pointers in one generated function, for data that took a compiled path.

Where records alone lead to a scalar, its text is an expression; anything else calls the reference's pick.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from schemas.avro_type import AvroType, Enumeration, Fixed, Primitive, Record
from schemas.fast_clock import CLOCKS
from schemas.fast_source import Source
from schemas.leaf import plain_leaf
from schemas.pointers import compile_pointers

PickAll: TypeAlias = Callable[[Any], Mapping[str, str | None]]
"""Datum in plain form to the text at each pointer; None where it is null."""


def compile_pick_all(root: AvroType, pointers: Sequence[str]) -> PickAll:
    """What `compile_pointers` gives, all at once.

    Raises:
        SchemaError: as there.
    """
    source = Source()
    texts = [
        f"{source.constant('pointer', pointer)}: {_text(source, root, pointer) or _call(source, pick)}"
        for pointer, pick in compile_pointers(root, pointers)
    ]
    with source.block("def pick_all(datum):"):
        source.line(f"return {{{', '.join(texts)}}}")
    pick_all: PickAll = source.functions("pointers")["pick_all"]
    return pick_all


def _call(source: Source, pick: Callable[[Any], Any]) -> str:
    return f"{source.constant('pick', pick)}(datum)"


def _text(source: Source, kind: AvroType, pointer: str) -> str | None:
    """An expression for the text at a pointer that records alone lead to."""
    place = "datum"
    for token in pointer[1:].split("/"):
        if not isinstance(kind, Record):
            return None
        index = [field.name for field in kind.fields].index(token)
        place += f"[{index}]"
        kind = kind.fields[index].type
    if isinstance(kind, Enumeration):
        return place
    if not isinstance(kind, Primitive | Fixed) or kind.name == "null":
        return None
    if kind.name == "string":
        return place
    if kind.name in {"int", "long"} and kind.logical is None:
        return f"str({place})"
    if kind.logical is not None and kind.logical.name in CLOCKS:
        write = CLOCKS[kind.logical.name].writer(plain_leaf(kind))
        return f"{source.constant('write', write)}({place})[1:-1]"
    return f"{source.constant('text', plain_leaf(kind).text)}({place})"
