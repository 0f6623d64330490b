"""Scalars as JSON Schema says them: for each type what its leaf takes, in one JSON flavour.

Patterns are of the plain kind that every dialect of regular expressions knows, and say it all: a tool that
takes `format` for a mere remark refuses the same texts. What only the gateway can refuse is listed in
`schemas.json_schema`.

Source: JSON Schema 2020-12, "Validation"; ECMA-262, regular expressions.
"""

from datetime import date
from typing import Any, Final

from schemas.avro_type import Enumeration, Fixed, Logical, Primitive, Scalar
from schemas.leaf import LONGEST_TEXT, JsonFlavour, leaf_of

_INT_END: Final = 1 << 31
_LONG_END: Final = 1 << 63
_FLOAT_END: Final = (1 << 128) - (1 << 103)
"""The first number that rounds to no finite float of 32 bits."""
_DOUBLE_MAX: Final = 1.7976931348623157e308
_LONGEST_DECIMAL: Final = 1_000
_DECIMAL_BYTES: Final = 16
_EXACT_DIGITS: Final = 15
"""So many digits a tool keeps that reads numbers as doubles."""
_FIRST_DAY: Final = date.min.toordinal() - date(1970, 1, 1).toordinal()
_DAYS_END: Final = date.max.toordinal() - date(1970, 1, 1).toordinal() + 1
_DAY_SECONDS: Final = 86_400
_UNITS: Final = {"millis": 3, "micros": 6, "nanos": 9}

_YEAR = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_LEAP = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_LONG_MONTH = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
_SHORT_MONTH = "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_FEBRUARY = "02-(?:0[1-9]|1[0-9]|2[0-8])"
_DATE: Final = f"(?:{_YEAR}-(?:{_LONG_MONTH}|{_SHORT_MONTH}|{_FEBRUARY})|{_LEAP}-02-29)"
_CLOCK: Final = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_ZONE: Final = "(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_UUID: Final = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_COUNT = "[0-9]{1,10}"
_SECONDS = f"{_COUNT}(?:\\.[0-9]{{1,3}}0*)?S"
_DAYS: Final = "(?:{n}Y(?:{n}M)?(?:{n}W)?(?:{n}D)?|{n}M(?:{n}W)?(?:{n}D)?|{n}W(?:{n}D)?|{n}D)".replace(
    "{n}", _COUNT
)
_HOURS: Final = f"T(?:{_COUNT}H(?:{_COUNT}M)?(?:{_SECONDS})?|{_COUNT}M(?:{_SECONDS})?|{_SECONDS})"
_DURATION: Final = f"P(?:{_DAYS}(?:{_HOURS})?|{_HOURS})"
_DIGIT64: Final = "[A-Za-z0-9+/]"
_BASE64: Final = f"(?:{_DIGIT64}{{4}})*(?:{_DIGIT64}{{2}}==|{_DIGIT64}{{3}}=)?"
_BASE64_ENDS: Final = (f"{_DIGIT64}*", f"{_DIGIT64}*==", f"{_DIGIT64}*=")
"""By how many bytes there are beyond a multiple of three."""


def describe_scalar(kind: Scalar, flavour: JsonFlavour) -> dict[str, Any]:
    """The JSON Schema of a scalar type."""
    if isinstance(kind, Enumeration):
        return {"type": "string", "enum": list(kind.symbols)}
    if kind.logical is not None:
        return _logical(kind, kind.logical, flavour)
    if isinstance(kind, Fixed) or kind.name == "bytes":
        return _latin(kind) if flavour == "avro" else _base64(kind)
    return _primitive(kind.name)


def _primitive(name: str) -> dict[str, Any]:
    match name:
        case "int":
            return _integers(-_INT_END, _INT_END)
        case "long":
            return _integers(-_LONG_END, _LONG_END)
        case "float":
            return {"type": "number", "exclusiveMinimum": -_FLOAT_END, "exclusiveMaximum": _FLOAT_END}
        case "double":
            return {"type": "number", "minimum": -_DOUBLE_MAX, "maximum": _DOUBLE_MAX}
        case "string":
            return {"type": "string", "maxLength": LONGEST_TEXT}
        case _:
            return {"type": name}


def _base64(kind: Primitive | Fixed) -> dict[str, Any]:
    size = kind.size if isinstance(kind, Fixed) else None
    length = -(-(LONGEST_TEXT if size is None else size) // 3) * 4
    described = {"type": "string", "contentEncoding": "base64"}
    if size is None:
        return {**described, "pattern": f"^{_BASE64}$", "maxLength": length}
    return {**described, "pattern": f"^{_BASE64_ENDS[size % 3]}$", "minLength": length, "maxLength": length}


def _latin(kind: Primitive | Fixed, least: int = 0, most: int = LONGEST_TEXT) -> dict[str, Any]:
    """Bytes as characters up to U+00FF."""
    if isinstance(kind, Fixed):
        least = most = kind.size
    return _text("[\\u0000-\\u00ff]*") | ({"minLength": least} if least else {}) | {"maxLength": most}


def _logical(kind: Primitive | Fixed, logical: Logical, flavour: JsonFlavour) -> dict[str, Any]:
    is_opaque = isinstance(kind, Fixed) or kind.name == "bytes"
    if flavour == "avro" and is_opaque:
        most = max(logical.precision, _DECIMAL_BYTES) + 2
        return _latin(kind, 1, most) if logical.name == "decimal" else _latin(kind)
    if logical.name == "decimal":
        return _decimal(logical.precision, logical.scale)
    if logical.name == "uuid":
        return {**_text(_UUID), "format": "uuid"}
    if logical.name == "duration":
        return _text(_DURATION)
    kinds = leaf_of(kind, flavour).kinds
    ways = [_temporal_text(logical.name)] if str in kinds else []
    ways += [_temporal_number(logical.name)] if int in kinds else []
    return ways[0] if len(ways) == 1 else {"anyOf": ways}


def _decimal(precision: int, scale: int) -> dict[str, Any]:
    """Exact as text; of a number its last digits are left to the gateway.

    `multipleOf` would say them, and tools that divide doubles would refuse 0.07. Where a double rounds the
    largest decimal up, the bound lets it pass.
    """
    whole = precision - scale
    before = f"(?:0|[1-9][0-9]{{0,{whole - 1}}})" if whole else "0"
    after = f"(?:\\.[0-9]{{1,{scale}}}0*)?" if scale else "(?:\\.0+)?"
    end = 10**whole
    least, most = (
        ("exclusiveMinimum", "exclusiveMaximum") if precision <= _EXACT_DIGITS else ("minimum", "maximum")
    )
    number = {"type": "number" if scale else "integer", least: -end, most: end}
    return {"anyOf": [{**_text(f"-?{before}{after}"), "maxLength": _LONGEST_DECIMAL}, number]}


def _temporal_text(name: str) -> dict[str, Any]:
    if name == "date":
        return {**_text(_DATE), "format": "date"}
    digits = _UNITS[name.rpartition("-")[2]]
    clock = f"{_CLOCK}(?:\\.[0-9]{{1,{digits}}}0*)?"
    if name.startswith("time-"):
        return _text(clock)
    if name.startswith("local-"):
        return _text(f"{_DATE}[Tt]{clock}")
    return {**_text(f"{_DATE}[Tt]{clock}{_ZONE}"), "format": "date-time"}


def _temporal_number(name: str) -> dict[str, Any]:
    """Days, or units of the day or since 1970: what the leaf verifies, as bounds."""
    if name == "date":
        return _integers(_FIRST_DAY, _DAYS_END)
    unit = 10 ** _UNITS[name.rpartition("-")[2]]
    if name.startswith("time-"):
        return _integers(0, _DAY_SECONDS * unit)
    least, end = _FIRST_DAY * _DAY_SECONDS * unit, _DAYS_END * _DAY_SECONDS * unit
    return _integers(max(least, -_LONG_END), min(end, _LONG_END))


def _integers(least: int, end: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": end - 1}


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$"}
