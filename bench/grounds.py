"""What installations stand on: the embedded parts, or a real Kafka and a real PostgreSQL."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.installation import Installation, Kind
from bench.measures import child_with
from bench.postgres import DurablePostgres, durable_postgres
from tests.kafka_server import KafkaServer

_NUMBERS = itertools.count(1)


@dataclass(slots=True)
class Ground:
    """One kind of ground. `folder`: on a disk, for installations."""

    kind: Kind
    folder: Path
    kafka: KafkaServer | None = None
    kafka_pid: int = 0
    postgres: DurablePostgres | None = None
    _made: list[Installation] = field(default_factory=list)

    @property
    def servers(self) -> str:
        """Kafka's address; empty for the embedded broker."""
        return "" if self.kafka is None else self.kafka.servers

    def parts(self) -> dict[str, list[int]]:
        """The processes beside the gateway's own, by name."""
        if self.postgres is None:
            return {}
        return {"Kafka": [self.kafka_pid], "PostgreSQL": [self.postgres.pid]}

    def install(self) -> Installation:
        """A new installation: a database, topics and a folder of its own."""
        name = f"bench{next(_NUMBERS)}"
        settings: dict[str, str | int] = {}
        if self.postgres is not None:
            settings = {
                "database.url": self.postgres.create(name),
                "broker.url": f"kafka://{self.servers}",
                "broker.replication": 1,
                "broker.topic_prefix": f"{name}.",
                "broker.checkpoint_topic": f"{name}.checkpoints",
            }
        made = Installation(self.kind, self.folder / name, settings)
        made.prepare()
        self._made.append(made)
        return made

    def stop(self) -> None:
        """End every process of every installation."""
        for one in self._made:
            one.stop()


@contextmanager
def ground_of(kind: Kind, folder: Path) -> Iterator[Ground]:
    """The ground, running until the block ends."""
    with ExitStack() as stack:
        ground = Ground(kind, folder)
        if kind == "kafka":
            place = folder / "kafka"
            place.mkdir()
            ground.kafka = KafkaServer(place)
            ground.kafka.heap = "1g"
            stack.callback(ground.kafka.kill)
            ground.kafka.start()
            ground.kafka_pid = child_with(str(place / "server.properties"))
            ground.postgres = stack.enter_context(durable_postgres())
        stack.callback(ground.stop)
        yield ground
