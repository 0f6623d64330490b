"""Deliveries beside their baseline: from the outbound topic to a receiver on loopback."""

import json
import subprocess
import sys
import time
from typing import Any, Final

from bench.grounds import Ground
from bench.installation import CONCURRENCY, Installation
from bench.measures import peak_bytes, reset_peak
from bench.meter import Meter
from bench.outcome import Case, Profile, Sample
from bench.profiling import profiled
from bench.programs import ROOT, ProgramError, wait_until
from bench.receiver import Receiver
from bench.sequenced import lone_sequencer
from gateway.bootstrap.ground import entropy

_SECONDS: Final = 300.0
_RELAYS: Final = {"embedded": "up", "kafka": "relay"}


def measure_deliveries(
    ground: Ground, installation: Installation, receiver: Receiver, *, events: int, rounds: int
) -> Case:
    """Pairs of relay and bare loop. The relay of the installation is stopped, and stopped again.

    Each round publishes while nothing delivers; then the relay starts, and the receiver's clock counts from
    the first POST to the last.
    """
    pairs = []
    for _ in range(rounds):
        ours, size, _ = _relayed(ground, installation, receiver, events)
        pairs.append((ours, _posted(ground, receiver, events, size)))
    _, _, profiles = _relayed(ground, installation, receiver, events, with_profile=True)
    return Case(
        "deliveries",
        ground.kind,
        len(installation.keys),
        0,
        gateway=[ours for ours, _ in pairs],
        bare=[bare for _, bare in pairs],
        notes={"receiver": receiver.language, "concurrency": str(CONCURRENCY)},
        profiles=profiles,
    )


def _relayed(
    ground: Ground, installation: Installation, receiver: Receiver, events: int, *, with_profile: bool = False
) -> tuple[Sample, int, list[Profile]]:
    """One run of the relay; the bytes of a body; and where the time went, if asked."""
    relay = _RELAYS[ground.kind]
    with lone_sequencer(installation) as program:
        program.ask(do="publish", events=events, run=entropy(4).hex())
    receiver.seen(reset=True)
    installation.start(relay)
    wait_until(lambda: receiver.seen()["posts"] > 0, _SECONDS, "nothing was delivered")
    pids, before = installation.pids(), receiver.seen()["posts"]
    reset_peak(pids)
    meter = Meter({"gateway": pids, "receiver": [receiver.pid], **ground.parts()})
    watched = {relay: installation.programs[relay].pid} if with_profile else {}
    with profiled("deliveries", ground.kind, watched) as profiles:
        wait_until(lambda: receiver.seen()["posts"] >= events, _SECONDS, "not everything was delivered")
    shares, ended = meter.shares(), time.monotonic()
    seen = receiver.seen()
    installation.drain()
    sample = Sample(
        rate=_rate(seen),
        cpu_ms=meter.used("gateway") * 1000 / max(1, events - before),
        peak_bytes=peak_bytes(pids),
        shares=shares,
        lag_seconds=time.monotonic() - ended,
    )
    installation.stop(relay)
    return sample, seen["bytes"] // seen["posts"], profiles


def _posted(ground: Ground, receiver: Receiver, events: int, size: int) -> Sample:
    receiver.seen(reset=True)
    words = {"url": receiver.url, "posts": events, "bytes": size, "concurrency": CONCURRENCY}
    meter = Meter({"receiver": [receiver.pid], **ground.parts()})
    ran = subprocess.run(  # noqa: S603 - this interpreter, and a module of this repository
        [sys.executable, "-m", "bench.poster", json.dumps(words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(ran.stdout)
    shares = meter.shares({"baseline": found["cpu"]})
    return Sample(
        rate=_rate(receiver.seen()),
        cpu_ms=found["cpu"] * 1000 / events,
        peak_bytes=found["peak"],
        shares=shares,
    )


def _rate(seen: dict[str, Any]) -> float:
    if seen["posts"] < 2:  # noqa: PLR2004 - a rate needs two points in time
        raise ProgramError("too few deliveries for a rate")
    return float((seen["posts"] - 1) / seen["seconds"])
