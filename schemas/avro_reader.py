"""Avro bytes to plain form, bounded in every way: nothing from outside reaches a C extension.

Strict where Avro leaves no choice (shortest varints, indexes and integers in range, booleans 0 or 1, exact
end), and open to what the specification allows: arrays and maps in several blocks, decimals with sign
extension. Whether bytes are canonical is asked by encoding again. Work and memory are bounded by the length
of the input; nesting by the schema.
Source: Apache Avro 1.12 specification, "Binary Encoding".
"""

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from schemas.avro_input import Input
from schemas.avro_type import Array, AvroType, Enumeration, Fixed, Map, Primitive, Record, Union
from schemas.errors import MisfitError
from schemas.fault import Path
from schemas.findings import Findings
from schemas.leaf import verifier, verify_decimal_bytes

_INT32 = 1 << 31
_FLOAT = struct.Struct("<f").unpack_from
_DOUBLE = struct.Struct("<d").unpack_from


Read: TypeAlias = Callable[[Input, Path], Any]
ReadAvro: TypeAlias = Callable[[bytes], Any]


def compile_read(kind: AvroType) -> Read:
    """A function that reads one datum where an input stands, and leaves the input behind it.

    Lighter faults are left in the input's findings; those that end the reading raise DatumError.
    """
    return _Compiler().compile(kind)


def compile_reader(kind: AvroType) -> ReadAvro:
    """A function from the Avro bytes of a type to plain form; what is none of it raises DatumError."""
    read = compile_read(kind)

    def read_avro(raw: bytes) -> Any:
        findings = Findings()
        source = Input(raw, findings)
        datum = read(source, None)
        if source.at != source.end:
            findings.add(None, "trailing_bytes", f"{source.end - source.at} bytes follow the datum")
        findings.verify()
        return datum

    return read_avro


class _Compiler:
    def __init__(self) -> None:
        self.records: dict[str, Read] = {}

    def compile(self, kind: AvroType) -> Read:
        match kind:
            case Record():
                if kind.name not in self.records:
                    self.records[kind.name] = _record(
                        [(field.name, self.compile(field.type)) for field in kind.fields]
                    )
                return self.records[kind.name]
            case Array():
                return _array(self.compile(kind.items))
            case Map():
                return _map(self.compile(kind.values))
            case Union():
                return _union([self.compile(branch) for branch in kind.branches], kind.null_branch())
            case Enumeration():
                return _enumeration(kind)
            case Fixed() | Primitive():
                return _verified(kind, _physical(kind))


def _record(fields: list[tuple[str, Read]]) -> Read:
    return lambda source, path: [read(source, (path, name)) for name, read in fields]


def _array(read_item: Read) -> Read:
    def read(source: Input, path: Path) -> list[Any]:
        datum: list[Any] = []
        while True:
            count, end = source.block(path)
            if not count:
                return datum
            first = len(datum)
            datum.extend(read_item(source, (path, first + index)) for index in range(count))
            source.close_block(end, path)

    return read


def _map(read_value: Read) -> Read:
    def read(source: Input, path: Path) -> dict[str, Any]:
        datum: dict[str, Any] = {}
        while True:
            count, end = source.block(path)
            if not count:
                return datum
            for _ in range(count):
                name = source.text(path)
                if name in datum:
                    source.findings.stop((path, name), "duplicate_key", "stands twice in one map")
                datum[name] = read_value(source, (path, name))
            source.close_block(end, path)

    return read


def _union(readers: list[Read], null: int | None) -> Read:
    nothing = (null or 0, None)  # one for all: a byte of input must not cost a tuple of memory

    def read(source: Input, path: Path) -> tuple[int, Any]:
        index = source.long(path)
        if not 0 <= index < len(readers):
            source.findings.stop(path, "union", f"has a branch index outside 0 to {len(readers) - 1}")
        if index == null:
            return nothing
        return (index, readers[index](source, path))

    return read


def _enumeration(kind: Enumeration) -> Read:
    symbols = kind.symbols

    def read(source: Input, path: Path) -> str:
        index = source.long(path)
        if not 0 <= index < len(symbols):
            source.findings.stop(path, "enum", f"has a symbol index outside 0 to {len(symbols) - 1}")
        return symbols[index]

    return read


def _verified(kind: Fixed | Primitive, physical: Read) -> Read:
    """The physical reader, held to its logical type; such a fault does not end the reading."""
    is_checked = kind.logical is not None or kind.name in {"float", "double"}
    if not is_checked:
        return physical
    verify = verifier(kind)
    precision = kind.logical.precision if kind.logical is not None and kind.logical.name == "decimal" else 0

    def read(source: Input, path: Path) -> Any:
        datum = physical(source, path)
        try:
            if precision:
                datum = int.from_bytes(verify_decimal_bytes(datum, max(precision, 16)), "big", signed=True)
            return verify(datum)
        except MisfitError as misfit:
            source.findings.add(path, misfit.fault_code, misfit.text)
            return None

    return read


def _physical(kind: Fixed | Primitive) -> Read:
    if isinstance(kind, Fixed):
        size = kind.size
        return lambda source, path: source.take(size, path)
    return _PRIMITIVES[kind.name]


def _int(source: Input, path: Path) -> int:
    value = source.long(path)
    if not -_INT32 <= value < _INT32:
        source.findings.stop(path, "range", "is beyond int")
    return value


def _boolean(source: Input, path: Path) -> bool:
    byte = source.take(1, path)[0]
    if byte > 1:
        source.findings.stop(path, "encoding", "is no boolean: neither 0 nor 1")
    return byte == 1


def _float(source: Input, path: Path) -> float:
    return float(_FLOAT(source.take(4, path))[0])


def _double(source: Input, path: Path) -> float:
    return float(_DOUBLE(source.take(8, path))[0])


def _null(_: Input, __: Path) -> None:
    """Null takes no bytes."""


_PRIMITIVES: dict[str, Read] = {
    "null": _null,
    "boolean": _boolean,
    "int": _int,
    "long": Input.long,
    "float": _float,
    "double": _double,
    "bytes": Input.sized,
    "string": Input.text,
}
