"""The front door on Kafka and PostgreSQL: ways to prove who calls, load beyond what can be done, quotas.

Everything in turns within one run; figures go to bench/results-doors.json. `python -m bench.doors`, or the
whole of `make bench`.
"""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bench import wrk
from bench.grounds import ground_of
from bench.half_load import run_module
from bench.installation import Installation
from bench.measures import peak_bytes, reset_peak
from bench.meter import Meter
from bench.orders import EVENT_TYPE, SCHEMA_FILE, contract
from bench.outcome import middle
from gateway.bootstrap.ground import entropy
from tests.certificates import certified

RESULTS: Final = Path(__file__).with_name("results-doors.json")
CONNECTIONS: Final = 64
ROUNDS: Final = 5
SECONDS: Final = 5.0
QUOTA: Final = 5
TIMES_OVER: Final = 100
CROWD: Final = 4
"""Times what the gateway can do, and times the connections."""

_SLUG: Final = "p0000"
_ACCEPT: Final = "authentication: {accept: [api_key, mtls, message_signature]}\n"


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the figures down; `arguments`: how many rounds, if not as many as usual."""
    rounds = int(arguments[0]) if arguments else ROUNDS
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as folder,
        ground_of("kafka", Path(folder)) as ground,
    ):
        installation = ground.install()
        installation.start()
        installation.admit(2)
        sender = _Sender(installation)
        found = _measured(sender, rounds)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


def _measured(sender: "_Sender", rounds: int) -> dict[str, Any]:
    loads = [sender.full_load() for _ in range(rounds)]
    rate = middle([one.requests / one.seconds for one in loads])[0]
    ways: dict[str, list[dict[str, float]]] = {"key": [], "mtls": [], "signature": []}
    for _ in range(rounds):
        for way, seen in ways.items():
            seen.append(sender.by(way, rate / 2))
    alone, beside = [], []
    for _ in range(rounds):
        alone.append(sender.by("key", rate / 4))
        beside.append(sender.beside_a_flood(rate / 4))
    crowds = [sender.crowd(rate * CROWD) for _ in range(rounds)]
    return {
        "rate": rate,
        "rounds": rounds,
        "ways": {way: _middles(seen) for way, seen in ways.items()},
        "alone": _middles(alone),
        "beside": _middles(beside),
        "beside_to_alone_p50": middle(
            [b["p50_ms"] / a["p50_ms"] for a, b in zip(alone, beside, strict=True)]
        )[0],
        "crowd": _middles(crowds),
    }


def _middles(seen: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: middle([one[name] for one in seen])[0] for name in seen[0]}


class _Sender:
    """Loads one installation, each time in one way; a partner has one credential of each kind."""

    def __init__(self, installation: Installation) -> None:
        self._of = installation
        files = {"order.avsc": SCHEMA_FILE.read_text()}
        key = Ed25519PrivateKey.generate()
        self._signing = installation.folder / "signing.pem"
        self._signing.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        leaf = certified()
        self._certificate = (installation.folder / "client.pem", installation.folder / "client-key.pem")
        self._certificate[0].write_text(leaf.pem)
        self._certificate[1].write_bytes(
            leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        with installation.client() as client:
            limited = contract("p0001") + f"limits: {{events_per_second: {QUOTA}}}\n"
            for slug, text in ((_SLUG, contract(_SLUG) + _ACCEPT), ("p0001", limited)):
                body = {"contract": text, "files": files}
                client.put(f"/v1/partners/{slug}/contract", json=body).raise_for_status()
            place = f"/v1/partners/{_SLUG}/credentials"
            signs = client.post(place, json={"kind": "public_key", "role": "partner", "public_key": public})
            self._keyid = signs.raise_for_status().json()["id"]
            pinned = {"kind": "certificate", "role": "partner", "certificate": leaf.pem}
            client.post(place, json=pinned).raise_for_status()
        self._keys = [installation.folder / name for name in ("key-0", "key-1")]
        for file, secret in zip(self._keys, installation.keys, strict=True):
            file.write_text(f"Bearer {secret}\n")

    def full_load(self) -> wrk.Loaded:
        """As fast as it answers."""
        loaded = wrk.run(self._target(), seconds=SECONDS, run_name=entropy(4).hex())
        self._of.drain()
        return loaded

    def by(self, way: str, rate: float) -> dict[str, float]:
        """So many a second, each proved in one way."""
        more = {
            "key": {},
            "mtls": {"certificate": [str(file) for file in self._certificate]},
            "signature": {"signing": [str(self._signing), self._keyid]},
        }[way]
        return self._paced(rate, **more)

    def beside_a_flood(self, rate: float) -> dict[str, float]:
        """So many a second, while another partner sends many times what was agreed with it."""
        words = self._words(1, QUOTA * TIMES_OVER, seconds=SECONDS + 1)
        with ThreadPoolExecutor(1) as threads:
            flood = threads.submit(run_module, "bench.paced", words)
            found = self._paced(rate)
            seen = flood.result()
        return found | {"flood_refused": seen["refused"] / max(1, seen["answered"])}

    def crowd(self, rate: float) -> dict[str, float]:
        """More than can be done."""
        reset_peak(self._of.pids())
        seen = run_module("bench.paced", self._words(0, rate, connections=CONNECTIONS * CROWD))
        peak = peak_bytes(self._of.pids())
        self._of.drain()
        return {
            "offered": rate,
            "taken": seen["taken"]["count"] / SECONDS,
            "p50_ms": seen["taken"]["p50_ms"],
            "p99_ms": seen["taken"]["p99_ms"],
            "refused": seen["refused"] / max(1, seen["answered"]),
            "peak_mib": peak / 2**20,
            "busy": seen["busy"],
        }

    def _paced(self, rate: float, **more: object) -> dict[str, float]:
        meter = Meter({"gateway": self._of.pids()})
        seen = run_module("bench.paced", self._words(0, rate) | more)
        self._of.drain()
        return {
            "p50_ms": seen["taken"]["p50_ms"],
            "p99_ms": seen["taken"]["p99_ms"],
            "cpu_ms": meter.used("gateway") * 1000 / max(1, seen["taken"]["count"]),
            "refused": seen["refused"],
        }

    def _target(self, partner: int = 0, connections: int = CONNECTIONS) -> wrk.Target:
        return wrk.Target(self._of.url, f"/v1/events/{EVENT_TYPE}", self._keys[partner], 1, connections)

    def _words(
        self, partner: int, rate: float, *, seconds: float = SECONDS, connections: int = CONNECTIONS
    ) -> dict[str, Any]:
        target = self._target(partner, connections)
        words = {**asdict(target), "key_file": str(target.key_file), "checkpoint": ""}
        return words | {"seconds": seconds, "rate": rate}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
