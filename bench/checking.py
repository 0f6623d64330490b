"""How fast `gateway log fsck` examines a log, and what an entry takes on the disk: PostgreSQL and SQLite.

Figures go to bench/results-checking.json. `python -m bench.checking`, or the whole of `make bench`. The log
is made anew, of entries as accepted events have them, each alone with its event; making it is not measured.
CPU time is that of all our processes: on PostgreSQL what the server uses is beside it.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from bench.exporting import fill_log
from bench.figures import keep
from bench.outcome import middle
from bench.postgres import durable_postgres
from gateway.database import Database, take_time
from tests.unit.audit.builders import ORIGIN

RESULTS: Final = Path(__file__).with_name("results-checking.json")
ENTRIES: Final = 200_000
ROUNDS: Final = 5
WANTED: Final = 100_000
"""Entries a second."""

MOST_BYTES: Final = 1_500
"""An entry, without its claim."""


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the figures down; `arguments`: rounds and entries, if not as many as usual."""
    rounds = int(arguments[0]) if arguments else ROUNDS
    entries = int(arguments[1]) if len(arguments) > 1 else ENTRIES
    found: dict[str, Any] = {"entries": entries, "rounds": rounds, "cores": os.cpu_count(), "on": {}}
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as name:
        found["on"]["sqlite"] = _measured(f"sqlite:///{name}/gateway.db", rounds, entries)
    with durable_postgres() as server:
        found["on"]["postgresql"] = _measured(server.create("checking"), rounds, entries)
    keep(found, RESULTS, is_whole=not arguments)
    return 0


def _measured(url: str, rounds: int, entries: int) -> dict[str, Any]:
    database = Database(url)
    try:
        fill_log(database, entries)
        if not database.is_sqlite:
            with database.begin() as session:
                take_time(session)
                # As autovacuum leaves a log that has stood for a while.
                session.execute(text("ANALYZE"))
        seen: dict[str, list[Mapping[str, float]]] = {"one process": [], "a process a core": []}
        for _ in range(rounds):
            for name, jobs in zip(seen, (1, os.cpu_count() or 1), strict=True):
                seen[name].append(examined(url, jobs))
        with database.looking() as session:
            take_time(session)
            return {
                "fsck": {name: _middles(some) for name, some in seen.items()},
                "bytes": bytes_an_entry(session, entries),
            }
    finally:
        database.close()


def examined(url: str, jobs: int) -> Mapping[str, float]:
    """One examination of the log, by as many processes: see `bench.examining`.

    Raises:
        CalledProcessError: the log has a fault.
    """
    order = (sys.executable, "-m", "bench.examining", url, ORIGIN, str(jobs))
    done = subprocess.run(order, check=True, stdout=subprocess.PIPE, cwd=RESULTS.parents[1])  # noqa: S603 - ours
    found: Mapping[str, float] = json.loads(done.stdout)
    return found


def bytes_an_entry(session: Session, entries: int) -> dict[str, float]:
    """What the log takes, by table and by what it is of, an entry; and the evidence as such."""
    query = _IN_SQLITE if session.get_bind().dialect.name == "sqlite" else _IN_POSTGRESQL
    found = {name: float(size) / entries for name, size in session.execute(text(query)) if size}
    size = session.execute(text("SELECT avg(length(evidence)) FROM audit_entry")).scalar_one()
    return {**found, "of it the evidence": float(size)}


_IN_SQLITE: Final = """
SELECT m.tbl_name || CASE m.type WHEN 'index' THEN ', its indexes' ELSE '' END, sum(d.pgsize)
FROM dbstat d JOIN sqlite_master m ON m.name = d.name
WHERE d.aggregate = 1 AND m.tbl_name IN ('audit_entry', 'audit_node', 'audit_mark')
GROUP BY 1 ORDER BY 1
"""
_IN_POSTGRESQL: Final = """
SELECT name, size FROM (
    SELECT relname AS name, pg_table_size(oid) AS size FROM pg_class
    UNION ALL SELECT relname || ', its indexes', pg_indexes_size(oid) FROM pg_class
) AS sizes
WHERE split_part(name, ',', 1) IN ('audit_entry', 'audit_node', 'audit_mark') ORDER BY name
"""


def _middles(seen: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: middle([one[name] for one in seen])[0] for name in seen[0]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
