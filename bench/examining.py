"""One examination of a log, in a program of its own: `python -m bench.examining URL LOG/EPOCH PROCESSES`.

Apart, as `gateway log fsck` is: each further process begins with what its parent has loaded, which is much in
a benchmark that has made the log.
"""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

from audit import fsck, log
from gateway.database import Database, take_time
from gateway.upkeep.crew import examining_crew


def main(arguments: Sequence[str]) -> int:
    """Examine it, and write figures; 1 where there is a fault."""
    url, origin, jobs = arguments
    with closing(Database(url)) as database, database.looking() as session:
        size = log.state(session, origin).head.size
    began, used = time.perf_counter(), _cpu_seconds()
    with (
        examining_crew(url, size, most=int(jobs)) as ranges,
        closing(Database(url)) as database,
        database.looking() as session,
    ):
        take_time(session)
        state = log.state(session, origin)
        faults = [*fsck.examine_log(session, state, ranges=ranges), *fsck.examine_events(session, [state])]
    seconds, cpu = time.perf_counter() - began, _cpu_seconds() - used
    peak = max(_peak_kib(), getrusage(RUSAGE_CHILDREN).ru_maxrss) * 1_024
    found = {"entries_a_second": size / seconds, "cpu_us": cpu / size * 1e6, "peak_bytes": peak}
    sys.stdout.write(json.dumps(found) + "\n")
    return 1 if faults else 0


def _cpu_seconds() -> float:
    used = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak_kib() -> int:
    """Of this process: what getrusage tells may be that of whoever started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
