"""A real Apache Kafka for tests: one node on free loopback ports, its data in a temporary folder.

Several nodes together are in `tests/kafka_cluster.py`. The jars come from Maven by `tests/kafka/pom.xml`,
once, into `.cache/kafka/` of the work tree. Each server is ended by its process id, also when the interpreter
ends before its owner does it.
"""

import atexit
import base64
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.free_ports import free_port
from tests.java_release import why_java_is_missing
from tests.kafka_security import SaslListener

_ROOT = Path(__file__).resolve().parent.parent
_POM = _ROOT / "tests" / "kafka" / "pom.xml"
_LOG4J = _ROOT / "tests" / "kafka" / "log4j2.yaml"
_JARS = _ROOT / ".cache" / "kafka"
_START_SECONDS = 60.0


def why_kafka_is_missing() -> str | None:
    """Say what a machine lacks to run Kafka; None where nothing is missing."""
    why = why_java_is_missing()
    if why is not None:
        return why
    if shutil.which("mvn") is None and not _is_fetched():
        return "mvn is not installed, and .cache/kafka is empty (on Debian or Ubuntu: apt-get install maven)"
    return None


def fetch_jars() -> Path:
    """The folder with Kafka's jars; fetched where the pom has changed since."""
    if not _is_fetched():
        _JARS.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_JARS.parent) as made:
            folder = Path(made) / "jars"
            order = ("mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies")
            ran = subprocess.run(
                (*order, f"-DoutputDirectory={folder}"), capture_output=True, text=True, check=False
            )
            if ran.returncode:
                raise RuntimeError(f"Maven could not fetch Kafka:\n{ran.stdout}{ran.stderr}")
            (folder / "pom.sha256").write_text(_pom_digest())
            shutil.rmtree(_JARS, ignore_errors=True)
            folder.rename(_JARS)
    return _JARS


class KafkaNode:
    """One process of Kafka, broker and controller in one.

    `servers`: the address that clients take. `heap`: Java's; of 2,000 topics half a gigabyte is too little,
    and then Kafka still answers those whom it knows, and nobody else.
    """

    heap = "512m"

    def __init__(self, folder: Path, port: int, properties: Sequence[str]) -> None:
        """Keep its server.properties in `folder`; the last line of a name counts."""
        self._folder = folder
        self._classes = f"{fetch_jars()}/*"
        self._port = port
        self.servers = f"127.0.0.1:{port}"
        self._properties = folder / "server.properties"
        self._properties.write_text("\n".join((*properties, "")))
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        """Where its data and its log are."""
        return self._folder

    def format(self, cluster_id: str, *options: str) -> None:
        """Make its storage, once."""
        tool = (*_java("128m"), "-cp", self._classes, "kafka.tools.StorageTool", "format")
        order = (*tool, "-t", cluster_id, "-c", str(self._properties), *options)
        ran = subprocess.run(order, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise RuntimeError(f"Kafka's storage tool failed:\n{ran.stdout}{ran.stderr}")

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self.launch()
        self.wait_open()

    def launch(self) -> None:
        """Start it, and do not wait."""
        command = (
            *_java(self.heap),
            f"-Dlog4j2.configurationFile={_LOG4J}",
            "-cp",
            self._classes,
            "kafka.Kafka",
        )
        with (self._folder / "kafka.log").open("ab") as log:
            self._server = subprocess.Popen(
                (*command, str(self._properties)),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        atexit.register(self.kill)

    def wait_open(self) -> None:
        """Wait until it takes connections."""
        deadline = time.monotonic() + _START_SECONDS
        while not _is_open(self._port):
            if self._server is None or self._server.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(
                    f"Kafka did not start:\n{(self._folder / 'kafka.log').read_text()[-4000:]}"
                )
            time.sleep(0.05)

    def pause(self) -> None:
        """Stop its process in mid-air: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it in order, as an operator does; `start` brings it back with its data."""
        self._signal(signal.SIGTERM)
        if self._server is not None:
            self._server.wait(timeout=60)
        self.kill()

    def kill(self) -> None:
        """End it at once; idempotent."""
        if self._server is not None:
            self._signal(signal.SIGKILL)
            self._server.wait(timeout=30)
            self._server = None
            atexit.unregister(self.kill)

    def _signal(self, number: int) -> None:
        if self._server is not None and self._server.poll() is None:
            os.kill(self._server.pid, number)


class KafkaServer(KafkaNode):
    """One broker with its own controller.

    `sasl_servers`: the address of the listener with TLS and passwords.
    """

    def __init__(
        self, folder: Path, settings: Sequence[str] = (), *, sasl: SaslListener | None = None
    ) -> None:
        """Format the storage in `folder`; `settings` are more lines for server.properties."""
        port, controller, secure = (free_port() for _ in range(3))
        self.sasl_servers = f"127.0.0.1:{secure}" if sasl else ""
        more = (*(sasl.settings(port, secure, controller) if sasl else ()), *settings)
        voters = f"1@127.0.0.1:{controller}"
        super().__init__(folder, port, (*node_settings(folder, 1, (port, controller), voters), *more))
        self.format(make_cluster_id(), *(sasl.storage_options() if sasl else ()))


def make_cluster_id() -> str:
    """A random id as Kafka writes it: 22 characters, the first no dash, which tools take for an option."""
    while (made := base64.urlsafe_b64encode(os.urandom(16))[:22].decode()).startswith("-"):
        pass
    return made


def _java(heap: str) -> tuple[str, ...]:
    return ("java", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def node_settings(folder: Path, node: int, ports: tuple[int, int], voters: str) -> tuple[str, ...]:
    """Lines of server.properties. `ports`: for clients, and of its controller."""
    port, controller = ports
    return (
        "process.roles=broker,controller",
        f"node.id={node}",
        f"controller.quorum.voters={voters}",
        f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names=CONTROLLER",
        f"log.dirs={folder / 'logs'}",
        "auto.create.topics.enable=false",
        "offsets.topic.replication.factor=1",
        "offsets.topic.num.partitions=4",
        "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",
        "transaction.state.log.num.partitions=4",
        "share.coordinator.state.topic.replication.factor=1",
        "share.coordinator.state.topic.min.isr=1",
        "share.coordinator.state.topic.num.partitions=4",
        "group.initial.rebalance.delay.ms=0",
        # A killed broker is taken back once its old session has ended.
        "broker.session.timeout.ms=3000",
        "broker.heartbeat.interval.ms=500",
    )


def _pom_digest() -> str:
    return hashlib.sha256(_POM.read_bytes()).hexdigest()


def _is_fetched() -> bool:
    stamp = _JARS / "pom.sha256"
    return stamp.exists() and stamp.read_text() == _pom_digest()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
