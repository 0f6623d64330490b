"""A backup becomes a data folder again: all of it, verified, or nothing.

Crash order: the files are written beside their place, compared with the manifest's digests, and complete on
the disk before the folder gets its name. Killed before: there is no folder, and the next run clears up.

Nobody here knows what was published after the backup was made. Where the topics come from the backup too, the
gateway cannot find out by itself either: the database is marked, and does not go on before new epochs have
begun (`gateway log new-epoch`).
"""

import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Final

from gateway.sequencer.guard import RESTORED
from gateway.upkeep.manifest import (
    BROKER,
    DATABASE,
    MEMBERS,
    MOST_BYTES,
    NAME,
    BackupError,
    Manifest,
    Member,
    parse_manifest,
)

_BLOCK: Final = 1 << 20


def restore_backup(
    backup: Path,
    folder: Path,
    *,
    is_at_rest: bool = False,
    step: Callable[[str], None] = lambda _: None,
    told: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Make `folder` of a backup; it must be missing or empty. `told`: bytes that were read.

    `is_at_rest`: nothing was published after the backup: the gateway was stopped before, and never since run.

    Raises:
        BackupError: the folder is not empty; the backup is damaged, not whole or none. No folder is made.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise BackupError(f"{folder} is not empty: a backup is restored into a new or empty folder only")
    work = folder.with_name(f".{folder.name}.restoring")
    try:
        if work.exists():
            shutil.rmtree(work)  # a run that was killed has left it behind
        work.mkdir(mode=0o700, parents=True)
        made = _unpack(backup, work, told)
        step("restore.1.verified")
        if BROKER in made.files and not is_at_rest:
            _mark(work / DATABASE, made.made_at)
        for name in made.files:
            _sync(work / name)
        _sync(work)
        step("restore.2.written")
        work.rename(folder)  # over an empty folder, or none; never over another
        step("restore.3.named")
        _sync(folder.parent)
    except (OSError, sqlite3.Error, tarfile.TarError, EOFError) as error:
        raise BackupError(f"{backup}: nothing was restored: {_words(error)}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return made


def _unpack(backup: Path, work: Path, told: Callable[[int], None]) -> Manifest:
    found: dict[str, Member] = {}
    made: Manifest | None = None
    with tarfile.open(backup, "r:") as archive:
        for member in archive:
            if made is not None or not _is_plain(member) or member.name in found:
                raise BackupError(f"{backup} is no backup of this program: it holds {member.name[:80]!r}")
            if member.name == NAME:
                made = parse_manifest(_small(archive, member))
            else:
                found[member.name] = _take(archive, member, work / member.name, told)
    if made is None:
        raise BackupError(f"{backup} is not whole: it ends before its manifest")
    wrong = sorted(name for name in {*found, *made.files} if found.get(name) != made.files.get(name))
    if wrong:
        raise BackupError(f"{backup} is damaged: {wrong[0]} is not what the manifest says")
    return made


def _is_plain(member: tarfile.TarInfo) -> bool:
    """One of our files, and nothing that a file is not: no link, no device, no hole."""
    is_file = member.type in {tarfile.REGTYPE, tarfile.AREGTYPE} and not member.issparse()
    return is_file and member.name in {*MEMBERS, NAME}


def _small(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    source = archive.extractfile(member)
    if source is None or member.size > MOST_BYTES:
        raise BackupError("the backup's manifest cannot be read: it is damaged")
    return source.read()


def _take(
    archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, told: Callable[[int], None]
) -> Member:
    source = archive.extractfile(member)
    if source is None:
        raise BackupError(f"the backup holds no content of {member.name}")
    digest, size = sha256(), 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as target:
        while some := source.read(_BLOCK):
            digest.update(some)
            size += len(some)
            target.write(some)
            told(len(some))
    return Member(size, digest.hexdigest())


def _mark(database: Path, made_at: str) -> None:
    """Keep the gateway from going on before somebody has said what is to become of its logs."""
    with closing(sqlite3.connect(database, isolation_level=None)) as sql:
        sql.execute("INSERT OR REPLACE INTO gateway_meta (name, value) VALUES (?, ?)", (RESTORED, made_at))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'the file'}: {error.strerror or 'unknown reason'}"
    return str(error)
