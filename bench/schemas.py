"""Measure validation: `python -m bench.schemas` prints a table, and writes bench/results-schemas.json.

Everything is measured in one process, one after the other in turns, as CPU time of this thread; what counts
are the ratios within a turn, of which the middle one is given. Sixty-four orders go through each side in each
turn.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import msgspec

from bench.schemas_events import (
    COUNT,
    SCHEMA,
    bad,
    compact,
    fastavro_decoder,
    fastavro_encoder,
    order,
    rich,
)
from schemas.codec import compile_codec
from schemas.compiled import Parts
from schemas.errors import DatumError
from schemas.findings import Findings
from schemas.json_reader import read_with_findings
from schemas.schema import parse_schema

RESULTS: Final = Path(__file__).with_name("results-schemas.json")
_POINTERS: Final = ("/order_id", "/customer_id", "/placed_at")
_TURNS: Final = 60
_SCHEMAS: Final = 20

Work = Callable[[], object]


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and keep what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.schemas", description=__doc__)
    parser.add_argument("--turns", type=int, default=_TURNS, help="how often each side runs")
    parser.add_argument("--no-memory", action="store_true", help="leave the thirty thousand codecs out")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"events": measure(options.turns), "compile_ms": compile_times()}
    if not options.no_memory:
        found["memory"] = memory()
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(table(found))
    return 0


def measure(turns: int) -> dict[str, dict[str, float]]:
    """Microseconds an event on each side, and how many times as long others take as ours."""
    sides = _sides()
    rows: list[dict[str, float]] = []
    for work in sides.values():
        work()
    for _ in range(turns):
        row: dict[str, float] = {}
        for name, work in sides.items():
            began = time.thread_time()
            work()
            row[name] = (time.thread_time() - began) / COUNT * 1e6
        rows.append(row)
    micros = {name: statistics.median(row[name] for row in rows) for name in sides}
    ratios = {
        f"{theirs} / {ours}": statistics.median(row[theirs] / row[ours] for row in rows)
        for ours, theirs in _PAIRS
    }
    return {"micros": micros, "ratios": ratios}


_PAIRS: Final = (
    ("json to checked avro", "fastavro validate and write"),
    ("json to checked avro", "json, conversion, fastavro validate and write"),
    ("decoded to checked avro", "fastavro validate and write"),
    ("json to checked avro", "json to checked avro, reference"),
    ("avro checked", "fastavro read"),
    ("avro checked", "avro checked, reference"),
    ("avro to json", "fastavro read"),
    ("avro to json", "avro to json, reference"),
)


def _sides() -> Mapping[str, Work]:
    codec = compile_codec(parse_schema(SCHEMA), _POINTERS, "plain")
    parts = Parts(codec.schema.root, "plain", _POINTERS)
    events = [order(number) for number in range(COUNT)]
    texts, values = [compact(one) for one in events], [rich(one) for one in events]
    encode, decode, parse = fastavro_encoder(), fastavro_decoder(), msgspec.json.Decoder().decode
    avros = [codec.avro_from_json(text).avro for text in texts]
    if avros != [encode(one) for one in values] or parts.encode_json is None:
        raise AssertionError("the two encoders do not agree")
    beheaded, structs = _without_decoding(parts.encode_json, texts)
    wrong = [bad(one) for one in events]
    return {
        "json to checked avro": _each(codec.avro_from_json, texts),
        "decoded to checked avro": _each(beheaded, structs),
        "json to checked avro, reference": _each(lambda text: _by_reference(parts, text), texts),
        "fastavro validate and write": _each(encode, values),
        "json, conversion, fastavro validate and write": _each(lambda text: encode(rich(parse(text))), texts),
        "avro checked": _each(codec.checked_avro, avros),
        "avro checked, reference": _each(lambda raw: _encoded(parts, parts.read(raw)) == raw, avros),
        "fastavro read": _each(decode, avros),
        "avro to json": _each(codec.json_from_avro, avros),
        "avro to json, reference": _each(lambda raw: parts.write(parts.read(raw)).encode(), avros),
        "all faults of a bad event": _each(lambda text: _faults(codec.avro_from_json, text), wrong),
    }


def _each(work: Callable[[Any], object], inputs: Sequence[Any]) -> Work:
    def run() -> None:
        for one in inputs:
            work(one)

    return run


def _without_decoding(encode: Any, texts: Sequence[bytes]) -> tuple[Callable[[Any], object], list[Any]]:
    """The compiled encoder with decoded events in the place of their texts: its other half alone."""
    names = encode.__globals__
    decoded = {text: names["decode"](text) for text in texts}
    return FunctionType(encode.__code__, {**names, "decode": decoded.__getitem__}), list(decoded)


def _encoded(parts: Parts, datum: Any) -> bytes:
    out = bytearray()
    parts.encode(datum, out)
    return bytes(out)


def _by_reference(parts: Parts, text: bytes) -> bytes:
    findings = Findings()
    datum = parts.check(read_with_findings(text, findings), None, findings)
    findings.verify()
    return _encoded(parts, datum)


def _faults(encode: Callable[[bytes], object], text: bytes) -> int:
    try:
        encode(text)
    except DatumError as error:
        return error.total
    raise AssertionError("a bad event passed")


def compile_times() -> dict[str, float]:
    """Milliseconds of CPU to compile one schema, each part for itself; the middle of several."""
    found: dict[str, list[float]] = {}
    for number in range(_SCHEMAS):
        root = parse_schema(SCHEMA.replace('"Order"', f'"Order{number}"')).root
        parts = Parts(root, "plain", _POINTERS)
        for name in ("encode_json", "check_avro", "print_avro", "check", "encode", "read", "write"):
            began = time.thread_time()
            getattr(parts, name)
            found.setdefault(name, []).append((time.thread_time() - began) * 1e3)
    return {name: statistics.median(times) for name, times in found.items()}


def memory() -> dict[str, int]:
    """Bytes of a process with thirty thousand codecs."""
    run = [sys.executable, "-m", "bench.schemas_memory"]
    found: dict[str, int] = json.loads(
        subprocess.run(run, check=True, capture_output=True, cwd=Path(__file__).parent.parent).stdout  # noqa: S603 - our own module
    )
    return found


def table(found: Mapping[str, Any]) -> str:
    """What was found, for people."""
    lines = ["", "microseconds of CPU an event"]
    lines += [f"  {micros:9.1f}  {name}" for name, micros in found["events"]["micros"].items()]
    lines += ["", "times as long"]
    lines += [f"  {ratio:9.2f}  {name}" for name, ratio in found["events"]["ratios"].items()]
    lines += ["", "milliseconds of CPU to compile a part"]
    lines += [f"  {millis:9.2f}  {name}" for name, millis in found["compile_ms"].items()]
    if "memory" in found:
        seen = found["memory"]
        lines += ["", f"MiB in memory with {seen['codecs']} codecs of different schemas"]
        lines += [f"  {seen[name] / 2**20:9.0f}  {name}" for name in ("start", "idle", "busy")]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
