"""Run the benchmarks: figures go to bench/results.json, and from there to bench/RESULTS.md."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, get_args

from bench import wrk
from bench.grounds import ground_of
from bench.installation import Kind
from bench.machine import describe
from bench.others import OTHERS
from bench.outcome import Case, Results, dump, load
from bench.plan import FULL, QUICK, Plan
from bench.report import line_of, render
from bench.steps import CASES, STEPS
from tests.kafka_server import why_kafka_is_missing
from tests.postgres_server import why_postgres_is_missing

FOLDER: Final = Path(__file__).parent
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_SO_FAR: Final = FOLDER.parent / ".cache" / "bench"
"""What a run has found before it ends."""


def main(arguments: Sequence[str]) -> int:
    """Run what the command line asks for."""
    options = _parser().parse_args(arguments)
    if options.render:
        (FOLDER / "RESULTS.md").write_text(_rendered(load((FOLDER / "results.json").read_text())))
        return 0
    reasons = [wrk.why_wrk_is_missing()]
    if "kafka" in options.on:
        reasons += [why_kafka_is_missing(), why_postgres_is_missing()]
    for reason in filter(None, reasons):
        sys.stderr.write(f"bench: {reason}\n")
    if any(reasons):
        return 2
    began = time.monotonic()
    found: list[Case] = []
    for case in _run(QUICK if options.quick else FULL, options.on, options.only):
        found.append(case)
        results = Results(describe(arguments, seconds=time.monotonic() - began), found)
        _SO_FAR.mkdir(parents=True, exist_ok=True)
        (_SO_FAR / "results.json").write_text(dump(results))
    folder = FOLDER if _is_whole(options) else Path(tempfile.mkdtemp(prefix="gateway-bench-results-"))
    (folder / "results.json").write_text(dump(results))
    if _is_whole(options):
        for other in OTHERS:
            other.run([])
    (folder / "RESULTS.md").write_text(_rendered(results))
    sys.stdout.write(f"{folder / 'RESULTS.md'}\n")
    return 0


def _rendered(results: Results) -> str:
    return render(results, {other.name: other.text() for other in OTHERS})


def _run(plan: Plan, kinds: Sequence[Kind], wanted: Sequence[str]) -> Iterator[Case]:
    for kind in kinds:
        # On the disk: what a commit costs belongs to the figures.
        with (
            tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as folder,
            ground_of(kind, Path(folder)) as ground,
        ):
            for step in STEPS:
                for case in step(ground, plan, wanted):
                    sys.stdout.write(line_of(case) + "\n")
                    sys.stdout.flush()
                    yield case


def _is_whole(options: argparse.Namespace) -> bool:
    """Only a whole run replaces the figures in the repository."""
    return not options.quick and set(options.only) == set(CASES) and set(options.on) == set(KINDS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=...",
        description=f"{__doc__} A run of parts leaves these alone, and says where its own are.",
    )
    parser.add_argument("--quick", action="store_true", help="a little of everything, in some minutes")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="these cases alone")
    parser.add_argument("--on", nargs="+", choices=KINDS, default=list(KINDS), help="on this ground alone")
    parser.add_argument("--render", action="store_true", help="write RESULTS.md again from results.json")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
