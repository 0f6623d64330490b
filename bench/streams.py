"""Very many readers of one process: active streams of one topic, and idle ones beside them.

`python -m bench.streams [--quick] [--on kafka]`: figures go to bench/results-streams.json, but for `--quick`.
The readers are another process on the same cores; what an event takes counts from when it was due to be sent,
so that accepting it is in it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.figures import keep
from bench.grounds import ground_of
from bench.half_load import run_module
from bench.installation import Installation, Kind
from bench.measures import peak_bytes, reset_peak, resident_bytes
from bench.meter import Meter
from bench.orders import OUTBOUND_TYPE, SCHEMA_FILE, contract, slugs
from bench.programs import Program

RESULTS: Final = Path(__file__).with_name("results-streams.json")
MOST_OF_ONE: Final = 1_000
"""Streams of one partner, as a contract may allow them."""


@dataclass(frozen=True, slots=True)
class Size:
    """`rate`: events a second that each active stream gets, for so many `seconds`."""

    active: int
    idle: int
    rate: int
    seconds: int


FULL: Final = Size(1_000, 5_000, 10, 30)
QUICK: Final = Size(100, 500, 10, 5)


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the figures down."""
    parser = argparse.ArgumentParser(prog="python -m bench.streams", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of it, to try it out")
    parser.add_argument("--on", choices=("embedded", "kafka"), default="embedded")
    options = parser.parse_args(arguments)
    kind: Kind = options.on
    size = QUICK if options.quick else FULL
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as folder,
        ground_of(kind, Path(folder)) as ground,
    ):
        installation = ground.install()
        installation.start()
        found = {"on": kind, **_measured(installation, size)}
    keep(found, RESULTS, is_whole=not options.quick)
    return 0


def _measured(installation: Installation, size: Size) -> dict[str, Any]:
    partners = -(-size.idle // MOST_OF_ONE)
    _admit(installation, 1 + partners)
    door = [installation.programs["up" if installation.kind == "embedded" else "serve"].pid]
    before = resident_bytes(door)
    readers = Program(("bench.stream_readers",), installation.folder / "readers.log")
    readers.start()
    with closing(_Ending(readers)):
        opened = [_open(readers, installation, 0, size.active)]
        for number in range(partners):
            count = min(MOST_OF_ONE, size.idle - number * MOST_OF_ONE)
            opened.append(_open(readers, installation, 1 + number, count))
        time.sleep(5)
        quiet = Meter({"door": door})
        time.sleep(size.seconds)
        at_rest = quiet.used("door") / size.seconds
        resident = resident_bytes(door)
        _pace(installation, size, seconds=3)
        reset_peak(door)
        readers.ask(do="forget")
        meter = Meter({"door": door})
        sent = _pace(installation, size, seconds=size.seconds)
        time.sleep(2)
        seen = readers.ask(do="tell")
        used = meter.used("door")
    return {
        "active": size.active,
        "idle": size.idle,
        "events_a_second_each": size.rate,
        "seconds": size.seconds,
        "open_seconds": sum(opened),
        "resident_before_mib": before / 2**20,
        "resident_open_mib": resident / 2**20,
        "peak_mib": peak_bytes(door) / 2**20,
        "core_at_rest": at_rest,
        "core_while_sent": used / size.seconds,
        "events_sent": sent["taken"]["count"],
        "post_p99_ms": sent["p99_ms"],
        "received": seen["events"],
        "wanted": sent["taken"]["count"] * size.active,
        "lost": seen["lost"],
        "p50_ms": seen["p50_ms"],
        "p99_ms": seen["p99_ms"],
        "max_ms": seen["max_ms"],
        "readers_core": seen["busy"],
    }


class _Ending:
    """Ends a program with the block."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def close(self) -> None:
        """End it."""
        self._program.stop()


def _admit(installation: Installation, partners: int) -> None:
    files = {"order.avsc": SCHEMA_FILE.read_text()}
    with installation.client() as client:
        for slug in slugs(partners):
            text = contract(slug) + f"limits: {{streams: {MOST_OF_ONE}}}\n"
            body = {"contract": text, "files": files}
            client.put(f"/v1/partners/{slug}/contract", json=body).raise_for_status()
            made = client.post(f"/v1/partners/{slug}/credentials", json={"role": "partner"})
            installation.keys.append(made.raise_for_status().json()["secret"])


def _open(readers: Program, installation: Installation, partner: int, count: int) -> float:
    key = f"Bearer {installation.keys[partner]}"
    return float(readers.ask(do="open", url=installation.url, key=key, count=count)["seconds"])


def _pace(installation: Installation, size: Size, *, seconds: float) -> dict[str, Any]:
    words = {
        "url": installation.url,
        "path": f"/v1/partners/{slugs(1)[0]}/events/{OUTBOUND_TYPE}",
        "key_file": str(installation.operator_file),
        "events": 1,
        "connections": 8,
        "seconds": seconds,
        "rate": size.rate,
        "checkpoint": "",
    }
    return run_module("bench.paced", words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
