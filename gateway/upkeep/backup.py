"""A backup of an installation in files, taken while its gateway runs.

Database and topics are two files that belong together: of one moment, or the one knows what the other lacks.
That moment is made so: while the database's one writer is kept waiting, for some milliseconds, a reading of
both files begins. What the database knew then of the topics (positions, confirmed events, published
checkpoints) is in them, since it is written there first; and no checkpoint is in them that the database does
not stand by, since heads are committed before they are signed. Then both go on, and the readings are copied.

Crash order: the copies and the archive are made beside their place, under another name; the archive is
complete on the disk before it is renamed. Killed before: there is no backup, and the next run clears up.
"""

import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from gateway.upkeep.manifest import (
    BROKER,
    DATABASE,
    MASTER_KEY,
    NAME,
    BackupError,
    Manifest,
    Member,
    format_manifest,
)

_PAGES: Final = 2_048
_BLOCK: Final = 1 << 20
_WAIT_SECONDS: Final = 30.0
"""For the database's writer to let go."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of an installation. `broker`: None: events are on Kafka.

    `keys_file`: that of the master key; None: it is left out.
    """

    database: Path
    broker: Path | None
    keys_file: Path | None = None


def create_backup(
    sources: Sources,
    target: Path,
    about: Manifest,
    *,
    step: Callable[[str], None] = lambda _: None,
    told: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Write a backup to `target`, readable by its owner alone. `told`: bytes that were copied.

    `about`: what the manifest says; files and logs are filled in.

    Raises:
        BackupError: the file exists already, or files cannot be read or written: there is no backup.
    """
    if target.exists():
        raise BackupError(f"{target} exists already: a backup is never overwritten")
    work = target.with_name(target.name + ".partial")
    try:
        _clear(work)
        work.mkdir(mode=0o700)
        _copy_both(sources, work, step, told)
        made = _pack(sources, work, about, told)
        step("backup.3.packed")
        (work / "backup.tar").replace(target)
        step("backup.4.named")
        _sync_folder(target.parent)
    except (OSError, sqlite3.Error, tarfile.TarError) as error:
        raise BackupError(f"no backup was made: {_words(error)}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return made


def _copy_both(
    sources: Sources, work: Path, step: Callable[[str], None], told: Callable[[int], None]
) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(_waiting_writer(sources.database))]
        readings = [(DATABASE, stack.enter_context(_reading(sources.database)))]
        if sources.broker is not None:
            readings.append((BROKER, stack.enter_context(_reading(sources.broker))))
        held[0].execute("ROLLBACK")
        step("backup.1.held")
        for name, source in readings:
            page = int(source.execute("PRAGMA page_size").fetchone()[0])
            done = [0]

            def progress(_: int, left: int, total: int, *, page: int = page, done: list[int] = done) -> None:
                told((total - left - done[0]) * page)
                done[0] = total - left

            with closing(sqlite3.connect(work / name)) as copy:
                source.backup(copy, pages=_PAGES, progress=progress)
        step("backup.2.copied")


@contextmanager
def _waiting_writer(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection that has the right to write, so that nobody else has it."""
    if not file.exists():
        raise BackupError(f"there is no {file}: name its folder with --data")
    with closing(sqlite3.connect(file, isolation_level=None, timeout=_WAIT_SECONDS)) as held:
        held.execute("BEGIN IMMEDIATE")
        yield held


@contextmanager
def _reading(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees the file as it is now, until the block ends."""
    if not file.exists():
        raise BackupError(f"there is no {file}, and the settings say that the topics are in it")
    with closing(sqlite3.connect(file, isolation_level=None, timeout=_WAIT_SECONDS)) as reading:
        reading.execute("PRAGMA query_only = ON")
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield reading


def _pack(sources: Sources, work: Path, about: Manifest, told: Callable[[int], None]) -> Manifest:
    files = {name: work / name for name in (DATABASE, BROKER) if (work / name).exists()}
    if sources.keys_file is not None:
        files[MASTER_KEY] = sources.keys_file
    members: dict[str, Member] = {}
    handle = os.open(work / "backup.tar", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, path in files.items():
                with path.open("rb") as source:
                    size = os.fstat(source.fileno()).st_size
                    digested = _Digested(source, told)
                    archive.addfile(_header(name, size), digested)
                    members[name] = Member(size, digested.digest.hexdigest())
            made = replace(about, files=members, logs=_sizes(work / DATABASE))
            text = format_manifest(made)
            archive.addfile(_header(NAME, len(text)), BytesIO(text))
        raw.flush()
        os.fsync(raw.fileno())
    return made


class _Digested:
    """A file that is digested while it is read."""

    def __init__(self, source: BinaryIO, told: Callable[[int], None]) -> None:
        self._source, self._told = source, told
        self.digest = sha256()

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        some = self._source.read(size)
        self.digest.update(some)
        self._told(len(some))
        return some


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o600
    return header


def _sizes(database: Path) -> dict[str, int]:
    """How many entries each log has in the copy."""
    with closing(sqlite3.connect(database)) as sql:
        rows = sql.execute("SELECT log, epoch, size FROM audit_head ORDER BY log, epoch")
        return {f"{log}/{epoch}": size for log, epoch, size in rows}


def _clear(work: Path) -> None:
    """What a run that was killed has left behind: its name says that it was not finished."""
    if work.exists():
        shutil.rmtree(work)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'the file'}: {error.strerror or 'unknown reason'}"
    return str(error)
