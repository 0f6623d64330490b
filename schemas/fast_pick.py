"""The text at each pointer, sooner where it is a timestamp: most contracts point at one."""

from collections.abc import Callable, Sequence

from schemas.avro_type import AvroType, Primitive, Record
from schemas.fast_clock import CLOCKS
from schemas.leaf import plain_leaf
from schemas.pointers import Pick, compile_pointers


def compile_picks(root: AvroType, pointers: Sequence[str]) -> tuple[tuple[str, Pick], ...]:
    """As `compile_pointers`, with the same results.

    Raises:
        SchemaError: as there.
    """
    return tuple(
        (pointer, _moment(root, pointer) or pick) for pointer, pick in compile_pointers(root, pointers)
    )


def _moment(kind: AvroType, pointer: str) -> Pick | None:
    """The pick of a timestamp that records alone lead to."""
    path: list[int] = []
    for token in pointer[1:].split("/"):
        if not isinstance(kind, Record):
            return None
        names = [field.name for field in kind.fields]
        path.append(names.index(token))
        kind = kind.fields[path[-1]].type
    if not isinstance(kind, Primitive) or kind.logical is None or kind.logical.name not in CLOCKS:
        return None
    return _pick(path, CLOCKS[kind.logical.name].writer(plain_leaf(kind)))


def _pick(path: Sequence[int], write: Callable[[int], str]) -> Pick:
    def pick(datum: object) -> str:
        for index in path:
            datum = datum[index]  # type: ignore[index]  # records in plain form are lists
        return write(datum)[1:-1]  # type: ignore[arg-type]  # at their end stands a timestamp

    return pick
