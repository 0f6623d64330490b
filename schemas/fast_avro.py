"""The compiled path for Avro from outside: one generated function walks a datum and checks all of it.

It takes a datum only if the reference would take it and write it in the same bytes: numbers in their shortest
form and within the bounds of their logical type, indexes and booleans in range, UTF-8, no NaN, map names once
each, one block an array or map, decimals in their shortest form, and nothing behind. What it does not take is
left to the reference, which finds out why.

Items and lengths are held to the reference's bounds. Places behind the end are noticed at the latest at the
end: each step goes forward, and the last must end where the datum ends.

Left to the reference, where they stand: what nests deeper than eight arrays, maps and unions. Left to it as a
whole: schemas of more than 500 types, counted where they are used, data of more than 4 MiB, and what is not
canonical.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from schemas.avro_type import AvroType
from schemas.fast_source import wants_of
from schemas.fast_walk import Walk, walk_function

CheckAvro: TypeAlias = Callable[[bytes], tuple[Any] | None]
"""The plain form of a canonical datum as far as pointers lead; None leaves it to the reference."""


def compile_avro_path(root: AvroType, pointers: Sequence[str]) -> CheckAvro | None:
    """The compiled check of a type; None where the schema is too large for one."""
    walk, wants = Walk(), wants_of(pointers)

    def body() -> str:
        datum = walk.emit(root, wants, 0)
        return "(None,)" if wants is None else f"({datum},)"

    check: CheckAvro | None = walk_function(walk.source, "avro_check", body)
    return check
