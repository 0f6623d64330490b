"""The compiled paths against the reference: what they take, it takes, with the same bytes and values."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from schemas.avro_type import AvroType, Record, Union
from schemas.compiled import Parts
from schemas.errors import PayloadError, SchemaError
from schemas.findings import Findings
from schemas.json_reader import read_with_findings
from schemas.leaf import JsonFlavour
from schemas.pointers import compile_pointers
from schemas.schema import parse_schema
from tests.property.avro_schemas import schemas_and_data

_SLOW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
_FLAVOURS: st.SearchStrategy[JsonFlavour] = st.sampled_from(["plain", "avro"])
Verdict = tuple[bytes, dict[str, str | None]] | None
"""Avro and the texts at the pointers; None: refused, or left to the reference."""


def _pointers(root: AvroType) -> list[str]:
    """Pointers of a schema that lead to something with a text."""
    found: list[str] = []
    waiting: list[tuple[AvroType, str]] = [(root, "")]
    while waiting and len(found) < 5:
        kind, path = waiting.pop(0)
        if isinstance(kind, Record):
            waiting += [(field.type, f"{path}/{field.name}") for field in kind.fields]
        elif isinstance(kind, Union):
            waiting += [(branch, path) for branch in kind.branches if isinstance(branch, Record)]
        if path:
            try:
                compile_pointers(root, [path])
            except SchemaError:
                continue
            found.append(path)
    return list(dict.fromkeys(found))


def _parts(text: str, flavour: JsonFlavour) -> Parts:
    root = parse_schema(text).root
    return Parts(root, flavour, _pointers(root))


def _encoded(parts: Parts, datum: Any) -> bytes:
    out = bytearray()
    parts.encode(datum, out)
    return bytes(out)


def _picked(parts: Parts, datum: Any) -> dict[str, str | None]:
    return {pointer: pick(datum) for pointer, pick in parts.picks}


def _reference(parts: Parts, raw: bytes) -> Verdict:
    findings = Findings()
    try:
        datum = parts.check(read_with_findings(raw, findings), None, findings)
        findings.verify()
    except PayloadError:
        return None
    return _encoded(parts, datum), _picked(parts, datum)


def _fast(parts: Parts, raw: bytes) -> Verdict:
    found = parts.encode_json(raw) if parts.encode_json else None
    return None if found is None else (found[0], dict(parts.pick_all(found[1])))


def _agree(parts: Parts, raw: bytes) -> None:
    """What the compiled path takes, the reference takes with the same result."""
    fast = _fast(parts, raw)
    event("taken" if fast else "left")
    if fast is not None:
        assert fast == _reference(parts, raw)


def _reference_avro(parts: Parts, raw: bytes) -> Verdict:
    try:
        datum = parts.read(raw)
    except PayloadError:
        return None
    return (raw, _picked(parts, datum)) if _encoded(parts, datum) == raw else None


def _fast_avro(parts: Parts, raw: bytes) -> Verdict:
    found = parts.check_avro(raw) if parts.check_avro else None
    return None if found is None else (raw, dict(parts.pick_all(found[0])))


@_SLOW
@given(schemas_and_data(), _FLAVOURS)
def test_honest_json_takes_the_compiled_path_to_the_reference_bytes(
    case: tuple[str, list[Any]], flavour: JsonFlavour
) -> None:
    parts = _parts(case[0], flavour)
    for datum in case[1]:
        raw = parts.write(datum).encode()
        assert _fast(parts, raw) == _reference(parts, raw)
        assert _fast(parts, raw) == (_encoded(parts, datum), _picked(parts, datum))


@_SLOW
@given(schemas_and_data(any_root=True), st.data())
def test_the_compiled_path_takes_exactly_the_avro_that_the_reference_takes(
    case: tuple[str, list[Any]], draw: st.DataObject
) -> None:
    parts = _parts(case[0], "plain")
    for datum in case[1]:
        raw = _encoded(parts, datum)
        assert _fast_avro(parts, raw) == (raw, _picked(parts, datum))
        for _ in range(4):
            at = draw.draw(st.integers(0, len(raw)))
            other = raw[:at] + draw.draw(_BYTES) + raw[at + draw.draw(st.integers(0, 2)) :]
            fast = _fast_avro(parts, other)
            event("taken" if fast else "left")
            assert fast == _reference_avro(parts, other)


@_SLOW
@given(schemas_and_data(any_root=True), _FLAVOURS, st.data())
def test_the_compiled_path_prints_the_reference_text(
    case: tuple[str, list[Any]], flavour: JsonFlavour, draw: st.DataObject
) -> None:
    parts = _parts(case[0], flavour)
    assert parts.print_avro is not None
    for datum in case[1]:
        raw = _encoded(parts, datum)
        printed = parts.print_avro(raw)
        assert printed is not None
        assert printed[0] == parts.write(datum).encode()
        assert parts.pick_all(printed[1]) == _picked(parts, datum)
        at = draw.draw(st.integers(0, len(raw)))
        other = raw[:at] + draw.draw(_BYTES) + raw[at + draw.draw(st.integers(0, 2)) :]
        printed = parts.print_avro(other)
        if printed is not None:
            assert printed[0] == parts.write(parts.read(other)).encode()


_BYTES = st.binary(max_size=3) | st.sampled_from(
    [b"\x80", b"\xff", b"\x00", b"\x01", b"\x03", b"\x80\x00", b"\xff\xff\xff\xff\x0f", b"\xff" * 9 + b"\x01"]
)


class _Number(str):
    """A number as it stands in a text."""

    __slots__ = ()


_TOKENS = [
    "0",
    "-0",
    "0.0",
    "-0.0",
    "1.0",
    "1e2",
    "1E+2",
    "1e-2",
    "0e0",
    "12.5",
    "12.50",
    "1e400",
    "-1e400",
    "1e-400",
    "1e-99999999999999999999",
    "0e99999999999999999999",
    "2147483647",
    "2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "10000000000000000000000",
    "1." + "0" * 1_200,
    "0." + "0" * 1_200 + "1",
    "9" * 400,
    "NaN",
    "Infinity",
    "01",
    "+1",
    ".5",
    "1.",
    "1_0",
    "0x1",
    "3.4028235677973366e38",
    "3.5e38",
    "16777217",
    "true",
    "null",
]
_TEXTS = [
    "",
    " ",
    "1.50",
    "-1.50",
    "+1.50",
    "01.50",
    "00",
    "1.5e3",
    "1_0.00",
    " 1.00",
    "1.00 ",
    "NaN",
    ".50",
    "1.",
    "1.500",
    "1.505",
    "٣.50",
    "12345678901234567890123456789012345678",
    "2026-02-29T00:00:00Z",
    "A",
    "AAAA",
    "2024-02-29T23:59:59Z",
    "2024-02-29t23:59:59z",
    "2024-02-29T23:59:60Z",
    "2024-02-29T24:00:00Z",
    "2024-02-29T23:59:59.123Z",
    "2024-02-29T23:59:59.1234Z",
    "2024-02-29T23:59:59.1230Z",
    "2024-02-29T23:59:59.123456Z",
    "2024-02-29T23:59:59.123456789Z",
    "2024-02-29T23:59:59+02:00",
    "2024-02-29T23:59:59.123-23:59",
    "2024-02-29T23:59:59.123+24:00",
    "2024-02-29T23:59:59-00:00",
    "0001-01-01T00:00:00+00:01",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999-00:01",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
    "2024-02-29 23:59:59Z",
    "2024-02-29T23:59:59",
    "٢024-02-29T23:59:59Z",
    "2024-02-29",
    "23:59:59.999",
    "23:59:59.999999",
    "123E4567-E89B-12d3-a456-426614174000",
    "{123e4567-e89b-12d3-a456-426614174000}",
    "123e4567e89b12d3a456426614174000",
    "AA==",
    "AAE=",
    "AB==",
    "AA=",
    "AAAA====",
    "_-==",
    "\u00ff",
    "\u0100",
    "P1M2DT3.004S",
    "P0M0DT0.000S",
    '"',
    "\\",
    ":",
    '":',
    "\\u0022",
]
_ODD = st.sampled_from([*map(_Number, _TOKENS), *_TEXTS, None, [], {}, [1], {"a": 1}, True])
_SPACES = st.sampled_from(["", "", "", "", " ", "\n", "\t\r\n ", "\u00a0", "\x0b"])
_RARELY: st.SearchStrategy[bool] = st.sampled_from([False] * 19 + [True])


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with some parts that are not as they should be; objects as lists of members in a tuple."""
    if draw(_RARELY):
        return draw(_ODD)
    if isinstance(value, list):
        return [draw(_changed(item)) for item in value]
    if isinstance(value, dict):
        members: list[tuple[str, Any]] = [
            (name, draw(_changed(item))) for name, item in value.items() if not draw(_RARELY)
        ]
        if bool(members) and draw(_RARELY):
            members.append(draw(st.sampled_from(members)))
        if draw(_RARELY):
            members.append((draw(st.sampled_from(["f0", "f1", "", "a", '"', "zz"])), draw(_ODD)))
        return tuple(draw(st.permutations(members)))
    return value


@st.composite
def _printed(draw: st.DrawFn, value: Any) -> str:
    space = draw(_SPACES) if draw(_RARELY) else ""
    if isinstance(value, _Number):
        return space + str(value)
    if isinstance(value, str):
        return space + draw(_strings(value))
    if isinstance(value, list):
        return space + "[" + ",".join(draw(_printed(item)) for item in value) + space + "]"
    if isinstance(value, dict):
        value = tuple(value.items())
    if isinstance(value, tuple):
        members = [f"{draw(_strings(name))}{space}:{draw(_printed(item))}" for name, item in value]
        return space + "{" + ",".join(members) + space + "}"
    return space + json.dumps(value) + space


@st.composite
def _strings(draw: st.DrawFn, text: str) -> str:
    """A string with some characters escaped that need not be, and now and then one that is broken."""
    how = draw(st.integers(0, 9))
    if how == 0:
        return '"' + "".join(f"\\u{ord(one):04x}" if ord(one) < 65_536 else one for one in text) + '"'
    if how == 1:
        return json.dumps(text)
    if how == 2 and draw(_RARELY):
        return draw(
            st.sampled_from(['"\\ud800"', '"\\udc00"', '"\\ud83d\\ude00"', '"\x01"', '"\\x"', '"a', "'a'"])
        )
    return json.dumps(text, ensure_ascii=False)


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Parts, list[bytes]]:
    """A schema's parts, and texts that are nearly right."""
    text, data = draw(schemas_and_data())
    parts = _parts(text, draw(_FLAVOURS))
    raws: list[bytes] = []
    for datum in data:
        value = json.loads(parts.write(datum), parse_float=_Number, parse_int=_Number)
        for _ in range(4):
            raw = draw(_printed(draw(_changed(value)))).encode()
            if draw(_RARELY):
                at = draw(st.integers(0, len(raw)))
                raw = raw[:at] + draw(st.binary(max_size=2)) + raw[at + draw(st.integers(0, 2)) :]
            raws.append(raw)
    return parts, raws


@_SLOW
@given(_cases())
def test_the_compiled_path_never_takes_json_that_the_reference_refuses(
    case: tuple[Parts, list[bytes]],
) -> None:
    for raw in case[1]:
        _agree(case[0], raw)


@_SLOW
@given(st.decimals(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_become_the_same_doubles(number: Decimal, double: float) -> None:
    schema = {
        "type": "record",
        "name": "R",
        "fields": [{"name": name, "type": name} for name in ("double", "float")],
    }
    parts = _parts(json.dumps(schema), "plain")
    for token in (str(number), repr(double), f"{double:.17e}", f"{double:f}"):
        for small in ("0", token):
            _agree(parts, f'{{"double":{token},"float":{small}}}'.encode())
