import json
import re
from datetime import date, timedelta
from typing import Any

import pytest

from schemas.errors import MisfitError
from schemas.leaf import JsonFlavour
from schemas.schema import parse_schema
from schemas.temporal import parse_date
from tests.json_schema_oracle import Verdicts

UUID = "0123ABCD-4567-4e89-8abc-0123456789ab"
INT, LONG = 1 << 31, 1 << 63


def logical(carrier: str, name: str, **rest: int) -> dict[str, Any]:
    return {"type": carrier, "logicalType": name, **rest}


def fixed(size: int, **rest: object) -> dict[str, Any]:
    return {"type": "fixed", "name": "F", "size": size, **rest}


def verdicts(kind: Any, flavour: JsonFlavour) -> Verdicts:
    record = {"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]}
    return Verdicts(parse_schema(json.dumps(record)).root, flavour)


DECIMAL = logical("bytes", "decimal", precision=5, scale=2)
MILLIS = logical("long", "timestamp-millis")

# The type, what is taken, what is refused; by our validator and by the JSON Schema alike.
PLAIN: list[tuple[Any, list[Any], list[Any]]] = [
    ("null", [None], [0, "", False, [], {}]),
    ("boolean", [True, False], [0, 1, "true", None]),
    ("int", [0, INT - 1, -INT], [INT, -INT - 1, 1.5, "1", True, None]),
    ("long", [0, INT, LONG - 1, -LONG], [1.5, "1", False, 1e19]),
    ("float", [0, 1.5, -3.4028234663852886e38, LONG - 1], [3.5e38, -3.5e38, "1.5", True]),
    ("double", [0, 1.5, -1.7976931348623157e308], ["NaN", "1", None, False]),
    ("string", ["", "x", "é\n", "x" * 262_144], [1, None, ["x"], "x" * 262_145]),
    (
        "bytes",
        ["", "AAAA", "AAA=", "AA==", "+/+/"],
        ["A", "AAA", "AA=", "AAAA=", "AAAA====", "AA==AA==", "-_-_", "AAAA\n", 1],
    ),
    (fixed(3), ["AAAA"], ["", "AAA=", "AAAAAAAA", "AAA"]),
    (fixed(4), ["AAAAAA=="], ["AAAA", "AAAAAAA=", "AAAAAAAA"]),
    (fixed(5), ["AAAAAAA="], ["AAAA", "AAAAAA==", "AAAAAAAA"]),
    ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, ["A", "B"], ["C", "a", "", 0, None]),
    (
        logical("string", "uuid"),
        [UUID, UUID.lower()],
        [UUID[1:], UUID + "0", "{" + UUID + "}", UUID.replace("-", ""), 1, UUID + "\n"],
    ),
    (fixed(16, logicalType="uuid"), [UUID], [UUID[1:], "AAAA"]),
    (
        logical("int", "date"),
        ["1970-01-01", "0001-01-01", "9999-12-31", "2024-02-29", "2000-02-29"],
        [
            "0000-01-01",
            "2023-02-29",
            "1900-02-29",
            "2026-04-31",
            "2026-13-01",
            "2026-1-1",
            "2026-01-00",
            "10000-01-01",
            "2026-01-01T00:00:00Z",
            "2026-01-01\n",
            "\uff12026-01-01",
            True,
        ],
    ),
    (
        logical("int", "time-millis"),
        ["00:00:00", "23:59:59.999", "12:00:00.5", "12:00:00.100000", 0, 86_399_999],
        [
            "24:00:00",
            "12:60:00",
            "12:00:60",
            "12:00",
            "12:00:00.0001",
            "12:00:00.",
            "12:00:00Z",
            -1,
            86_400_000,
            1.5,
        ],
    ),
    (
        logical("long", "time-micros"),
        ["12:00:00.000001", 86_399_999_999],
        ["12:00:00.0000001", 86_400_000_000],
    ),
    (
        MILLIS,
        [
            "2026-01-15T12:30:45Z",
            "2026-01-15t12:30:45.123z",
            "2026-01-15T12:30:45.120000+23:59",
            "2026-01-15T12:30:45-00:00",
            0,
            -62_135_596_800_000,
            253_402_300_799_999,
        ],
        [
            "2026-01-15T12:30:45",
            "2026-01-15 12:30:45Z",
            "2026-01-15T12:30:45.1234Z",
            "2026-01-15T12:30:60Z",
            "2026-01-15T12:30:45+24:00",
            "2026-01-15T12:30:45+0100",
            "2026-02-30T12:30:45Z",
            "2026-01-15",
            "",
            -62_135_596_800_001,
            253_402_300_800_000,
            0.5,
            True,
        ],
    ),
    (logical("long", "timestamp-micros"), ["2026-01-15T12:30:45.123456Z"], ["2026-01-15T12:30:45.1234567Z"]),
    (
        logical("long", "timestamp-nanos"),
        ["2026-01-15T12:30:45.123456789Z", LONG - 1, -LONG],
        ["2026-01-15T12:30:45.1234567891Z"],
    ),
    (logical("long", "local-timestamp-nanos"), ["2026-01-15T12:30:45.123456789"], ["2026-01-15T12:30:45Z"]),
    (
        logical("long", "local-timestamp-millis"),
        ["2026-01-15T12:30:45.123"],
        ["2026-01-15T12:30:45.123Z", "2026-01-15T12:30:45.1234"],
    ),
    (
        fixed(12, logicalType="duration"),
        ["P1M2DT3.004S", "P1Y", "P1W", "P1Y2M3W4DT5H6M7.008S", "PT0S", "PT1.5000S", "PT1M"],
        [
            "P",
            "PT",
            "P1",
            "P1DT",
            "1D",
            "P1D1M",
            "PT1S1M",
            "P-1D",
            "P1.5D",
            "PT1.0001S",
            "PT.5S",
            "P1D\n",
            "p1d",
            1,
        ],
    ),
    (
        DECIMAL,
        ["0", "-0", "1.5", "999.99", "-999.99", "1.50000", 0, 999, -999, 1.5],
        [
            "1000",
            "-1000.00",
            "1.001",
            "01",
            "1.",
            ".5",
            "+1",
            "1e2",
            " 1",
            "1\n",
            "",
            1000,
            -1000,
            True,
            None,
        ],
    ),
    (logical("bytes", "decimal", precision=2), ["99", "-99", "1.0", "1.000", 99], ["100", "1.5", 100, 1.5]),
    (
        logical("bytes", "decimal", precision=2, scale=2),
        ["0", "0.99", "-0.5", 0, 0.25],
        ["1", "1.00", "00.5", 1, -1],
    ),
    (logical("bytes", "decimal", precision=38, scale=0), ["9" * 38, LONG - 1], ["9" * 39]),
    (logical("bytes", "decimal", precision=22, scale=0), ["9" * 22, 1e21], ["9" * 23, 1e23]),
    (DECIMAL, ["1." + "0" * 998], ["1." + "0" * 999]),
]

AVRO: list[tuple[Any, list[Any], list[Any]]] = [
    ("bytes", ["", "\x00ÿ\n", "AAAA"], ["Ā", "\U0001f600", 1]),
    (fixed(3), ["abc", "\x00\n\xff"], ["", "ab", "abcd", "abĀ"]),
    (DECIMAL, ["\x01", "\x00\x01", "\xff"], ["", "\x00" * 19, "1.50Ā", 1]),
    (fixed(16, logicalType="decimal", precision=4), ["\x00" * 16, "\xff" * 16], ["\x00", "\x00" * 17]),
    (fixed(16, logicalType="uuid"), ["\x00" * 16], [UUID, ""]),
    (fixed(12, logicalType="duration"), ["\x00" * 12, "\xff" * 12], ["P1D", ""]),
    (logical("string", "uuid"), [UUID], [UUID[1:]]),
    (logical("int", "date"), [0, -719_162, 2_932_896], [-719_163, 2_932_897, "1970-01-01"]),
    (MILLIS, [0], ["2026-01-15T12:30:45Z", 253_402_300_800_000]),
    (logical("int", "time-millis"), [0, 86_399_999], ["12:00:00", 86_400_000]),
    (
        ["null", "int"],
        [None, {"int": 1}],
        [1, {"null": None}, {}, {"int": None}, {"long": 1}, {"int": 1, "string": "x"}],
    ),
    (["int", "string"], [{"int": 1}, {"string": "x"}], [None, 1, "x", {"int": "x"}]),
]


@pytest.mark.parametrize(("kind", "taken", "refused"), PLAIN, ids=lambda one: json.dumps(one)[:60])
def test_json_schema_and_validator_agree_on_what_people_write(
    kind: Any, taken: list[Any], refused: list[Any]
) -> None:
    judge = verdicts(kind, "plain")
    assert [one for one in taken if judge.both({"f": one}) != (True, True)] == []
    assert [one for one in refused if judge.both({"f": one}) != (False, False)] == []


@pytest.mark.parametrize(("kind", "taken", "refused"), AVRO, ids=lambda one: json.dumps(one)[:60])
def test_json_schema_and_validator_agree_on_the_avro_json_encoding(
    kind: Any, taken: list[Any], refused: list[Any]
) -> None:
    judge = verdicts(kind, "avro")
    assert [one for one in taken if judge.both({"f": one}) != (True, True)] == []
    assert [one for one in refused if judge.both({"f": one}) != (False, False)] == []


def test_the_calendar_in_the_pattern_is_the_calendar() -> None:
    pattern = re.compile(verdicts(logical("int", "date"), "plain").document["properties"]["f"]["pattern"])
    days = [(date(1899, 12, 1) + timedelta(days)).isoformat() for days in range(2_000)]
    leap_days = [f"{year:04}-02-{day}" for year in range(10_000) for day in (28, 29)]
    numbers = [
        f"{year}-{month:02}-{day:02}" for year in (1900, 2024) for month in range(14) for day in range(33)
    ]
    wrong = [text for text in days + leap_days + numbers if bool(pattern.match(text)) != is_day(text)]
    assert wrong == []


def is_day(text: str) -> bool:
    try:
        parse_date(text)
    except MisfitError:
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "raw", "code"),
    [
        ("int", b"1.0", "type"),
        ("int", b"1e2", "type"),
        ("double", b"9223372036854775808", "range"),
        ("string", json.dumps("é" * 200_000).encode(), "length"),
        ("string", b'"\\ud800"', "encoding"),
        (DECIMAL, b"1.001", "precision"),
        (logical("bytes", "decimal", precision=22), b"1e22", "precision"),
        (MILLIS, b'"0001-01-01T00:00:00+00:01"', "range"),
        (logical("long", "timestamp-nanos"), b'"2263-01-01T00:00:00Z"', "range"),
        (fixed(12, logicalType="duration"), b'"P4294967296D"', "range"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_what_json_schema_cannot_say_the_gateway_refuses(kind: Any, raw: bytes, code: str) -> None:
    judge = verdicts(kind, "plain")
    text = b'{"f":' + raw + b"}"
    assert judge.accepts(text)
    assert [fault.code for fault in judge.faults(text)] == [code]


def test_the_value_of_a_decimal_s_bytes_is_refused_by_the_gateway_alone() -> None:
    judge = verdicts(DECIMAL, "avro")
    assert judge.both({"f": "\x7f\xff\xff"}) == (False, True)
