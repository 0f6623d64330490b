"""Three nodes of Apache Kafka for tests, as an operator has them: RF 3, min.insync.replicas 2.

Each node is a broker and a controller, and can be ended and started by itself. Two of three away means: no
leader can be elected, and nothing is acknowledged.
"""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.free_ports import free_port
from tests.kafka_server import KafkaNode, make_cluster_id, node_settings

NODES: Final = 3
_SAFE: Final = (
    "default.replication.factor=3",
    "min.insync.replicas=2",
    "offsets.topic.replication.factor=3",
    "transaction.state.log.replication.factor=3",
    "transaction.state.log.min.isr=2",
)
_WAIT_SECONDS: Final = 60.0


class KafkaCluster:
    """Three nodes, numbered from 1. `servers`: the addresses that clients take."""

    def __init__(self, folder: Path) -> None:
        """Format their storages in folders of their own."""
        ports = [free_port() for _ in range(2 * NODES)]
        pairs = dict(enumerate(zip(ports[:NODES], ports[NODES:], strict=True), 1))
        voters = ",".join(f"{number}@127.0.0.1:{controller}" for number, (_, controller) in pairs.items())
        self.nodes: dict[int, KafkaNode] = {}
        for number, pair in pairs.items():
            place = folder / f"node-{number}"
            place.mkdir()
            lines = (*node_settings(place, number, pair, voters), *_SAFE)
            self.nodes[number] = KafkaNode(place, pair[0], lines)
        self.servers = ",".join(node.servers for node in self.nodes.values())
        cluster_id = make_cluster_id()
        with ThreadPoolExecutor(NODES) as pool:
            list(pool.map(lambda node: node.format(cluster_id), self.nodes.values()))

    def start(self) -> None:
        """Start all that are not running, together; wait until all are in the cluster."""
        for node in self.nodes.values():
            node.launch()
        for node in self.nodes.values():
            node.wait_open()
        self._until(lambda: len(self._admin().list_topics(timeout=5).brokers) == NODES)

    def kill(self) -> None:
        """End all at once; idempotent."""
        for node in self.nodes.values():
            node.kill()

    def partition(self, topic: str) -> Any:
        """Partition 0 of a topic as the nodes that run see it: leader, replicas, those in sync."""
        found: list[Any] = []

        def look() -> bool:
            partitions = self._admin().list_topics(topic, timeout=5).topics[topic].partitions
            found.extend([partitions[0]] if 0 in partitions else [])  # one that was just made has none yet
            return bool(found)

        self._until(look)
        return found[0]

    def leader(self, topic: str) -> int:
        """The node that leads partition 0 of a topic."""
        return int(self.partition(topic).leader)

    def controller(self) -> int:
        """The node whose controller is the active one, as the nodes note it beside their logs."""
        states = [
            json.loads((node.folder / "logs" / "__cluster_metadata-0" / "quorum-state").read_text())
            for node in self.nodes.values()
        ]
        return int(max(states, key=lambda state: state["leaderEpoch"])["leaderId"])

    def wait_in_sync(self, topic: str, count: int = NODES) -> None:
        """Wait until so many replicas of partition 0 are in sync, and one of them leads."""
        self._until(lambda: self._is_in_sync(topic, count))

    def _is_in_sync(self, topic: str, count: int) -> bool:
        found = self.partition(topic)
        return found.leader > 0 and len(found.isrs) >= count

    def _until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                if is_so():
                    return
            except KafkaException:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"the cluster did not get there: {self._said()}")
            time.sleep(0.1)

    def _said(self) -> str:
        logs = (node.folder / "kafka.log" for node in self.nodes.values())
        return "\n".join(log.read_text()[-2_000:] for log in logs if log.exists())

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
