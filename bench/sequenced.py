"""Sequencing beside its baseline: entries a second of one sequencer, and bare inserts of the same rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.grounds import Ground
from bench.installation import Installation
from bench.measures import peak_bytes, reset_peak
from bench.meter import Meter
from bench.outcome import Case, Sample
from bench.profiling import profiled
from bench.programs import Program
from gateway.bootstrap.ground import entropy


def measure_sequencing(
    ground: Ground, installation: Installation, *, entries: int, rounds: int, before: int = 0
) -> Case:
    """Pairs of sequencer and bare inserts. The installation does not run meanwhile."""
    with lone_sequencer(installation) as program:
        program.ask(do="accept", events=2_000, run=entropy(4).hex())
        program.ask(do="sequence", entries=2_000)
        pairs = []
        for _ in range(rounds):
            program.ask(do="accept", events=entries, run=entropy(4).hex())
            ours = _sample(ground, program, "sequencer", do="sequence", entries=entries)
            bare = _sample(ground, program, "baseline", do="insert")
            pairs.append((ours, bare))
        program.ask(do="accept", events=entries, run=entropy(4).hex())
        with profiled("sequencing", ground.kind, {"sequence": program.pid}) as profiles:
            program.ask(do="sequence", entries=entries)
    return Case(
        "sequencing",
        ground.kind,
        len(installation.keys),
        before,
        gateway=[ours for ours, _ in pairs],
        bare=[bare for _, bare in pairs],
        profiles=() if before or len(installation.keys) > 1 else profiles,
    )


def fill_history(installation: Installation, events: int) -> float:
    """Put so many events into the database of an installation that does not run; the seconds it took."""
    with lone_sequencer(installation) as program:
        program.ask(do="accept", events=1, run=entropy(4).hex())
        program.ask(do="sequence", entries=1)
        return float(program.ask(do="fill", events=events)["seconds"])


@contextmanager
def lone_sequencer(installation: Installation) -> Iterator[Program]:
    """The process of `bench.sequencing` on an installation, until the block ends."""
    program = Program(("bench.sequencing", str(installation.config)), installation.folder / "sequencing.log")
    program.start()
    try:
        yield program
    finally:
        program.stop()


def _sample(ground: Ground, program: Program, name: str, **asked: Any) -> Sample:
    reset_peak([program.pid])
    meter = Meter({name: [program.pid], **ground.parts()})
    found = program.ask(**asked)
    return Sample(
        rate=found["entries"] / found["seconds"],
        cpu_ms=found["cpu"] * 1000 / found["entries"],
        peak_bytes=peak_bytes([program.pid]),
        shares=meter.shares(),
    )
