"""Fuzzes one target in this process: `python -m tests.fuzz.child NAME SECONDS SEED FOLDER`."""

import sys
from pathlib import Path

from tests.fuzz.engine import run
from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz, and say how many inputs were tried."""
    name, seconds, start, folder = sys.argv[1:]
    (target,) = (one for one in TARGETS if one.name == name)
    count = run(target, seconds=float(seconds), start=int(start), crashes=Path(folder))
    sys.stdout.write(f"{count} inputs\n")


if __name__ == "__main__":
    main()
