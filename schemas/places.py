"""What a JSON Pointer into an event's data leads to, by its schema: for those who look at values there.

Wider than `pointers`, which wants a text that never changes: any scalar will do, and maps are walked too.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from schemas.avro_type import AvroType, Enumeration, Fixed, Map, Primitive, Record, Union
from schemas.errors import SchemaError
from schemas.suggestion import suggest

Sort = Literal["number", "date", "instant", "local", "flag", "text", "nothing"]
"""Of times: a date, a time with a zone, one without."""

_LOGICAL: Final[Mapping[str, Sort]] = {
    "decimal": "number",
    "date": "date",
    "timestamp": "instant",
    "local": "local",
}
"""By the first word of a logical type's name."""

_PRIMITIVE: Final[Mapping[str, Sort]] = {
    **dict.fromkeys(("int", "long", "float", "double"), "number"),
    "boolean": "flag",
    "null": "nothing",
}


def sorts_at(root: AvroType, tokens: Sequence[str]) -> frozenset[Sort]:
    """What stands at a place; several where the schema leaves it open.

    Raises:
        SchemaError: `pointer`: nothing can stand there, or more than one value.
    """
    found = [_sort(kind) for kind in _walk(root, tuple(tokens), ())]
    return frozenset(one for one in found if one != "nothing") or frozenset({"nothing"})


def _walk(kind: AvroType, tokens: tuple[str, ...], above: tuple[str, ...]) -> Iterator[AvroType]:
    match kind:
        case Union(branches):
            yield from _walk_branches([one for one in branches if one != Primitive("null")], tokens, above)
        case Record() if tokens:
            for field in kind.fields:
                if field.name == tokens[0]:
                    yield from _walk(field.type, tokens[1:], (*above, tokens[0]))
                    return
            raise SchemaError("pointer", _unknown(tokens[0], kind, above))
        case Map() if tokens:
            yield from _walk(kind.values, tokens[1:], (*above, tokens[0]))
        case Primitive() | Fixed() | Enumeration() if not tokens:
            yield kind
        case _:
            text = "ends at more than one value" if not tokens else "leads through an array or a scalar"
            raise SchemaError("pointer", f"it {text}: point at a single value inside records and maps")


def _walk_branches(
    branches: Sequence[AvroType], tokens: tuple[str, ...], above: tuple[str, ...]
) -> Iterator[AvroType]:
    """Wherever it leads in any branch; refused only where it leads nowhere in all of them."""
    refusal: SchemaError | None = None
    found: list[AvroType] = []
    for branch in branches:
        try:
            found += _walk(branch, tokens, above)
        except SchemaError as error:
            refusal = refusal or error
    if not found and refusal is not None:
        raise refusal
    yield from found


def _sort(kind: AvroType) -> Sort:
    if isinstance(kind, Enumeration):
        return "text"
    logical = getattr(kind, "logical", None)
    if logical is not None:
        return _LOGICAL.get(logical.name.partition("-")[0], "text")
    name = kind.name if isinstance(kind, Primitive) else ""
    return _PRIMITIVE.get(name, "text")


def _unknown(name: str, kind: Record, above: tuple[str, ...]) -> str:
    where = "/".join(("", *above))
    near = suggest(name, [one.name for one in kind.fields])
    return f"there is no {where}/{name}" + (f"; did you mean {where}/{near}?" if near else "")
