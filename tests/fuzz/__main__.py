"""`make fuzz`: every reader of bytes from outside, so long, each in a process of its own.

ARGS="--seconds 60 --only json,avro --seed 7". With atheris installed (`pip install atheris`) coverage leads
the search. Ends with 1 where a reader crashed, hung or raised what it does not document; the input lies in
`.cache/fuzz/<name>/`.
"""

import argparse
import secrets
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.fuzz.engine import has_atheris
from tests.fuzz.targets import TARGETS

FOLDER: Final = Path(".cache/fuzz")
_GRACE_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Ended:
    """How the fuzzing of a target ended."""

    name: str
    code: int
    said: str


def fuzz(name: str, *, seconds: float, start: int, folder: Path) -> Ended:
    """Fuzz one target in a process of its own."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    order = (sys.executable, "-m", "tests.fuzz.child", name, str(seconds), str(start), str(place))
    bound = seconds + _GRACE_SECONDS
    try:
        done = subprocess.run(
            order, capture_output=True, encoding="utf-8", errors="replace", timeout=bound, check=False
        )
    except subprocess.TimeoutExpired:
        return Ended(name, 1, f"did not end; its last input is {place / name}.latest")
    lines = (done.stdout + done.stderr).strip().splitlines()
    if done.returncode:
        return Ended(name, done.returncode, "\n".join(lines[-30:]))
    units = [one for one in lines if one.endswith(" inputs") or "executed_units" in one]
    return Ended(name, 0, units[-1] if units else "no word of how many inputs")


def main() -> int:
    """Fuzz all, or those that are named."""
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=...")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each reader (600)")
    parser.add_argument("--only", default="", help="names, with commas between")
    parser.add_argument("--seed", type=int, default=0, help="0: another each time")
    parser.add_argument("--workers", type=int, default=2, help="readers at a time (2)")
    asked = parser.parse_args()
    known = [one.name for one in TARGETS]
    names = asked.only.split(",") if asked.only else known
    if unknown := set(names) - set(known):
        parser.error(f"no reader is called {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    start = asked.seed or secrets.randbelow(2**31 - 1) + 1
    way = "atheris" if has_atheris() else "Hypothesis and chance (atheris is not installed)"
    _say(f"{len(names)} readers, {asked.seconds:.0f} s each, by {way}, seed {start}")
    begun, failed = time.monotonic(), 0
    with ThreadPoolExecutor(asked.workers) as threads:
        work = partial(fuzz, seconds=asked.seconds, start=start, folder=FOLDER)
        for ended in threads.map(work, names):
            failed += ended.code != 0
            _say(f"{'ok  ' if ended.code == 0 else 'FAIL'} {ended.name}: {ended.said}")
    minutes = (time.monotonic() - begun) / 60
    _say(f"{len(names) - failed} of {len(names)} readers without a fault, {minutes:.1f} minutes")
    return 1 if failed else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
