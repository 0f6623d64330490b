"""Backups of this machine's installation: which files there are, and what the manifest says of them."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from gateway import facts
from gateway.bootstrap.ground import HOUSE_LOG, ORIGIN, clock, is_embedded
from gateway.bootstrap.upkeep import open_database
from gateway.errors import SetupError
from gateway.instants import format_instant
from gateway.migrations import history
from gateway.settings import Settings
from gateway.sql_engines import sqlite_file
from gateway.upkeep.backup import Sources, create_backup
from gateway.upkeep.manifest import Manifest
from gateway.vault import load_master
from gateway.version import VERSION


def sources_of(settings: Settings, *, with_master_key: bool) -> Sources:
    """The files that a backup is made of.

    Raises:
        SetupError: the database is no file; the master key is not there.
    """
    file = sqlite_file(settings.database.url)
    if file is None:
        raise SetupError(
            "the database is on PostgreSQL: back it up by its own tools, pg_dump or pg_basebackup with an "
            "archive of its log; docs/backup.md shows how. The master key is a file of its own: "
            f"{settings.keys.master_file}"
        )
    broker = Path(settings.broker.url.partition(":")[2]) if is_embedded(settings) else None
    if with_master_key:
        load_master(settings.keys.master_file)
    return Sources(file, broker, settings.keys.master_file if with_master_key else None)


def back_up(
    settings: Settings, target: Path, *, with_master_key: bool, told: Callable[[int], None]
) -> Manifest:
    """Make a backup of the installation that the settings name; its gateway may run.

    Raises:
        SetupError: says what stands in the way; there is no backup then.
        StoreError: the database is away.
    """
    sources = sources_of(settings, with_master_key=with_master_key)
    with closing(open_database(settings)) as database, database.looking() as session:
        about = Manifest(
            made_at=format_instant(clock()),
            program=VERSION,
            revision=history.current(session) or "",
            origin=facts.load(session, ORIGIN) or "",
            house_log=facts.load(session, HOUSE_LOG) or "",
            files={},
            logs={},
        )
    return create_backup(sources, target, about, told=told)
