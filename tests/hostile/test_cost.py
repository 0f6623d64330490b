"""What one MiB of hostile input costs a reader: never more than 64 MiB, and nothing like seconds.

The goal is 250 ms on a calm machine; held here is ten times that in processor time, so that a loaded one
passes and a quadratic reader does not. What was measured is printed: `pytest -rP tests/hostile/test_cost.py`.
"""

import gc
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from gateway.bootstrap.program import NEW_OBJECTS
from schemas.codec import Codec, compile_codec
from schemas.container import ContainerLimits, read_container
from schemas.errors import SchemasError
from schemas.framing import decode_prefix, encode_prefix
from schemas.json_reader import members, split_array
from schemas.schema import parse_schema
from tests.container_files import block, header, number, packed, sized
from tests.hostile.wire import SCHEMA, datum, event

MIB: Final = 1024 * 1024
MOST_SECONDS: Final = 10 * 0.25
MOST_BYTES: Final = 64 * MIB
HEAD: Final = event()[:-1]
NONE: Final = number(0)
Read = Callable[[bytes], object]


def codec_of(document: Any, *pointers: str) -> Codec:
    return compile_codec(parse_schema(json.dumps(document)), pointers, "plain")


def array_of(items: Any) -> Any:
    kind = {"type": "array", "items": items}
    return {"type": "record", "name": "R", "fields": [{"name": "a", "type": kind}]}


ORDER: Final = codec_of(SCHEMA, "/order_id")
CATS: Final = codec_of(
    array_of(
        [{"type": "record", "name": f"N{n}", "fields": [{"name": f"x{n}", "type": "int"}]} for n in range(32)]
    )
)
TIMES: Final = codec_of(array_of({"type": "long", "logicalType": "timestamp-millis"}))
MONEY: Final = codec_of(array_of({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 2}))


def full(part: bytes, head: bytes = b"", tail: bytes = b"") -> bytes:
    """A MiB of one part over and over."""
    return head + part * ((MIB - len(head) - len(tail)) // len(part)) + tail


def unknown(part: bytes) -> bytes:
    """A MiB of one part in an array that no schema knows."""
    return full(part, HEAD + b',"x":[', b"0]}")


def keyed(value: str) -> str:
    """An object of 60,000 keys."""
    return "{" + ",".join(f'"{key:x}":{value}' for key in range(60_000)) + "}"


JSON: dict[str, tuple[Read, bytes]] = {
    "brackets that are never closed": (ORDER.avro_from_json, full(b"[", HEAD + b',"x":')),
    "brackets that are closed": (ORDER.avro_from_json, b"[" * (MIB // 2) + b"]" * (MIB // 2)),
    "arrays just deep enough": (ORDER.avro_from_json, unknown(b"[" * 62 + b"0" + b"]" * 62 + b",")),
    "small arrays too deep": (
        ORDER.avro_from_json,
        full(b"[[0]],", HEAD + b',"x":' + b"[" * 62, b"0" + b"]" * 62 + b"}"),
    ),
    "empty arrays": (ORDER.avro_from_json, unknown(b"[],")),
    "doubled names": (ORDER.avro_from_json, unknown(b'{"a":0,"a":0},')),
    "fractions": (ORDER.avro_from_json, unknown(b"1.5,")),
    "lines with a fault": (ORDER.avro_from_json, event(lines="[" + '{"sku":"","qty":1},' * 50_000 + "0]")),
    "records of a wide union": (CATS.avro_from_json, full(b'{"x31":0},', b'{"a":[', b'{"x31":0}]}')),
    "an array to split": (lambda raw: split_array(raw, most=1_000), full(b"[[[]]],", b"[", b"0]")),
    "members": (members, keyed('{"a":[0]}').encode()),
}

AVRO: dict[str, tuple[Read, bytes]] = {
    "blocks of one": (ORDER.normalised_avro, datum(bits=(number(1) + NONE) * 99_000 + NONE)),
    "sized blocks of one": (
        ORDER.normalised_avro,
        datum(bits=(number(-1) + number(1) + NONE) * 300_000 + NONE),
    ),
    "one block of 99,000": (ORDER.checked_avro, datum(bits=number(99_000) + number(1 << 30) * 99_000 + NONE)),
    "lines": (ORDER.decode, datum(lines=number(99_000) + (sized(b"abcd") + number(1 << 30)) * 99_000 + NONE)),
    "maps in a map": (
        ORDER.normalised_avro,
        datum(
            deep=number(49_000)
            + b"".join(sized(b"%05x" % n) + number(1) + sized(b"b") + NONE + NONE for n in range(49_000))
            + NONE
        ),
    ),
    "a decimal of 256 KiB": (ORDER.normalised_avro, datum(price=sized(b"\x7f" * 256 * 1024))),
    "a number without end": (ORDER.normalised_avro, datum(total=b"\x80" * 1_000_000)),
    "times": (TIMES.decode, number(99_000) + number(1_795_352_700_000) * 99_000 + NONE),
    "decimals": (MONEY.normalised_avro, number(58_000) + sized(b"\x7f" + b"\xff" * 14) * 58_000 + NONE),
    "records of a wide union": (CATS.normalised_avro, number(99_000) + (number(31) + NONE) * 99_000 + NONE),
    "zeros": (ORDER.normalised_avro, bytes(MIB)),
}


def framed(raw: bytes) -> object:
    return ORDER.normalised_avro(decode_prefix(raw)[1])


FRAMED: dict[str, tuple[Read, bytes]] = {
    f"{name}, framed": (framed, encode_prefix(1, AVRO[name][1]))
    for name in ("maps in a map", "a number without end", "zeros")
}


def contained(raw: bytes) -> object:
    count = sum(1 for _ in read_container(raw, ContainerLimits(total_bytes=8 * MIB)).data)
    assert count
    return count


def filed(body: bytes, count: int, codec: str = "null", *, schema: Any = "int") -> bytes:
    return header(codec, schema=json.dumps(schema)) + block(count, packed(codec, body))


CONTAINER: dict[str, tuple[Read, bytes]] = {
    "blocks of one datum": (contained, header(schema='"int"') + block(1, NONE) * 15_000),
    "50,000 data in a block": (contained, filed(NONE * 50_000, 50_000)),
    "deflate, far beyond its ratio": (
        contained,
        filed(sized(b"a" * 200_000) * 40, 40, "deflate", schema="string"),
    ),
    "zstandard, far beyond its ratio": (
        contained,
        filed(sized(b"a" * 200_000) * 40, 40, "zstandard", schema="string"),
    ),
    "a deflate bomb": (contained, filed(bytes(64 * MIB), 1, "deflate")),
    "a zstandard bomb": (contained, filed(bytes(64 * MIB), 1, "zstandard")),
    "a MiB of metadata": (contained, header(schema='"int"', more={"m": bytes(MIB - 100)}) + block(1, NONE)),
    "noise": (contained, header(schema='"int"') + bytes(MIB)),
}


def parsed(raw: bytes) -> object:
    return parse_schema(raw.decode())


def _record(fields: str) -> bytes:
    return f'{{"type":"record","name":"R","fields":[{fields}]}}'.encode()


def _fields(kinds: Iterator[str]) -> bytes:
    return _record(",".join(f'{{"name":"f{n}","type":{kind}}}' for n, kind in enumerate(kinds)))


LARGEST: Final = 256 * 1024
SCHEMAS: dict[str, tuple[Read, bytes]] = {
    "256 KiB of brackets": (parsed, b"[" * LARGEST),
    "256 KiB of closed brackets": (parsed, b"[" * (LARGEST // 2) + b"]" * (LARGEST // 2)),
    "arrays too deep": (parsed, b'{"type":"array","items":' * 10_000 + b'"int"' + b"}" * 10_000),
    "2,000 nullable fields": (parsed, _fields('["null","string"]' for _ in range(1_999))),
    "records twice in each other": (
        parsed,
        _fields(
            '{"type":"record","name":"C0","fields":[{"name":"a","type":"int"}]}'
            if n == 0
            else f'{{"type":"record","name":"C{n}","fields":[{{"name":"a","type":"C{n - 1}"}},'
            f'{{"name":"b","type":"C{n - 1}"}}]}}'
            for n in range(600)
        ),
    ),
    "60,000 doubled keys": (parsed, b"{" + b'"a":0,' * 40_000 + b'"a":0}'),
    "a default of 100,000 items": (
        parsed,
        _record('{"name":"f","type":{"type":"array","items":"int"},"default":[' + "1," * 100_000 + "1]}"),
    ),
    "1,000 symbols in 20 enums": (
        parsed,
        _fields(
            json.dumps({"type": "enum", "name": f"E{n}", "symbols": [f"S{s}" for s in range(1_000)]})
            for n in range(20)
        ),
    ),
}

ALL: Final = {
    f"{reader}: {name}": case
    for reader, cases in (
        ("json", JSON),
        ("avro", AVRO),
        ("framed", FRAMED),
        ("container", CONTAINER),
        ("schema", SCHEMAS),
    )
    for name, case in cases.items()
}

MEASURED_ELSEWHERE: Final = {
    "json: brackets that are closed",
    "json: brackets that are never closed",
    "json: small arrays too deep",
    "avro: blocks of one",
    "avro: sized blocks of one",
    "avro: one block of 99,000",
    "avro: times",
}
"""Their memory is held by `test_reader_bombs`; to trace it takes seconds."""


def attempt(read: Read, raw: bytes) -> str:
    try:
        read(raw)
    except SchemasError as error:
        return error.code
    return "taken"


def seconds_of(read: Read, raw: bytes) -> tuple[float, str]:
    """Seconds of the processor, and what came of it."""
    begun = time.process_time()
    outcome = attempt(read, raw)
    return time.process_time() - begun, outcome


def peak_of(read: Read, raw: bytes) -> int:
    """The most bytes that were held at once."""
    tracemalloc.start()
    try:
        attempt(read, raw)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module", autouse=True)
def collector() -> Iterator[None]:
    """The garbage collector as the gateway sets it: what is there from the start is not looked at."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 20)
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.parametrize("name", ALL)
def test_a_mib_of_hostile_input_costs_little(name: str) -> None:
    read, raw = ALL[name]
    assert len(raw) <= MIB + 1_024
    seconds, outcome = seconds_of(read, raw)
    peak = 0 if name in MEASURED_ELSEWHERE else peak_of(read, raw)
    shown = f"{seconds * 1000:6.0f} ms {peak / MIB:5.1f} MiB {len(raw):8d} bytes  {outcome}  {name}"
    print(shown)  # noqa: T201 - what was measured is what one runs this for
    assert seconds < MOST_SECONDS
    assert peak < MOST_BYTES
