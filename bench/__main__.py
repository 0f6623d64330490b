"""`make bench`: run the benchmarks, write the figures to a JSON file and bench/RESULTS.md from it."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, get_args

from bench import wrk
from bench.grounds import Ground, ground_of
from bench.ingest import measure_ingest
from bench.installation import Kind
from bench.outcome import Case
from bench.plan import FULL, QUICK, Plan

CASES: Final = ("single", "batch", "deliveries", "sequencing", "growth")
"""In the order in which they run."""


def ingest(ground: Ground, plan: Plan, wanted: Sequence[str]) -> Iterator[Case]:
    """Single POSTs and batches, of one partner."""
    names = [name for name in ("single", "batch") if name in wanted]
    if not names:
        return
    installation = ground.install()
    installation.start()
    installation.admit(1)
    for name in names:
        yield measure_ingest(
            ground,
            installation,
            events=1 if name == "single" else 100,
            rounds=plan.rounds,
            seconds=plan.seconds,
            with_half=True,
        )
    installation.stop()


STEPS: Final[Sequence[Callable[[Ground, Plan, Sequence[str]], Iterator[Case]]]] = (ingest,)


def main(arguments: Sequence[str]) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a little of everything, in three minutes")
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES, help="these cases alone")
    parser.add_argument("--on", nargs="+", choices=get_args(Kind), default=get_args(Kind))
    options = parser.parse_args(arguments)
    missing = wrk.why_wrk_is_missing()
    if missing is not None:
        sys.stderr.write(f"bench: {missing}\n")
        return 2
    plan = QUICK if options.quick else FULL
    cases = []
    for kind in options.on:
        with (
            tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder,
            ground_of(kind, Path(folder)) as ground,
        ):
            for step in STEPS:
                for case in step(ground, plan, options.only):
                    cases.append(case)
                    _tell(case)
    return 0


def _tell(case: Case) -> None:
    sys.stderr.write(f"{time.monotonic():.0f} {case}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
