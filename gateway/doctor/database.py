"""The database: its revision, its promises, its room for connections."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.doctor.finding import Area, Finding
from gateway.sql_engines import POOL

DATABASE: Final = Area("database")
POSTGRES_SETTINGS: Final = (
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "synchronous_standby_names",
    "max_connections",
    "superuser_reserved_connections",
    "server_version",
)

_NOT_SET_UP: Final = "run `gateway init` once (on one machine `gateway up` does it)"


@dataclass(frozen=True, slots=True)
class RevisionSeen:
    """The database's revision; None: no table of ours. `why_not`: why this program cannot work with it."""

    found: str | None
    program: str
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class PostgresSeen:
    """A PostgreSQL server: some settings, whether it is a standby, connections of clients now.

    `standbys`: those that stream now and that a synchronous COMMIT waits for; None: we may not see them.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    is_standby: bool = False
    connections: int = 0
    standbys: int | None = None


@dataclass(frozen=True, slots=True)
class SqliteSeen:
    """A SQLite file: what its check says (None: it took too long), its journal, its kind of file system."""

    path: str
    check: str | None
    journal: str
    filesystem: str
    is_on_network: bool


def judge_missing_file(path: str) -> Finding:
    """Judge a SQLite file that is not there."""
    return DATABASE.warning(f"there is no database {path}: not set up yet", _NOT_SET_UP)


def judge_revision(seen: RevisionSeen) -> Finding:
    """Judge whether program and tables fit."""
    if seen.found is None:
        return DATABASE.warning("the database is empty: not set up yet", _NOT_SET_UP)
    if seen.why_not:
        what, _, mend = seen.why_not.rpartition(": ")
        return DATABASE.fault(what, mend)
    ahead = "" if seen.found == seen.program else f", and this program is written for {seen.program}"
    return DATABASE.ok(f"it answers, at revision {seen.found}{ahead}")


def judge_postgres(seen: PostgresSeen) -> Iterator[Finding]:
    """Judge what a server promises when it answers a COMMIT."""
    settings = seen.settings
    if seen.is_standby:
        yield DATABASE.fault(
            "the server is a standby in recovery, and takes no writes",
            "name the primary in database.url, or promote this one (pg_ctl promote)",
        )
    for name in ("fsync", "full_page_writes"):
        if settings.get(name) == "off":
            yield DATABASE.fault(
                f"{name} is off: a loss of power can destroy the database",
                f"set {name} = on in postgresql.conf and reload",
            )
    yield _judge_commit(seen)
    most = int(settings.get("max_connections", "0")) - int(
        settings.get("superuser_reserved_connections", "0")
    )
    left = most - seen.connections
    if left < POOL:
        yield DATABASE.warning(
            f"{left} connections are left of {most}; each process of ours may open {POOL}",
            "raise max_connections, or run fewer processes",
        )
    else:
        yield DATABASE.ok(f"{left} connections are left of {most}; each process of ours may open {POOL}")


def _judge_commit(seen: PostgresSeen) -> Finding:
    level, names = seen.settings.get("synchronous_commit", ""), seen.settings.get("synchronous_standby_names")
    if level in {"off", "local"} and (level == "off" or names):
        return DATABASE.fault(
            f"synchronous_commit is {level}: what was answered 2xx can be lost in a crash or a failover",
            "set synchronous_commit = on for this database and user",
        )
    if not names:
        return DATABASE.warning(
            "there is no synchronous standby: a lost server takes the newest log entries with it",
            "set synchronous_standby_names, with a standby that streams",
        )
    if seen.standbys == 0 and not seen.is_standby:
        return DATABASE.fault(
            f"synchronous_standby_names is {names}, and no such standby streams: every COMMIT waits",
            "start the standby, or take its name out",
        )
    return DATABASE.ok(f"a COMMIT waits for a standby ({names}), synchronous_commit is {level}")


def judge_sqlite(seen: SqliteSeen) -> Iterator[Finding]:
    """Judge a SQLite file."""
    if seen.check is None:
        yield DATABASE.not_asked(f"{seen.path} is too large to be checked in a few seconds")
    elif seen.check != "ok":
        yield DATABASE.fault(f"{seen.path} is damaged: {seen.check}", "restore a backup of the whole folder")
    else:
        yield DATABASE.ok(f"{seen.path} is sound (quick_check)")
    if seen.journal != "wal":
        yield DATABASE.warning(
            f"{seen.path} has a {seen.journal} journal, not wal",
            "the gateway sets it at its next start; on a file system without shared memory it cannot",
        )
    if seen.is_on_network:
        yield DATABASE.warning(
            f"{seen.path} is on a network file system ({seen.filesystem})", "put it on a local disk"
        )
