"""Where a gateway of the acceptance tests keeps its things: files of its own, or Kafka and PostgreSQL."""

import shutil
import sqlite3
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg
import pytest

from gateway.bootstrap.program import init
from gateway.settings_sources import load
from tests.faults.program import FORKING
from tests.kafka_server import KafkaServer
from tests.migrated import lay_migrated
from tests.postgres_server import PostgresServer

SERVERS = pytest.param("servers", marks=[pytest.mark.kafka, pytest.mark.postgres])
STACKS = ("files", SERVERS)
"""What every test runs on that means something on both."""
only_files = pytest.mark.parametrize("stack", ["files"], indirect=True)
"""For a test that is about files of ours, or in which neither broker nor database has a part."""
only_servers = pytest.mark.parametrize("stack", [SERVERS], indirect=True)
"""For a test of what can happen to servers alone."""

Flags = Mapping[str, str | int]


class Stack(Protocol):
    """Database and broker of one gateway, whose data folder is `folder` everywhere."""

    def flags(self) -> Flags:
        """Settings that lead to them."""
        ...

    def prepare(self, flags: Flags, log: Path) -> None:
        """What is to be done once before the first start; `flags`: all settings."""
        ...

    def url(self, folder: Path) -> str:
        """The database's URL."""
        ...

    def rows(self, folder: Path, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query on the database, past the gateway."""
        ...

    def execute(self, folder: Path, statement: str) -> None:
        """Change the database, past the gateway."""
        ...

    def locked(self, folder: Path, table: str) -> AbstractContextManager[object]:
        """Another program keeps the table, or more, to itself for the length of the block."""
        ...

    def save(self, folder: Path, name: str) -> None:
        """Back the database up; no gateway runs."""
        ...

    def wipe(self, folder: Path) -> None:
        """Leave an empty database."""
        ...

    def restore(self, folder: Path, name: str) -> None:
        """Put a backup into the place of the database; no gateway runs."""
        ...


@dataclass(frozen=True)
class Files:
    """SQLite and the embedded broker, in the data folder."""

    def flags(self) -> Flags:
        return {}

    def prepare(self, flags: Flags, log: Path) -> None:  # noqa: ARG002 - as the protocol has it
        """Lay out an empty database; `gateway up` makes what is missing."""
        lay_migrated(Path(str(flags["data"])) / "gateway.db")

    def url(self, folder: Path) -> str:
        return f"sqlite:///{folder / 'gateway.db'}"

    def rows(self, folder: Path, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(folder / "gateway.db")) as sql:
            return sql.execute(query).fetchall()

    def execute(self, folder: Path, statement: str) -> None:
        with closing(sqlite3.connect(folder / "gateway.db")) as sql:
            sql.execute(statement)
            sql.commit()

    @contextmanager
    def locked(self, folder: Path, table: str) -> Iterator[None]:
        """All of it: SQLite knows no less."""
        assert table
        with closing(sqlite3.connect(folder / "gateway.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")

    def save(self, folder: Path, name: str) -> None:
        _copies(folder, name).mkdir()
        for file in folder.glob("gateway.db*"):
            shutil.copy(file, _copies(folder, name) / file.name)

    def wipe(self, folder: Path) -> None:
        for file in folder.glob("gateway.db*"):
            file.unlink()

    def restore(self, folder: Path, name: str) -> None:
        self.wipe(folder)
        for file in _copies(folder, name).iterdir():
            shutil.copy(file, folder / file.name)


@dataclass(frozen=True)
class Servers:
    """A database of PostgreSQL and topics of Kafka, nobody else's."""

    kafka: KafkaServer
    postgres: PostgresServer
    database_url: str
    topics: str
    saved: set[str] = field(default_factory=set)

    @property
    def database(self) -> str:
        """The database's name."""
        return urlsplit(self.database_url).path.lstrip("/")

    def topic(self, partner: str, direction: str) -> str:
        """The name of a partner's topic."""
        return f"{self.topics}.{partner}.{direction}"

    def flags(self) -> Flags:
        return {
            "database.url": self.database_url,
            "broker.url": f"kafka://{self.kafka.servers}",
            "broker.replication": 1,
            "broker.topic_prefix": f"{self.topics}.",
            "broker.checkpoint_topic": f"{self.topics}.checkpoints",
        }

    def prepare(self, flags: Flags, log: Path) -> None:
        """`gateway init`, by fork: a second less than an interpreter takes."""
        child = FORKING.Process(target=_init, args=(dict(flags), log))
        child.start()
        child.join(60)
        assert child.exitcode == 0, log.read_text()

    def url(self, _: Path) -> str:
        return self.database_url

    def rows(self, _: Path, query: str) -> list[tuple[Any, ...]]:
        return self.postgres.execute(query, database=self.database)

    def execute(self, _: Path, statement: str) -> None:
        self.postgres.execute(statement, database=self.database)

    @contextmanager
    def locked(self, _: Path, table: str) -> Iterator[None]:
        with psycopg.connect(self.database_url) as other:
            other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            yield
            other.rollback()

    def save(self, _: Path, name: str) -> None:
        self.postgres.execute(f"CREATE DATABASE {self.database}_{name} TEMPLATE {self.database}")
        self.saved.add(name)

    def wipe(self, _: Path) -> None:
        self._replace("template0")

    def restore(self, _: Path, name: str) -> None:
        self._replace(f"{self.database}_{name}")

    def drop_saved(self) -> None:
        """End every backup."""
        for name in self.saved:
            self.postgres.execute(f"DROP DATABASE {self.database}_{name}")

    def _replace(self, template: str) -> None:
        self.postgres.execute(f"DROP DATABASE {self.database} WITH (FORCE)")
        self.postgres.execute(f"CREATE DATABASE {self.database} TEMPLATE {template}")


def open_stack(request: pytest.FixtureRequest, held: ExitStack) -> Stack:
    """The stack that a fixture's parameter names; `held` ends it."""
    if request.param == "files":
        return Files()
    kafka: KafkaServer = request.getfixturevalue("kafka_server")
    postgres: PostgresServer = request.getfixturevalue("postgres_server")
    return held.enter_context(servers_of(kafka, postgres))


@contextmanager
def servers_of(kafka: KafkaServer, postgres: PostgresServer) -> Iterator[Servers]:
    """A database and names of topics; the database ends with the block."""
    with postgres.database() as url:
        made = Servers(kafka, postgres, url, f"t-{uuid.uuid4().hex[:12]}")
        yield made
        made.drop_saved()


def _copies(folder: Path, name: str) -> Path:
    return folder.with_name(f"{folder.name}-{name}")


def _init(flags: dict[str, str | int], log: Path) -> None:
    with log.open("a") as file:
        sys.stdout = sys.stderr = file
        init(load(flags=flags, environ={}, file=None).settings, print)
