"""Which logical type may stand on which type. What a program might not understand is refused, not ignored."""

from collections.abc import Mapping
from typing import Any

from schemas.admission import MOST_DECIMAL_BYTES, MOST_DECIMAL_DIGITS
from schemas.avro_type import Logical
from schemas.errors import SchemaError

_CARRIERS: Mapping[str, frozenset[str]] = {
    "decimal": frozenset({"bytes", "fixed"}),
    "uuid": frozenset({"string", "fixed"}),
    "date": frozenset({"int"}),
    "time-millis": frozenset({"int"}),
    "time-micros": frozenset({"long"}),
    "timestamp-millis": frozenset({"long"}),
    "timestamp-micros": frozenset({"long"}),
    "timestamp-nanos": frozenset({"long"}),
    "local-timestamp-millis": frozenset({"long"}),
    "local-timestamp-micros": frozenset({"long"}),
    "local-timestamp-nanos": frozenset({"long"}),
    "duration": frozenset({"fixed"}),
}
_SIZES: Mapping[str, int] = {"uuid": 16, "duration": 12}
"""Bytes of the fixed that a logical type stands on."""


def parse_logical(document: Mapping[str, Any], carrier: str, size: int, pointer: str) -> Logical | None:
    """The logical type of a schema object on its carrier (`size`: bytes of a fixed, else 0), if it has one.

    Raises:
        SchemaError: unknown, on the wrong carrier, or a decimal whose digits do not fit.
    """
    if "logicalType" not in document:
        return None
    name, at = document["logicalType"], f"{pointer}/logicalType"
    carriers = _CARRIERS.get(name) if isinstance(name, str) else None
    if carriers is None:
        raise SchemaError("logical_type", f"is none of {', '.join(sorted(_CARRIERS))}", at)
    if carrier not in carriers:
        wanted = " or ".join(sorted(carriers))
        raise SchemaError("logical_type", f"{name} stands on {wanted}, not on {carrier}", at)
    if name == "decimal":
        return _parse_decimal(document, size, pointer)
    if carrier == "fixed" and size != _SIZES[name]:
        raise SchemaError("logical_type", f"{name} stands on a fixed of {_SIZES[name]} bytes", at)
    return Logical(name)


def _parse_decimal(document: Mapping[str, Any], size: int, pointer: str) -> Logical:
    precision, scale = document.get("precision"), document.get("scale", 0)
    if type(precision) is not int or not 1 <= precision <= MOST_DECIMAL_DIGITS:
        text = f"a decimal needs a precision from 1 to {MOST_DECIMAL_DIGITS}"
        raise SchemaError("decimal", text, f"{pointer}/precision")
    if type(scale) is not int or not 0 <= scale <= precision:
        raise SchemaError(
            "decimal", "a decimal's scale is an integer from 0 to its precision", f"{pointer}/scale"
        )
    if size > MOST_DECIMAL_BYTES:
        raise SchemaError(
            "decimal", f"a fixed decimal has at most {MOST_DECIMAL_BYTES} bytes", f"{pointer}/size"
        )
    if size and 10**precision > 1 << (8 * size - 1):
        text = f"a fixed of {size} bytes does not hold {precision} digits; enlarge it or lower the precision"
        raise SchemaError("decimal", text, f"{pointer}/precision")
    return Logical("decimal", precision, scale)
