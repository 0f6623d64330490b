"""Defaults of a schema: from the JSON that stands in it to a datum in plain form.

Source: Apache Avro 1.12 specification, "Complex types", table of field defaults. A union's default must fit
its first branch, as every version of the specification and every stock reader understands it.
"""

from decimal import Decimal
from typing import Any, NoReturn

from schemas.avro_type import (
    ABSENT,
    Array,
    AvroType,
    Enumeration,
    Fixed,
    Map,
    Primitive,
    Record,
    Union,
    describe,
)
from schemas.errors import MisfitError, SchemaError
from schemas.leaf import avro_leaf


def parse_default(kind: AvroType, value: Any, pointer: str) -> Any:
    """A default in plain form.

    Raises:
        SchemaError: it is no datum of its type.
    """
    match kind:
        case Union():
            return (0, parse_default(kind.branches[0], value, pointer))
        case Array():
            if not isinstance(value, list):
                _refuse(kind, pointer)
            return [parse_default(kind.items, item, f"{pointer}/{index}") for index, item in enumerate(value)]
        case Map():
            if not isinstance(value, dict):
                _refuse(kind, pointer)
            return {
                name: parse_default(kind.values, item, f"{pointer}/{name}") for name, item in value.items()
            }
        case Record():
            return _parse_record(kind, value, pointer)
        case Primitive() | Fixed() | Enumeration():
            return _parse_scalar(kind, value, pointer)


def _parse_record(kind: Record, value: Any, pointer: str) -> list[Any]:
    if not isinstance(value, dict):
        _refuse(kind, pointer)
    unknown = value.keys() - {field.name for field in kind.fields}
    if unknown:
        raise SchemaError("default", f"names fields that the record does not have: {len(unknown)}", pointer)
    values: list[Any] = []
    for field in kind.fields:
        if field.name in value:
            values.append(parse_default(field.type, value[field.name], f"{pointer}/{field.name}"))
        elif field.default is ABSENT:
            raise SchemaError("default", f"leaves out {field.name}, which has no default of its own", pointer)
        else:
            values.append(field.default)
    return values


def _parse_scalar(kind: Primitive | Fixed | Enumeration, value: Any, pointer: str) -> Any:
    leaf = avro_leaf(kind)
    if type(value) not in leaf.kinds or (type(value) is Decimal and kind.name not in {"float", "double"}):
        _refuse(kind, pointer)
    try:
        return leaf.parse(value)
    except MisfitError as error:
        raise SchemaError("default", f"{error.text}; wanted: {describe(kind)}", pointer) from error


def _refuse(kind: AvroType, pointer: str) -> NoReturn:
    raise SchemaError("default", f"is no {describe(kind)} (of a union: of its first branch)", pointer)
