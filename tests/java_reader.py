"""The Java reader of `tests/java`: compiled by a jar, since a machine may have a runtime and no kit."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.kafka_server import fetch_jars

_SOURCE = Path(__file__).parent / "java" / "ReadTopic.java"
_COMPILER = "org.eclipse.jdt.internal.compiler.batch.Main"


def read_in_java(servers: str, topic: str, count: int, *, registry: str, key: str) -> list[Any]:
    """The first records of a topic, each as the Avro JSON of its datum."""
    jars = fetch_jars()
    with tempfile.TemporaryDirectory() as made:
        path = ":".join(map(str, sorted(jars.glob("*.jar"))))
        _run("java", "-cp", path, _COMPILER, "-17", "-nowarn", "-d", made, "-cp", path, str(_SOURCE))
        said = _run("java", "-cp", f"{made}:{path}", "ReadTopic", servers, topic, str(count), registry, key)
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def _run(*order: str) -> str:
    ran = subprocess.run(order, capture_output=True, text=True, check=False, timeout=100)
    if ran.returncode:
        raise AssertionError(
            f"{order[0]} {order[3]} ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}"
        )
    return ran.stdout
