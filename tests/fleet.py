"""One installation of many processes for tests, each role as often as wanted: one Kafka, one PostgreSQL."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests.acceptance.running import Gateway
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

WAIT_SECONDS = 60.0
HASTE: dict[str, str | int] = {"lease.duration": "1s", "claims.lease": "1s", "audit.tick": "50ms"}


@dataclass
class Fleet:
    """Processes by name (`serve-1`, `relay-2`, ...), each with a folder of its own.

    The first `serve` has what `gateway init` made; the others share its master key alone, as machines do.
    """

    folder: Path
    flags: dict[str, str | int]
    members: dict[str, Gateway] = field(default_factory=dict)

    @property
    def first(self) -> Gateway:
        """The first `serve`: operators' and partners' requests go to it."""
        return self.members["serve-1"]

    def init(self) -> None:
        """Set the database up, as an operator does once."""
        first = self.add("serve")
        self.flags["origin"] = first.flags["origin"] = first.url
        self.flags["keys.master_file"] = first.flags["keys.master_file"] = str(first.folder / "master.key")
        assert first.launch("init").wait(60) == 0, first.said()

    def add(self, role: str, **flags: str | int) -> Gateway:
        """One more process of a role, not started yet."""
        number = sum(name.startswith(f"{role}-") for name in self.members) + 1
        name = f"{role}-{number}"
        made = Gateway(self.folder / name, {**self.flags, **flags})
        self.members[name] = made
        return made

    def start(self, serve: int = 1, relay: int = 1, sequence: int = 1) -> None:
        """Start so many of each role, those that are missing made; wait until every `serve` is ready."""
        for role, count in (("serve", serve), ("relay", relay), ("sequence", sequence)):
            for number in range(1, count + 1):
                one = self.members.get(f"{role}-{number}") or self.add(role)
                if one.process is None or one.process.poll() is not None:
                    one.launch(role)
        for number in range(1, serve + 1):
            assert self.members[f"serve-{number}"].wait_ready(), self.said()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query on the database, past the gateway."""
        with psycopg.connect(str(self.flags["database.url"]), autocommit=True) as connection:
            return list(connection.execute(query.encode()).fetchall())

    def owners(self, role: str) -> dict[str, set[int]]:
        """Who holds which shards, as the leases say; `role` as there: `relay`, `sequence`."""
        found: dict[str, set[int]] = {}
        for owner, shard in self.rows(f"SELECT owner, shard FROM gateway_lease WHERE role = '{role}'"):  # noqa: S608 - a word of this file
            if owner:
                found.setdefault(owner, set()).add(shard)
        return found

    def until(self, look: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
        """The first answer that is not empty."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        return found

    def post(self, client: httpx.Client, path: str, event: dict[str, Any]) -> str:
        """The ref of an event, accepted at the first try or after passing 503s."""

        def taken() -> str | None:
            answer = client.post(path, json=event)
            assert answer.status_code in {200, 201, 503}, answer.text
            return None if answer.status_code == 503 else str(answer.json()["ref"])

        return str(self.until(taken))

    def said(self) -> str:
        """The ends of what all of them have written."""
        return "\n".join(f"{name}: {one.said()}" for name, one in self.members.items())

    def kill(self) -> None:
        """End all at once; idempotent."""
        for one in self.members.values():
            one.kill()


@contextmanager
def fleet_on(
    folder: Path, kafka: KafkaServer, postgres: PostgresServer, flags: dict[str, str | int] | None = None
) -> Iterator[Fleet]:
    """An empty installation with topics and a database of its own; what was started is killed at the end."""
    topics = f"t-{uuid.uuid4().hex[:12]}"
    with postgres.database() as url:
        made = Fleet(
            folder,
            {
                "database.url": url,
                "broker.url": f"kafka://{kafka.servers}",
                "broker.replication": 1,
                "broker.topic_prefix": f"{topics}.",
                "broker.checkpoint_topic": f"{topics}.checkpoints",
                **(HASTE if flags is None else flags),
            },
        )
        try:
            made.init()
            yield made
        finally:
            made.kill()


def waiting(client: httpx.Client) -> str:
    """What still waits, in words: unconfirmed claims, unpublished logs, lag, deliveries; empty: nothing."""
    status = client.get("/v1/status").raise_for_status().json()
    waits = []
    if status["claims"]["unconfirmed"]:
        waits.append(f"{status['claims']['unconfirmed']} claims")
    waits += [f"log {one['origin']}" for one in status["logs"] if one["size"] != one["published"]]
    waits += [f"lag {json.dumps(one)}" for one in status["lag"] if one["sequence"] or one.get("relay")]
    if status["deliveries"]["states"] or status["deliveries"]["backlog"]:
        waits.append(f"deliveries {json.dumps(status['deliveries'])}")
    return ", ".join(waits)


def children(pid: int) -> list[int]:
    """The process ids of a process's children."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(words[1]) == pid and words[0] != "Z":
                found.append(int(entry.name))
    return sorted(found)
