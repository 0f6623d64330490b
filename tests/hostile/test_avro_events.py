"""Avro that was written to crash, stall or mislead: bare and framed, each with its expected fault.

Most are inputs that took down, stalled or misled a stock decoder: a count of billions in five bytes, an index
of -1 that picks the last symbol, a number of 31 bytes, what follows the datum.
"""

import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.container_files import number, sized
from tests.hostile.wire import (
    AVRO,
    CANARY,
    PATH,
    Wire,
    datum,
    event,
    open_wire,
    verify_problem,
)

RIGHT = datum()
I64_MIN = -(1 << 63)
NONE = number(0)
TEXT = sized(CANARY.encode())
SEVEN_BITS = b"\x80"


def padded(value: int, size: int) -> bytes:
    """A number in more bytes than it needs."""
    short = number(value)
    return short[:-1] + bytes([short[-1] | 0x80]) + b"\x80" * (size - len(short) - 1) + b"\x00"


def block(count: int, *items: bytes, size: int | None = None) -> bytes:
    """Items behind their count; a negative count is followed by the size."""
    inside = b"".join(items)
    if count < 0:
        return number(count) + number(len(inside) if size is None else size) + inside
    return number(count) + inside


NUMBERS: dict[str, tuple[str, bytes, str]] = {
    "int 2^31": ("qty", number(1 << 31), "range"),
    "int -2^31-1": ("qty", number(-(1 << 31) - 1), "range"),
    "int 2^40 in six bytes": ("qty", number(1 << 40), "range"),
    "int -2^63": ("qty", number(I64_MIN), "range"),
    "int of eleven bytes": ("qty", b"\x80" * 10 + b"\x01", "encoding"),
    "int of 31 bytes": ("qty", b"\x80" * 30 + b"\x01", "encoding"),
    "int of a thousand bytes": ("qty", b"\xff" * 1_000 + b"\x01", "encoding"),
    "int 3 in two bytes": ("qty", padded(3, 2), "encoding"),
    "int 3 in ten bytes": ("qty", padded(3, 10), "encoding"),
    "int 0 in two bytes": ("qty", b"\x80\x00", "encoding"),
    "int -1 in two bytes": ("qty", padded(-1, 2), "encoding"),
    "long 2^63": ("total", number(1 << 63), "encoding"),
    "long -2^63-1": ("total", number(I64_MIN - 1), "encoding"),
    "long of a tenth byte 02": ("total", b"\xff" * 9 + b"\x02", "encoding"),
    "long of a tenth byte 7F": ("total", b"\xff" * 9 + b"\x7f", "encoding"),
    "long of eleven bytes": ("total", b"\xff" * 10 + b"\x00", "encoding"),
    "long 4 in ten bytes": ("total", padded(4, 10), "encoding"),
    "long 4 in 31 bytes": ("total", padded(4, 31), "encoding"),
    "boolean 2": ("ok", b"\x02", "encoding"),
    "boolean 7": ("ok", b"\x07", "encoding"),
    "boolean 128": ("ok", b"\x80", "encoding"),
    "boolean 255": ("ok", b"\xff", "encoding"),
    "float NaN": ("weight", struct.pack("<f", float("nan")), "range"),
    "float infinity": ("weight", struct.pack("<f", float("inf")), "range"),
    "float -infinity": ("weight", struct.pack("<f", float("-inf")), "range"),
    "float, a signalling NaN": ("weight", b"\x01\x00\x80\x7f", "range"),
    "float, all bits": ("weight", b"\xff" * 4, "range"),
    "double NaN": ("ratio", struct.pack("<d", float("nan")), "range"),
    "double infinity": ("ratio", struct.pack("<d", float("inf")), "range"),
    "double -infinity": ("ratio", struct.pack("<d", float("-inf")), "range"),
    "double, a signalling NaN": ("ratio", b"\x01\x00\x00\x00\x00\x00\xf0\x7f", "range"),
    "double, a NaN with a message": ("ratio", b"kNrY7f\xf8\x7f", "range"),
    "enum -1": ("state", number(-1), "enum"),
    "enum of its size": ("state", number(3), "enum"),
    "enum 2^31": ("state", number(1 << 31), "enum"),
    "enum -2^63": ("state", number(I64_MIN), "enum"),
    "enum in two bytes": ("state", padded(1, 2), "encoding"),
    "nullable -1": ("maybe", number(-1) + TEXT, "union"),
    "nullable 2": ("maybe", number(2), "union"),
    "nullable 2^31": ("maybe", number(1 << 31), "union"),
    "nullable -2^63": ("maybe", number(I64_MIN), "union"),
    "nullable in two bytes": ("maybe", padded(1, 2) + TEXT, "encoding"),
    "union of three -1": ("choice", number(-1) + TEXT, "union"),
    "union of three 3": ("choice", number(3), "union"),
    "union whose int is 2^31": ("choice", number(1) + number(1 << 31), "range"),
    "union of two records -1": ("pick", number(-1) + number(1), "union"),
    "union of two records 2": ("pick", number(2), "union"),
    "enum -1 in a union": ("words", number(1) + number(-1), "enum"),
    "enum 3 in a union": ("words", number(1) + number(3), "enum"),
}

TEXTS: dict[str, tuple[str, bytes, str]] = {
    "length -1": ("note", number(-1), "length"),
    "length -9": ("note", number(-9) + CANARY.encode(), "length"),
    "length -2^63": ("note", number(I64_MIN), "length"),
    "length 2^31": ("note", number(1 << 31), "length"),
    "length 2^40": ("note", number(1 << 40) + b"abc", "length"),
    "length 2^62": ("note", number(1 << 62) + b"abc", "length"),
    "length 2^63-1": ("note", number((1 << 63) - 1), "length"),
    "length in two bytes": ("note", padded(9, 2) + CANARY.encode(), "encoding"),
    "256 KiB and a byte": ("note", sized(b"a" * (256 * 1024 + 1)), "length"),
    "a length beyond the end": ("note", number(5_000) + CANARY.encode(), "length"),
    "an overlong slash": ("note", sized(b"\xc0\xaf"), "encoding"),
    "an overlong NUL": ("note", sized(b"\xc0\x80"), "encoding"),
    "an overlong of four bytes": ("note", sized(b"\xf0\x80\x80\xaf"), "encoding"),
    "a high surrogate": ("note", sized(b"\xed\xa0\x80"), "encoding"),
    "a low surrogate": ("note", sized(b"\xed\xbf\xbf"), "encoding"),
    "a pair of surrogates": ("note", sized(b"\xed\xa0\xbd\xed\xb8\x80"), "encoding"),
    "beyond U+10FFFF": ("note", sized(b"\xf4\x90\x80\x80"), "encoding"),
    "a lone continuation": ("note", sized(b"\x80"), "encoding"),
    "a character that is cut": ("note", sized(b"\xe2\x82"), "encoding"),
    "Latin-1": ("note", sized("é".encode("latin-1")), "encoding"),
    "UTF-16": ("note", sized("é".encode("utf-16")), "encoding"),
    "no UTF-8 in the event's id": ("order_id", sized(b"\xff"), "encoding"),
    "no UTF-8 in a union": ("maybe", number(1) + sized(b"\xff"), "encoding"),
    "bytes of length -1": ("raw", number(-1), "length"),
    "bytes of length 2^40": ("raw", number(1 << 40), "length"),
    "bytes of length 2^62": ("raw", number(1 << 62), "length"),
    "bytes of 256 KiB and a byte": ("raw", sized(bytes(256 * 1024 + 1)), "length"),
    "bytes in a union of length -1": ("tokens", number(1) + number(-1), "length"),
}

LOGICAL: dict[str, tuple[str, bytes, str]] = {
    "decimal of no bytes": ("price", sized(b""), "precision"),
    "decimal of 13 digits": ("price", sized((10**12).to_bytes(6, "big", signed=True)), "precision"),
    "decimal of 13 negative digits": (
        "price",
        sized((-(10**12)).to_bytes(6, "big", signed=True)),
        "precision",
    ),
    "decimal of 16 bytes": ("price", sized(b"\x7f" + b"\xff" * 15), "precision"),
    "decimal of 19 bytes": ("price", sized(b"\x00" * 18 + b"\x01"), "precision"),
    "decimal of 1 KiB": ("price", sized(b"\x7f" * 1_024), "precision"),
    "decimal of 100 KB": ("price", sized(b"\x7f" * 100_000), "precision"),
    "decimal of 256 KiB": ("price", sized(b"\x7f" * 256 * 1024), "precision"),
    "decimal of 256 KiB of zeros": ("price", sized(bytes(256 * 1024)), "precision"),
    "decimal of a MiB": ("price", number(1 << 20), "length"),
    "decimal of length -1": ("price", number(-1), "length"),
    "fixed decimal of 13 digits": ("fee", (10**12).to_bytes(6, "big", signed=True), "precision"),
    "fixed decimal, least": ("fee", b"\x80" + bytes(5), "precision"),
    "date after year 9999": ("day", number(2_932_897), "range"),
    "date before year 1": ("day", number(-719_163), "range"),
    "date 2^31-1": ("day", number((1 << 31) - 1), "range"),
    "date -2^31": ("day", number(-(1 << 31)), "range"),
    "date 2^31": ("day", number(1 << 31), "range"),
    "time -1": ("clock", number(-1), "range"),
    "time of a day": ("clock", number(86_400_000), "range"),
    "time 2^31-1": ("clock", number((1 << 31) - 1), "range"),
    "millis after year 9999": ("placed_at", number(253_402_300_800_000), "range"),
    "millis before year 1": ("placed_at", number(-62_135_596_800_001), "range"),
    "millis 2^63-1": ("placed_at", number((1 << 63) - 1), "range"),
    "millis -2^63": ("placed_at", number(I64_MIN), "range"),
    "nanos 2^63": ("exact", number(1 << 63), "encoding"),
    "local micros 2^63-1": ("here", number((1 << 63) - 1), "range"),
    "local micros -2^63": ("here", number(I64_MIN), "range"),
    "UUID of no characters": ("uid", sized(b""), "format"),
    "UUID in braces": ("uid", sized(b"{8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f11}"), "format"),
    "UUID without hyphens": ("uid", sized(b"8c5ea3974f2c4a5e9a553f3c4f3d2f11"), "format"),
    "UUID with a line end": ("uid", sized(b"8c5ea397-4f2c-4a5e-9a55-3f3c4f3d2f11\n"), "format"),
    "UUID of 16 raw bytes": ("uid", sized(bytes(16)), "format"),
}

MANY: dict[str, tuple[str, bytes, str, str]] = {
    "array of 2^40": ("bits", number(1 << 40), "length", "/bits"),
    "array of 2^62": ("bits", number(1 << 62), "length", "/bits"),
    "array of 20 million": ("bits", number(20_000_000), "length", "/bits"),
    "array of -2^63": ("bits", number(I64_MIN) + number(0), "length", "/bits"),
    "array of -2^62 and a size": ("bits", number(-(1 << 62)) + number(1 << 62), "length", "/bits"),
    "array of more items than bytes": ("bits", block(10_000, NONE), "length", "/bits"),
    "array whose count is padded": ("bits", padded(2, 2) + NONE * 3, "encoding", "/bits"),
    "array whose end is padded": ("bits", block(1, NONE) + b"\x80\x00", "encoding", "/bits"),
    "array whose block is longer": ("bits", block(-2, NONE, NONE, size=3) + NONE, "length", "/bits"),
    "array whose block is shorter": ("bits", block(-2, NONE, NONE, size=1) + NONE, "length", "/bits"),
    "array whose block has no size": ("bits", block(-2, NONE, NONE, size=0) + NONE, "length", "/bits"),
    "array whose block has size -1": ("bits", block(-2, NONE, NONE, size=-1) + NONE, "length", "/bits"),
    "array whose block has size 2^62": (
        "bits",
        block(-2, NONE, NONE, size=1 << 62) + NONE,
        "length",
        "/bits",
    ),
    "array whose second block is longer": (
        "bits",
        block(1, NONE) + block(-1, NONE, size=9) + NONE,
        "length",
        "/bits",
    ),
    "array of 100,001": ("bits", block(100_001, NONE * 100_001) + NONE, "length", "/bits"),
    "array of 900,000 in blocks with sizes": ("bits", block(-1, NONE) * 300_000 + NONE, "length", "/bits"),
    "array whose item is 2^31": ("bits", block(2, NONE, number(1 << 31)) + NONE, "range", "/bits/1"),
    "array of records of a negative length": ("lines", block(1, number(-1)), "length", "/lines/0/sku"),
    "array of records, the second cut by an int": (
        "lines",
        block(2, TEXT + number(1), TEXT + number(1 << 31)) + NONE,
        "range",
        "/lines/1/qty",
    ),
    "map of 2^40": ("tags", number(1 << 40), "length", "/tags"),
    "map of -2^63": ("tags", number(I64_MIN) + NONE, "length", "/tags"),
    "map of more entries than bytes": ("tags", number(10_000), "length", "/tags"),
    "map with a key twice": (
        "tags",
        block(2, sized(b"a") + TEXT, sized(b"a") + TEXT) + NONE,
        "duplicate_key",
        "/tags/a",
    ),
    "map with a key twice, in two blocks": (
        "tags",
        block(1, sized(b"a") + TEXT) * 2 + NONE,
        "duplicate_key",
        "/tags/a",
    ),
    "map with an empty key twice": (
        "tags",
        block(2, NONE + TEXT, NONE + TEXT) + NONE,
        "duplicate_key",
        "/tags/",
    ),
    "map in a map with a key twice": (
        "deep",
        block(1, sized(b"a") + block(2, sized(b"b") + NONE, sized(b"b") + NONE) + NONE) + NONE,
        "duplicate_key",
        "/deep/a/b",
    ),
    "map whose key is no UTF-8": ("tags", block(1, sized(b"\xff") + TEXT) + NONE, "encoding", "/tags"),
    "map whose key has length -1": ("tags", block(1, number(-1)) + NONE, "length", "/tags"),
    "map whose key has length 2^40": ("tags", block(1, number(1 << 40)) + NONE, "length", "/tags"),
    "map whose key is 256 KiB and a byte": (
        "tags",
        block(1, sized(b"k" * (256 * 1024 + 1)) + TEXT) + NONE,
        "length",
        "/tags",
    ),
    "map whose value is no UTF-8": (
        "tags",
        block(1, sized(b"a") + sized(b"\xff")) + NONE,
        "encoding",
        "/tags/a",
    ),
    "map whose block is longer": (
        "tags",
        block(-1, sized(b"a") + TEXT, size=99) + NONE,
        "length",
        "/tags",
    ),
    "map whose block has size -1": ("tags", block(-1, sized(b"a") + TEXT, size=-1) + NONE, "length", "/tags"),
    "map in a map of 2^40": ("deep", block(1, sized(b"a") + number(1 << 40)), "length", "/deep/a"),
    "map in a map whose value is 2^31": (
        "deep",
        block(1, sized(b"a") + block(1, sized(b"b") + number(1 << 31)) + NONE) + NONE,
        "range",
        "/deep/a/b",
    ),
    "100,001 entries of many maps": (
        "deep",
        block(50_001, *(sized(b"%05x" % key) + block(1, sized(b"b") + NONE) + NONE for key in range(50_001)))
        + NONE,
        "length",
        "/deep/0c34e",
    ),
}

WHOLE: dict[str, tuple[bytes, str, str]] = {
    "one byte behind": (RIGHT + b"\x00", "trailing_bytes", ""),
    "text behind": (RIGHT + CANARY.encode(), "trailing_bytes", ""),
    "a second datum behind": (RIGHT * 2, "trailing_bytes", ""),
    "half a MiB behind": (RIGHT + bytes(512 * 1024), "trailing_bytes", ""),
    "a byte before": (b"\x00" + RIGHT, "encoding", "/ok"),
    "JSON": (event(), "length", "/order_id"),
    "a byte order mark": (b"\xef\xbb\xbf" + RIGHT, "length", "/order_id"),
    "an object container file": (b"Obj\x01" + RIGHT, "length", "/order_id"),
    "a single object": (b"\xc3\x01" + bytes(8) + RIGHT, "length", "/order_id"),
    "a framed datum": (b"\x00\x00\x00\x00\x01" + RIGHT, "encoding", "/ok"),
    "gzip": (b"\x1f\x8b\x08\x00" + RIGHT, "length", "/order_id"),
    "1,000 zeros": (bytes(1_000), "precision", "/price"),
    "a MiB of zeros": (bytes((1 << 20) - 5), "precision", "/price"),
    "1,000 bytes FF": (b"\xff" * 1_000, "encoding", "/order_id"),
    "1,000 bytes 80": (b"\x80" * 1_000, "encoding", "/order_id"),
    "1,000 bytes 01": (b"\x01" * 1_000, "length", "/order_id"),
    "1,000 bytes 7F": (b"\x7f" * 1_000, "length", "/order_id"),
}

FIELDS: dict[str, tuple[bytes, str, str]] = {
    f"{kind}: {name}": (datum(**{at: piece}), code, f"/{at}")
    for kind, table in (("number", NUMBERS), ("text", TEXTS), ("logical", LOGICAL))
    for name, (at, piece, code) in table.items()
}
EVENTS: dict[str, tuple[bytes, str, str]] = {
    **FIELDS,
    **{f"many: {name}": (datum(**{at: raw}), code, to) for name, (at, raw, code, to) in MANY.items()},
    **{f"whole: {name}": case for name, case in WHOLE.items()},
}

TAKEN: dict[str, bytes] = {
    "the least int": datum(qty=number(-(1 << 31))),
    "the least long, ten bytes": datum(total=b"\xff" * 9 + b"\x01"),
    "the largest long, ten bytes": datum(total=b"\xfe" + b"\xff" * 8 + b"\x01"),
    "-0.0": datum(ratio=struct.pack("<d", -0.0)),
    "a number below all normal ones": datum(ratio=b"\x01" + bytes(7)),
    "the largest float": datum(weight=b"\xff\xff\x7f\x7f"),
    "a decimal with sign extension": datum(price=sized(bytes(14) + b"\x04\xe2")),
    "a negative decimal with sign extension": datum(price=sized(b"\xff" * 15 + b"\x85")),
    "every nanosecond there is": datum(exact=number(I64_MIN)),
    "a UUID in capitals": datum(uid=sized(b"8C5EA397-4F2C-4A5E-9A55-3F3C4F3D2F11")),
    "an array in blocks": datum(bits=block(1, NONE) + block(-1, NONE) + NONE),
    "an array in a hundred blocks": datum(bits=block(1, NONE) * 100 + NONE),
    "a map in blocks": datum(tags=block(1, sized(b"a") + TEXT) + block(-1, sized(b"b") + TEXT) + NONE),
    "100,000 items": datum(bits=block(99_996, NONE * 99_996) + NONE),
    "256 KiB of text": datum(note=sized(b"a" * 256 * 1024)),
    "NUL in text": datum(note=sized(b"\x00")),
    "what is no character in text": datum(note=sized("\uffff".encode())),
    "a duration of all bits": datum(span=b"\xff" * 12),
}

OUTCOMES = {
    "taken",
    "event_attribute_invalid",  # the event's id may have a control character now
    "encoding",
    "length",
    "range",
    "enum",
    "union",
    "format",
    "precision",
    "duplicate_key",
    "trailing_bytes",
}
"""Of one flipped bit: another event, or one of these."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    async with open_wire(tmp_path_factory.mktemp("wire")) as opened:
        yield opened


@pytest.mark.parametrize("name", EVENTS)
async def test_a_hostile_datum_is_422_with_its_fault_bare_and_framed(wire: Wire, name: str) -> None:
    raw, code, pointer = EVENTS[name]
    for answer in (await wire.post_new(raw, AVRO), await wire.framed(raw)):
        problem = await wire.refused(answer)
        assert problem["code"] == "event_invalid"
        first = problem["errors"][0]
        assert (first["code"], first["pointer"]) == (code, pointer)


@pytest.mark.parametrize("name", TAKEN)
async def test_what_only_looks_hostile_is_taken_and_written_anew(wire: Wire, name: str) -> None:
    answer = await wire.post_new(TAKEN[name], AVRO, f"{PATH}?dry_run=true")
    assert answer.status_code == 200, answer.text


async def test_a_datum_cut_anywhere_is_refused(wire: Wire) -> None:
    codes = set()
    for end in range(len(RIGHT)):
        for answer in (await wire.post(RIGHT[:end], AVRO), await wire.framed(RIGHT[:end])):
            problem = await wire.refused(answer)
            assert (problem["code"], len(problem["errors"])) == ("event_invalid", 1)
            codes.add(problem["errors"][0]["code"])
    assert codes == {"length", "missing"}


@pytest.mark.parametrize("turn", [0, 3, 7])
async def test_a_datum_with_a_bit_flipped_in_any_byte_is_another_event_or_refused(
    wire: Wire, turn: int
) -> None:
    found: list[str] = []
    right = datum(order_id=sized(b"Z99"))
    for at in range(len(right)):
        flipped = bytearray(right)
        flipped[at] ^= 1 << (at + turn) % 8
        answer = await wire.post(bytes(flipped), AVRO, f"{PATH}?dry_run=true")
        if answer.status_code == 200:
            found.append("taken")
        else:
            problem = verify_problem(answer, has_strange_keys=True)
            found.append(problem["errors"][0]["code"] if "errors" in problem else problem["code"])
    assert set(found) <= OUTCOMES
    assert 0 < found.count("taken") < len(right)
    assert await wire.count() == wire.published
