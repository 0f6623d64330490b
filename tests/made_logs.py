"""Logs made to measure, in SQL: entries of every kind, erased ones; and exports of them in one call."""

import asyncio
import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import update
from sqlmodel import Session, col

from audit import log, ranges
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.evidence import Evidence, Kind
from audit.export import Exported, verify_export
from audit.manifest import Format, file_name
from audit.note import VerifierKey
from audit.papers import Keys
from audit.rows import EntryRow
from gateway.database import Database
from gateway.exports import store
from gateway.exports.job import Export, Stretch, Wish
from gateway.exports.making import PART_ENTRIES, Maker
from gateway.exports.papers import Papers
from gateway.exports.worker import Exporter
from tests.exporting import pack
from tests.unit.audit.builders import AT, LOG, LOG_SIGNER, ORIGIN, append, evidence

KINDS: Final = tuple(Kind)
HOSTILE: Final = (
    "=1+1",
    "+49",
    "-5",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    "'=1",
    "\uff1d1",
    "caf\u00e9 \u2028",
    "",
)
"""Ids that a spreadsheet would take for formulas, or that are odd in other ways."""


def mixed(number: int, name: str = LOG) -> Evidence:
    """The entry of a number: every kind in turn, hostile texts among its ids, times that jitter."""
    kind = KINDS[number % len(KINDS)]
    at = AT + 1_000 * number + (-3_500 if number % 7 == 3 else 0)
    changes: dict[str, Any] = {}
    if kind is Kind.ACCEPTED:
        changes = {"id": HOSTILE[number % len(HOSTILE)] or f"A-{number}", "source": "=cmd|'/c calc'!A1"}
    return evidence(number, kind=kind, at=at, log=name, **changes)


def grow(
    session: Session, batch: Sequence[Evidence], *, origin: str = ORIGIN, is_published: bool = True
) -> None:
    """Append to a log, and publish its head."""
    log.open_log(session, origin)
    head = append(session, origin, batch)
    if is_published:
        signed = sign_checkpoint(Checkpoint(origin, head.size, head.root()), LOG_SIGNER)
        log.publish_all(session, {origin: signed})


def erase(session: Session, index: int, *, origin: str = ORIGIN) -> None:
    """Forget the evidence of an entry, as erasure does: its leaf stays."""
    name, _, epoch = origin.rpartition("/")
    where = col(EntryRow.log) == name, col(EntryRow.epoch) == int(epoch), col(EntryRow.index) == index
    session.execute(update(EntryRow).where(*where).values(evidence=None))


def keys_of(*origins: str) -> Keys:
    """Pins of logs that the tests' key has signed."""
    return Keys({}, tuple(VerifierKey(one, LOG_SIGNER.public_key) for one in origins))


def make_exporter(
    database: Database, step: Callable[[str], None] = lambda _: None, *, part_entries: int = PART_ENTRIES
) -> Exporter:
    return Exporter(
        database=database,
        maker=Maker(database, part_entries=part_entries),
        clock=lambda: AT,
        owner="tests",
        lease_ms=10_000,
        kept_ms=1_000,
        step=step,
    )


def begin(
    database: Database,
    *stretches: tuple[str, int, int],
    kind: Format = "jsonl",
    has_content: bool = False,
    name: str = "exp_a",
) -> Export:
    """A job that waits."""
    wish = Wish("acme", kind, has_content, tuple(Stretch(*one) for one in stretches))
    with database.begin() as session:
        return store.create(session, name, wish, now=AT)


async def work_off(exporter: Exporter, name: str = "exp_a") -> Export:
    """Let a role work until an export has ended."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(exporter.run(stop))
        exporter.take_up()
        try:
            return await _ended(exporter.database, name)
        finally:
            stop.set()


async def _ended(database: Database, name: str) -> Export:
    for _ in range(6_000):
        found = await database.read(lambda session: store.find(session, name))
        if found is not None and not found.is_open:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(found)


async def archive_of(database: Database, export: Export) -> bytes:
    """All files of an export, as its reader saves them."""

    async def published(origin: str) -> bytes:
        name = origin.rpartition("/")[0]
        found = await database.read(lambda session: ranges.extents(session, name))
        return next(one.checkpoint.encode() for one in found if one.origin == origin)

    papers = Papers(database=database, maker=Maker(database), checkpoint=published)
    files: dict[str, bytes] = {}
    for number in range(1, export.parts + 1):
        made = await papers.file(export, number)
        assert made is not None
        epoch = int(export.wish.stretches[made.part.stretch].origin.rpartition("/")[2])
        files[file_name(epoch, number, export.wish.format)] = made.raw
    return pack({**files, "manifest.json": await papers.manifest(export)})


async def exported(
    database: Database,
    *stretches: tuple[str, int, int],
    kind: Format = "jsonl",
    name: str = "exp_a",
    part_entries: int = PART_ENTRIES,
) -> bytes:
    """The archive of these ranges."""
    begin(database, *stretches, kind=kind, name=name)
    done = await work_off(make_exporter(database, part_entries=part_entries), name)
    assert done.state == "done", done.error
    return await archive_of(database, done)


def verify(archive: bytes, *origins: str) -> Exported:
    """What an archive proves to who trusts the tests' key."""
    return verify_export(io.BytesIO(archive), keys_of(*(origins or (ORIGIN,))))


def database_at(folder: Path, migrated: Path) -> Database:
    """A database of its own, with every table."""
    file = folder / "gateway.db"
    with suppress(FileNotFoundError):
        file.unlink()
    file.write_bytes(migrated.read_bytes())
    return Database(f"sqlite:///{file}")
