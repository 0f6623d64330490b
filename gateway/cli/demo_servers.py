"""Kafka and PostgreSQL that somebody has: what the demo makes there for itself, counts, and removes.

A database and topics with a name of their own; nothing else there is touched. Topics are read by a consumer
that knows nothing of the gateway.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import confluent_kafka
import psycopg
from confluent_kafka.admin import AdminClient
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from gateway.broker.kafka_properties import load_kafka_properties
from gateway.broker.kafka_settings import admin_settings, reader_settings
from gateway.errors import SetupError

_ASK_SECONDS: Final = 10.0
_READ_SECONDS: Final = 30.0
_MOST_COPIES: Final = 3
_MOST_AT_ONCE: Final = 1_000
_NAME_BYTES: Final = 5
_CLAIM_LEASE: Final = "3s"
"""How long a repeat waits for a sender whose process was killed; the default is for machines under load."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where they are, as `broker.url`, `database.url` and `broker.properties_file` say it."""

    broker: str
    database: str
    properties_file: Path | None = None


class Servers:
    """The demo's own corner of them; `open` makes it, `close` takes it away."""

    def __init__(
        self, wanted: Wanted, entropy: Callable[[int], bytes], *, patience_seconds: float = _ASK_SECONDS
    ) -> None:
        """Read the addresses; dial nobody. `patience_seconds`: how long Kafka may take for its first answer.

        Raises:
            SetupError: an address is none, or the properties file cannot be read.
        """
        kind, _, self._kafka = wanted.broker.partition("://")
        if kind != "kafka" or not self._kafka:
            raise SetupError("--broker takes the address of a Kafka: --broker kafka://HOST:PORT")
        self._database = _read_address(wanted.database)
        if self._database.scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
            raise SetupError(
                "--database takes the address of a PostgreSQL: --database postgresql://USER@HOST:PORT/postgres"
            )
        self._wanted = wanted
        self._patience_seconds = patience_seconds
        file = wanted.properties_file
        self._properties = {} if file is None else load_kafka_properties(file).settings
        self.name = f"gateway_demo_{entropy(_NAME_BYTES).hex()}"
        self._copies = 1
        self._has_database = False

    @property
    def kafka(self) -> str:
        """Where Kafka is, for people."""
        return self._kafka

    @property
    def postgresql(self) -> str:
        """Where PostgreSQL is, for people: without user and password."""
        return self._database.netloc.rpartition("@")[2] or "its usual socket"

    def open(self) -> None:
        """Look whether both answer, and make the database.

        Raises:
            SetupError: one of them is away or refuses; says how to mend it.
        """
        try:
            there = AdminClient(admin_settings(self._kafka, self._properties)).list_topics(
                timeout=self._patience_seconds
            )
        except confluent_kafka.KafkaException as error:
            raise SetupError(
                f"no Kafka answers at {self._kafka} ({error.args[0].str()}): look at the address; where it "
                "asks for TLS or a password, name your provider's client.properties with --properties-file"
            ) from error
        self._copies = min(_MOST_COPIES, len(there.brokers))
        self._order(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(self.name)))
        self._has_database = True

    def environ(self) -> Mapping[str, str]:
        """What makes a gateway's process work there."""
        found = {
            "GATEWAY_BROKER__URL": f"kafka://{self._kafka}",
            "GATEWAY_BROKER__REPLICATION": str(self._copies),
            "GATEWAY_BROKER__TOPIC_PREFIX": f"{self.name}.",
            "GATEWAY_BROKER__CHECKPOINT_TOPIC": f"{self.name}.checkpoints",
            "GATEWAY_DATABASE__URL": self._database._replace(path=f"/{self.name}").geturl(),
            "GATEWAY_CLAIMS__LEASE": _CLAIM_LEASE,
        }
        if self._wanted.properties_file is not None:
            found["GATEWAY_BROKER__PROPERTIES_FILE"] = str(self._wanted.properties_file.resolve())
        return found

    def read_topic(self, slug: str, direction: str) -> list[tuple[str, str]]:
        """Source and id of every record of a partner's topic, from the first to the last of now.

        Raises:
            SetupError: Kafka is away.
        """
        topic = f"{self.name}.{slug}.{direction}"
        settings = reader_settings(self._kafka, self._properties) | {"group.id": f"{self.name}.count"}
        with _translated(topic):
            consumer = confluent_kafka.Consumer(settings)
            try:
                partitions = consumer.list_topics(topic, timeout=_ASK_SECONDS).topics[topic].partitions
                return [one for number in partitions for one in _read(consumer, topic, number)]
            finally:
                consumer.close()

    def close(self) -> list[str]:
        """Remove the database and the topics; what could not be removed, in words."""
        left: list[str] = []
        try:
            self._delete_topics()
        except confluent_kafka.KafkaException as error:
            left.append(f"topics whose names begin with {self.name}. are left ({error.args[0].str()})")
        if self._has_database:
            try:
                self._order(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name)))
            except SetupError as error:
                left.append(f"the database {self.name} is left: {error}")
        return left

    def _delete_topics(self) -> None:
        admin = AdminClient(admin_settings(self._kafka, self._properties))
        topics = admin.list_topics(timeout=_ASK_SECONDS).topics
        mine = [name for name in topics if name.startswith(f"{self.name}.")]
        for gone in (admin.delete_topics(mine) if mine else {}).values():
            gone.result(_ASK_SECONDS)

    def _order(self, statement: sql.Composed) -> None:
        try:
            url = _plain(self._database)
            with psycopg.connect(url, autocommit=True, connect_timeout=int(_ASK_SECONDS)) as connection:
                connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege as error:
            raise SetupError(
                "the demo makes a database of its own, and this user of PostgreSQL may not: name another in "
                "--database, or let it: ALTER ROLE the_user CREATEDB"
            ) from error
        except psycopg.Error as error:
            raise SetupError(
                f"PostgreSQL at {self.postgresql} does not do what is asked ({_line(error)}): look at "
                "--database; a password belongs into PGPASSWORD or ~/.pgpass"
            ) from error


def _read(consumer: Any, topic: str, number: int) -> Iterator[tuple[str, str]]:
    first, after = consumer.get_watermark_offsets(
        confluent_kafka.TopicPartition(topic, number), timeout=_ASK_SECONDS
    )
    if first == after:
        return
    consumer.assign([confluent_kafka.TopicPartition(topic, number, first)])
    offset = first - 1
    while offset + 1 < after:
        # It waits for as many as it is asked for.
        found = consumer.consume(min(_MOST_AT_ONCE, after - offset - 1), timeout=_READ_SECONDS)
        if not found:
            raise SetupError(f"{topic} ends at {after}, and nothing more came after {offset}")
        for message in found:
            if message.error():
                raise confluent_kafka.KafkaException(message.error())
            offset = message.offset()
            headers = dict(message.headers() or ())
            yield headers["ce_source"].decode(), headers["ce_id"].decode()


@contextmanager
def _translated(topic: str) -> Iterator[None]:
    try:
        yield
    except confluent_kafka.KafkaException as error:
        raise SetupError(f"{topic} cannot be read: {error.args[0].str()}") from error


def _read_address(url: str) -> SplitResult:
    try:
        read = urlsplit(url)
        if read.scheme.startswith("postgres"):
            conninfo_to_dict(_plain(read))
    except (ValueError, psycopg.Error):
        # Without its cause, whose words quote the URL, and it may hold a password.
        raise SetupError(
            "--database cannot be read: use postgresql://USER@HOST:PORT/postgres, and write special "
            "characters of user and password as %XX"
        ) from None
    return read


def _plain(url: SplitResult) -> str:
    """As libpq reads it."""
    return url._replace(scheme="postgresql").geturl()


def _line(error: psycopg.Error) -> str:
    """The first line of what PostgreSQL says."""
    return next(iter(str(error).splitlines()), type(error).__name__)
