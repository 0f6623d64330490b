"""`make demo-kafka`: a Kafka and a PostgreSQL for the length of the demo, and the demo on them.

Needs what the tests need: Java 17 or newer, Maven (once, for Kafka's files) and PostgreSQL's server. Says
what is missing. Arguments go to `gateway demo`. Ends what it started, whatever happens.
"""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.kafka_server import KafkaServer, why_kafka_is_missing
from tests.postgres_server import PostgresServer, why_postgres_is_missing

_MISSING = 2


def main(arguments: Sequence[str]) -> int:
    """Run the demo on servers of its own; its exit status."""
    missing = [why for why in (why_kafka_is_missing(), why_postgres_is_missing()) if why is not None]
    for why in missing:
        sys.stderr.write(f"demo-kafka: {why}\n")
    if missing:
        sys.stderr.write("demo-kafka: without them there is `make demo`, which needs neither\n")
        return _MISSING
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as held:
        folder = held.enter_context(tempfile.TemporaryDirectory(prefix="demo-kafka-"))
        sys.stdout.write("demo-kafka: starting a Kafka and a PostgreSQL on loopback\n")
        sys.stdout.flush()
        kafka = KafkaServer(Path(folder))
        held.callback(kafka.kill)
        kafka.start()
        postgres = PostgresServer()
        held.callback(postgres.remove)
        postgres.start()
        where = ("--broker", f"kafka://{kafka.servers}", "--database", postgres.url())
        return _run([sys.executable, "-m", "gateway", "demo", *where, *arguments])


def _run(command: Sequence[str]) -> int:
    child = subprocess.Popen(command)
    try:
        return child.wait()
    finally:
        # Stopped in between: the demo tidies up, then the servers end. No second signal cuts that short.
        if child.poll() is None:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            child.send_signal(signal.SIGTERM)
            child.wait()


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    sys.exit(code)
