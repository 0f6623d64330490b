"""The gateway as a program whose steps can kill it: `python -m tests.faults.program SPEC`, SPEC in JSON.

`kill`: a step's name and the occurrence at which this process sends itself SIGKILL. `pages`: a file that,
while it exists, says how many pages each SQLite database may have: a full disk without a disk.
"""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

from gateway.bootstrap.program import Options, run
from gateway.errors import SetupError
from gateway.settings_sources import load

UNLIMITED = 4_294_967_294


def killer(step: str, at: int) -> Callable[[str], None]:
    """Dies at the `at`-th time that `step` is done: no clean-up, no buffers flushed, as in a power cut."""
    seen: Counter[str] = Counter()

    def count(name: str) -> None:
        seen[name] += 1
        if name == step and seen[name] == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


def squeeze(pages: Path) -> None:
    """Let every transaction of ours see the limit that the file names now."""

    def limit(connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            most = int(pages.read_text()) if pages.exists() else UNLIMITED
            connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")

    event.listen(Engine, "begin", limit)


def main(spec: dict[str, Any]) -> int:
    """Run until stopped; a start that cannot be is one line on stderr and exit code 1."""
    step = killer(*spec["kill"]) if spec.get("kill") else lambda _: None
    if spec.get("pages"):
        squeeze(Path(spec["pages"]))
    try:
        settings = load(flags=spec["flags"], environ={}, file=None).settings
        run(settings, Options(step=step))
    except SetupError as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
