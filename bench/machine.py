"""What the figures were measured on."""

import os
import platform
import sqlite3
import ssl
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import confluent_kafka

from bench.programs import ROOT

_PACKAGES: Final = (
    "uvicorn",
    "uvloop",
    "httptools",
    "starlette",
    "aiohttp",
    "sqlalchemy",
    "psycopg",
    "cryptography",
)


def describe(arguments: Sequence[str], *, seconds: float) -> dict[str, Any]:
    """Machine, versions and command, of a run that took so long."""
    return {
        "command": " ".join(["make bench", *([f'ARGS="{" ".join(arguments)}"'] if arguments else [])]),
        "took_seconds": round(seconds),
        "at": datetime.now(UTC).strftime("%Y-%m-%d"),  # noqa: TID251 - the day belongs to the figures
        "cpu": _cpu(),
        "cores": os.cpu_count() or 1,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "versions": {
            "Python": platform.python_version(),
            "OpenSSL": ssl.OPENSSL_VERSION.split()[1],
            "SQLite": sqlite3.sqlite_version,
            "PostgreSQL": _word(_said("psql", "--version"), 2),
            "librdkafka": confluent_kafka.libversion()[0],
            "Kafka": _kafka(),
            "wrk": _word(_said("wrk", "-v"), 1),
            **{name: version(name) for name in _PACKAGES},
        },
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _kafka() -> str:
    found = sorted((ROOT / ".cache" / "kafka").glob("kafka-clients-*.jar"))
    return found[0].stem.removeprefix("kafka-clients-") if found else ""


def _word(said: str, number: int) -> str:
    words = said.split()
    return words[number] if number < len(words) else ""


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - fixed words
    except FileNotFoundError:
        return ""
