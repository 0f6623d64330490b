"""Ingest beside its baseline: single POSTs and batches, over TLS, at 64 connections."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from bench import bare, wrk
from bench.grounds import Ground
from bench.half_load import pace
from bench.installation import Installation
from bench.measures import peak_bytes, reset_peak
from bench.meter import Meter
from bench.orders import EVENT_TYPE
from bench.outcome import Case, Half, Sample, middle
from bench.plan import Plan
from bench.profiling import profiled
from bench.programs import Program, ProgramError
from gateway.bootstrap.ground import entropy
from tests.free_ports import free_port

CONNECTIONS: Final = (64, 16)
"""For single events, and for batches: more batches at once would only wait, and meet the cap on answers."""

_WARM_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Side:
    """One of the two: where requests go, and whose processes these are."""

    name: str
    target: wrk.Target
    pids: list[int]
    ground: Ground
    installation: Installation | None = None

    def run(self, seconds: float) -> Sample:
        """Load it once, and let it catch up."""
        before = self._end()
        reset_peak(self.pids)
        meter = Meter({self.name: self.pids, **self.ground.parts()})
        loaded = wrk.run(self.target, seconds=seconds, run_name=entropy(4).hex())
        shares = meter.shares({"wrk": loaded.busy * loaded.seconds})
        ended = time.monotonic()
        if self.installation is not None:
            self.installation.drain()
        lag = time.monotonic() - ended
        events = (loaded.requests - loaded.refused) * self.target.events
        if loaded.broken or seconds > _PATIENCE_SECONDS:
            raise ProgramError(f"{self.name}: {loaded}")
        if not events:  # a machine that is busy with something else
            return self.run(seconds * 2)
        self._verify(events, self._end() - before, loaded.refused)
        return Sample(
            rate=events / loaded.seconds,
            cpu_ms=meter.used(self.name) * 1000 / events,
            peak_bytes=peak_bytes(self.pids),
            shares=shares,
            lag_seconds=lag,
            p50_ms=loaded.p50_ms,
            p99_ms=loaded.p99_ms,
            generator_busy=loaded.busy,
            refused=loaded.refused,
        )

    def warm_up(self) -> None:
        """Load it for a moment: connections, caches, compiled statements."""
        wrk.run(self.target, seconds=_WARM_SECONDS, run_name=entropy(4).hex())
        if self.installation is not None:
            self.installation.drain()

    def pace(self, rate: float, seconds: float) -> tuple[Half, Half | None]:
        """Send so many events a second, evenly: latency of answers, and of proofs of single events."""
        path = "" if self.installation is None or self.target.events > 1 else _checkpoint(self.installation)
        found = pace(self.target, rate=rate, seconds=seconds, checkpoint=path)
        if self.installation is not None:
            self.installation.drain()
        return found

    def _end(self) -> int:
        """Records on the inbound topics so far; 0 for the baseline."""
        if self.installation is None:
            return 0
        with self.installation.client() as client:
            lag = client.get("/v1/status").raise_for_status().json()["lag"]
        return sum(one["end"] for one in lag if one["topic"].endswith(".inbound"))

    def _verify(self, events: int, stored: int, refused: int) -> None:
        """What was answered with 201 is in the broker; what was cut off at the end may be too."""
        most = events + (self.target.connections + refused) * self.target.events
        if self.installation is not None and not events <= stored <= most:
            raise ProgramError(f"{events} events were accepted, but {stored} records are on the topics")


def measure_ingest(
    ground: Ground, installation: Installation, plan: Plan, *, events: int, is_whole: bool = True
) -> Case:
    """Pairs of baseline and gateway; `events`: in each request. The installation runs.

    `is_whole`: latency at half load and a profile, too.
    """
    target = wrk.Target(
        installation.url,
        f"/v1/events/{EVENT_TYPE}",
        installation.key_file,
        events,
        CONNECTIONS[events > 1],
    )
    ours = _Side("gateway", target, installation.pids(), ground, installation)
    with _bare(ground, installation) as program:
        place = replace(target, url=json.loads(program.command[1])["url"], path=bare.PATH)
        plain = _Side("baseline", place, [program.pid], ground)
        for side in (plain, ours):
            side.warm_up()
        pairs = [(plain.run(plan.seconds), ours.run(plan.seconds)) for _ in range(plan.rounds)]
        case = Case(
            "single" if events == 1 else "batch",
            ground.kind,
            len(installation.keys),
            0,
            gateway=[own for _, own in pairs],
            bare=[one for one, _ in pairs],
        )
        return _look_closer(case, ours, plain, plan) if is_whole else case


def _look_closer(case: Case, ours: _Side, plain: _Side, plan: Plan) -> Case:
    rates = [middle([one.rate for one in side])[0] for side in (case.gateway, case.bare)]
    (half, proof), (half_bare, _) = [
        side.pace(rate / 2, plan.half_seconds) for side, rate in zip((ours, plain), rates, strict=True)
    ]
    programs = {} if ours.installation is None else ours.installation.programs
    roles = {role: one.pid for role, one in programs.items() if role != "relay"}
    with profiled(case.name, case.kind, roles) as profiles:
        ours.run(plan.seconds)
    return replace(case, half_gateway=half, half_bare=half_bare, half_proof=proof, profiles=profiles)


def _checkpoint(installation: Installation) -> str:
    """The path of the checkpoint of the first partner's log."""
    with installation.client() as client:
        key = {"Authorization": f"Bearer {installation.keys[0]}"}
        found = client.get("/v1/me", headers=key).raise_for_status().json()
    return f"{urlsplit(found['logs'][-1]['url']).path}/checkpoint"


@contextmanager
def _bare(ground: Ground, installation: Installation) -> Iterator[Program]:
    """The baseline's server, until the block ends."""
    port = free_port()
    words = {
        "port": port,
        "url": f"https://127.0.0.1:{port}",
        "servers": ground.servers,
        "topic": f"bare-{entropy(4).hex()}",
        "file": str(installation.folder / f"bare-{port}.db"),
        "certificate": str(installation.certificate),
        "key": str(installation.certificate.with_name("dev-key.pem")),
    }
    program = Program(("bench.bare", json.dumps(words)), installation.folder / "bare.log")
    program.start()
    try:
        program.hear()
        yield program
    finally:
        program.stop()
