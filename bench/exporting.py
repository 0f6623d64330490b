"""How fast a log is exported, and an export verified: one process, PostgreSQL and SQLite on the disk.

Figures go to bench/results-exports.json. `python -m bench.exporting`, or the whole of `make bench`. The log
is made anew, of entries as accepted events have them; making it is not measured. CPU time is that of this
process: on PostgreSQL what the server uses is beside it.
"""

import asyncio
import hashlib
import io
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from audit.evidence import Evidence, Kind, make_evidence
from audit.export import verify_export
from audit.manifest import FORMATS, Format
from audit.ref import format_ref
from bench.figures import keep
from bench.outcome import middle
from bench.postgres import durable_postgres
from gateway.database import Database, take_time
from gateway.exports.worker import Exporter
from gateway.migrations import history
from tests.made_logs import archive_of, begin, grow, keys_of, make_exporter, work_off
from tests.unit.audit.builders import AT, LOG, ORIGIN, members_of

RESULTS: Final = Path(__file__).with_name("results-exports.json")
ENTRIES: Final = 100_000
ROUNDS: Final = 5
WANTED: Final = 50_000
"""Entries a second, to Parquet."""

_BATCH: Final = 2_000


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the figures down; `arguments`: rounds and entries, if not as many as usual."""
    rounds = int(arguments[0]) if arguments else ROUNDS
    entries = int(arguments[1]) if len(arguments) > 1 else ENTRIES
    found: dict[str, Any] = {"entries": entries, "rounds": rounds, "on": {}}
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as name:
        found["on"]["sqlite"] = _measured(f"sqlite:///{name}/gateway.db", rounds, entries)
    with durable_postgres() as server:
        found["on"]["postgresql"] = _measured(server.create("exports"), rounds, entries)
    keep(found, RESULTS, is_whole=not arguments)
    return 0


def _measured(url: str, rounds: int, entries: int) -> dict[str, Any]:
    database = Database(url)
    try:
        fill_log(database, entries)
        # What is loaded at the first file, pyarrow above all, is no part of the figures.
        asyncio.run(_once(database, "parquet", "exp_warm", entries))
        seen: dict[Format, list[dict[str, float]]] = {kind: [] for kind in FORMATS}
        for number in range(rounds):
            for kind, found in seen.items():
                found.append(asyncio.run(_once(database, kind, f"exp_{kind}{number}", entries)))
        return {kind: _middles(found) for kind, found in seen.items()}
    finally:
        database.close()


def fill_log(database: Database, entries: int) -> None:
    """Make the tables, and a log of so many entries, published."""
    with database.begin() as session:
        history.upgrade(session)
    for start in range(0, entries, _BATCH):
        batch = [accepted(number) for number in range(start, min(start + _BATCH, entries))]
        with database.begin() as session:
            take_time(session)
            grow(session, batch, is_published=start + _BATCH >= entries)


def accepted(number: int) -> Evidence:
    """Evidence with digests of its own: those are most of it, and nothing packs them."""
    members = members_of(Kind.ACCEPTED.value)
    for name in ("content", "record"):
        members[name] = {**members[name], "sha256": _digest(name, number).hex()}
    members |= {
        "ref": format_ref(_digest("ref", number)),
        "id": f"A-{number}",
        "event_sha256": _digest("event", number).hex(),
    }
    salt = _digest("salt", number)
    return make_evidence(Kind.ACCEPTED, members, iss="https://gw.example", log=LOG, at=AT + number, salt=salt)


def _digest(name: str, number: int) -> bytes:
    return hashlib.sha256(f"{name} {number}".encode()).digest()


async def _once(database: Database, kind: Format, name: str, entries: int) -> dict[str, float]:
    begin(database, (ORIGIN, 0, entries), kind=kind, name=name)
    exporter: Exporter = make_exporter(database)
    began, used = time.perf_counter(), time.process_time()
    done = await work_off(exporter, name)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    archive = await archive_of(database, done)
    began = time.process_time()
    verify_export(io.BytesIO(archive), keys_of(ORIGIN))
    checked = time.process_time() - began
    scale = 100_000 / entries
    return {
        "entries_a_second": entries / seconds,
        "cpu_seconds": cpu * scale,
        "verify_cpu_seconds": checked * scale,
        "bytes_an_entry": len(archive) / entries,
    }


def _middles(seen: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: middle([one[name] for one in seen])[0] for name in seen[0]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
