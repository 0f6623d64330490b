"""What a page of history and a proof cost in a log of many entries, on SQLite and on PostgreSQL.

The log is that of one partner, filled by `bench.history` behind some real events, which are the oldest and
carry what is rare. Each question is asked many times, in one process, against a database on the disk whose
every commit is forced; figures go to bench/results-pages.json. `python -m bench.pages [ENTRIES ...]`, or the
whole of `make bench`: as many entries as are named, 10,000 and 5,000,000 without names.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from sqlmodel import Session, col, select

from audit import log
from audit.bulk import insert_rows
from audit.evidence import Kind
from audit.marks import mark_of, search_hash
from audit.rows import EntryRow, MarkRow
from audit.search import HistoryFilter, find
from bench.grounds import Ground as Place
from bench.grounds import ground_of
from bench.history import fill
from bench.installation import Kind as GroundKind
from bench.sequencing import Bench
from gateway.bootstrap.ground import Ground, open_broker, prepare
from gateway.database import Database
from gateway.ingress.unsequenced import find_unsequenced
from gateway.settings_sources import load

RESULTS: Final = Path(__file__).with_name("results-pages.json")
SIZES: Final = (10_000, 5_000_000)
GROUNDS: Final[Mapping[str, GroundKind]] = {"SQLite": "embedded", "PostgreSQL": "kafka"}
TIMES: Final = 200
EVENTS: Final = 50
_SLUG: Final = "p0000"
_TOPICS: Final = (f"partners.{_SLUG}.inbound", f"partners.{_SLUG}.outbound")
_PRIME: Final = 7_919
_DIGEST: Final = bytes(32)

FILTERS: Final[Mapping[str, HistoryFilter]] = {
    "the newest 100": HistoryFilter(),
    "id": HistoryFilter(id="old-5000"),
    "key": HistoryFilter(key="rare"),
    "digest": HistoryFilter(digest=_DIGEST),
    "state, reached by few": HistoryFilter(state="parked"),
    "state, reached by all": HistoryFilter(state="accepted"),
    "direction, of none": HistoryFilter(direction="outbound"),
    "type, of all": HistoryFilter(type="order.placed"),
    "type, of none": HistoryFilter(type="order.none"),
    "credential, of all": HistoryFilter(credential="crd_1"),
    "endpoint": HistoryFilter(endpoint="ep_rare"),
    "kind: changes of contracts": HistoryFilter(kinds=frozenset({Kind.CONTRACT_CHANGED})),
    "two that nothing shares": HistoryFilter(type="order.placed", source="/none"),
}


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the figures down."""
    sizes = sorted({int(one) for one in arguments}) or SIZES
    found: dict[str, Any] = {"times": TIMES}
    for name, kind in GROUNDS.items():
        with (
            tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as folder,
            ground_of(kind, Path(folder)) as place,
        ):
            found[name] = asyncio.run(_measured(place, sizes))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(f"{RESULTS}\n")
    return 0


async def _measured(place: Place, sizes: Sequence[int]) -> dict[str, Any]:
    """By number of entries: median milliseconds of each question."""
    installation = place.install()
    installation.start()
    installation.admit(1)
    installation.stop()
    ground = prepare(load(flags={}, environ={}, file=installation.config).settings, "up")
    broker = open_broker(ground.settings)
    try:
        bench = Bench(ground, broker)
        await bench.accept(EVENTS, "pages")
        await bench.sequence(EVENTS)
        origin = _make_rare(ground.database)
        found: dict[str, Any] = {}
        for size in sizes:
            found[str(size)] = _at(ground, origin, size)
            sys.stdout.write(f"{size} {json.dumps(found[str(size)])}\n")
            sys.stdout.flush()
    finally:
        await broker.close()
        ground.database.close()
    return found


def _at(ground: Ground, origin: str, size: int) -> dict[str, Any]:
    with ground.database.begin() as session:
        there = log.state(session, origin).head.size
    begun = time.monotonic()
    fill(ground.database, size - there)
    with ground.database.begin() as session:
        session.connection().exec_driver_sql("ANALYZE")
    found: dict[str, Any] = {"filled in seconds": round(time.monotonic() - begun, 1)}
    with ground.database.begin() as session:
        for question, ask in _questions(session, origin, size).items():
            found[question] = _asked(session, ask)
    return found


def _questions(session: Session, origin: str, size: int) -> dict[str, Callable[[], object]]:
    name = origin.rpartition("/")[0]
    middle = find(session, name, HistoryFilter(id=f"old-{size // 2}")).rows[0].first
    numbers = iter(range(1, 10 * TIMES))

    def prove() -> object:
        return log.prove(session, origin, next(numbers) * _PRIME % size, size)

    return {
        **{question: partial(_page, session, name, wanted) for question, wanted in FILTERS.items()},
        "a page in the middle": partial(find, session, name, after=(middle.at, 1, middle.index)),
        "a proof": prove,
    }


def _page(session: Session, name: str, wanted: HistoryFilter) -> None:
    """As the route asks: what the log has not got yet, then the page."""
    find_unsequenced(session, _SLUG, _TOPICS, wanted, 100)
    find(session, name, wanted)


def _asked(session: Session, ask: Callable[[], object]) -> dict[str, float]:
    """Median time and mean CPU, ours and the database's, in milliseconds."""
    ask()
    server, used, seen = _server_cpu(session), time.process_time(), []
    for _ in range(TIMES):
        begun = time.perf_counter()
        ask()
        seen.append(time.perf_counter() - begun)
    cpu = time.process_time() - used + _server_cpu(session) - server
    return {"ms": round(median(seen) * 1_000, 3), "cpu_ms": round(cpu / TIMES * 1_000, 3)}


def _server_cpu(session: Session) -> float:
    """Seconds that PostgreSQL's process for this session has used."""
    if session.get_bind().dialect.name == "sqlite":
        return 0.0
    pid = session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _make_rare(database: Database) -> str:
    """Give the oldest events what hardly any has; the origin of their log."""
    with database.begin() as session:
        rows = session.exec(select(EntryRow).where(col(EntryRow.kind) == Kind.ACCEPTED.value)).all()
        log_name = rows[0].log
        marks = (
            mark_of(log_name, "state", "parked"),
            mark_of(log_name, "endpoint", "ep_rare"),
            mark_of(log_name, "digest", _DIGEST),
            mark_of(log_name, "search", search_hash("rare")),
        )
        places = [{"at": row.at, "epoch": row.epoch, "index": row.index} for row in rows[:EVENTS]]
        insert_rows(session, MarkRow, [{"mark": mark, **place} for mark in marks for place in places])
        return f"{log_name}/1"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
