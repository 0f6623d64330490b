"""Each system call of an append fails once, or kills the process: afterwards the log is whole.

strace counts the calls that a run makes on the files of an installation. Then, for each call by its number,
the run is made anew on a copy with that call failing (EIO, ENOSPC), or with SIGKILL in its place; and once
more, without a fault. `python -m tests.faults.syscalls` does all of it (`make faults`).
"""

import argparse
import json
import os
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from audit import log as audit_log
from audit.store import load_nodes
from audit.tree import root_at
from gateway.broker.embedded_inspection import look_records
from gateway.database import Database
from gateway.keys import PublicKey
from gateway.sequencer.authors import Authors
from gateway.sequencer.published import gather
from gateway.upkeep.inspection import Scope, inspect
from tests.faults import appending
from tests.strace_program import why_strace_is_missing
from tests.unit.audit.builders import LOG_SIGNER

FATES: Final = ("error=EIO", "error=ENOSPC", "signal=SIGKILL")
KILLED: Final = -9

_FILES: Final = ("gateway.db", "broker.db")
_ENDS: Final = ("", "-wal", "-shm", "-journal")
_CALL: Final = re.compile(r"^([a-z0-9_]+)\(", re.MULTILINE)
_WAIT_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 5.0
"""With a fault; a run that is ended then counts as killed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The `number`th call of this name, counted from 1, and what becomes of it."""

    call: str
    number: int
    fate: str

    def words(self) -> str:
        return f"inject={self.call}:{self.fate}:when={self.number}"


@dataclass
class Outcome:
    """What came of the runs. `faults`: in words, none where all is well."""

    runs: int = 0
    killed: int = 0
    given_up: int = 0
    faults: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)


class Forge:
    """The process that forks the runs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-m", "tests.faults.appending"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def close(self) -> None:
        """End it."""
        _pipe(self._process.stdin).close()
        self._process.wait(_WAIT_SECONDS)
        _pipe(self._process.stdout).close()

    def run(self, folder: Path, *tracing: str, patience: float = _WAIT_SECONDS) -> int:
        """One run over a folder, under strace if that is given words; how it ended.

        `patience`: seconds, after which it is killed.
        """
        go = folder / "go"
        os.mkfifo(go)
        _pipe(self._process.stdin).write(f"{folder}\n")
        _pipe(self._process.stdin).flush()
        pid = int(_pipe(self._process.stdout).readline())
        tracer = _trace(pid, folder, tracing) if tracing else None
        go.write_bytes(b"go")
        # Where a lock could not be let go, SQLite waits ten seconds for it, each time: somebody ends that.
        if not select.select([_pipe(self._process.stdout)], [], [], patience)[0]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        code = int(_pipe(self._process.stdout).readline())
        go.unlink()
        if tracer is not None:
            tracer.communicate(timeout=_WAIT_SECONDS)
        return code


def _trace(pid: int, folder: Path, words: Sequence[str]) -> subprocess.Popen[str]:
    paths = [word for name in _FILES for end in _ENDS for word in ("-P", str(folder / (name + end)))]
    tracer = subprocess.Popen(
        ("strace", "-p", str(pid), *paths, "-P", str(folder), "-o", str(folder / "trace"), *words),
        stderr=subprocess.PIPE,
        text=True,
    )
    told = _pipe(tracer.stderr).readline()
    assert "attached" in told, told
    return tracer


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def count_calls(forge: Forge, template: Path, work: Path) -> Counter[str]:
    """How often a run without a fault makes each call on the installation's files."""
    folder = _copy(template, work)
    assert forge.run(folder, "-e", "trace=all") == 0
    assert verify(folder, is_over=True) == []
    return Counter(_CALL.findall((folder / "trace").read_text()))


def every_fault(calls: Counter[str]) -> list[Fault]:
    """Each call in each way."""
    return [
        Fault(call, number, fate)
        for fate in FATES
        for call, count in sorted(calls.items())
        for number in range(1, count + 1)
    ]


def try_fault(forge: Forge, template: Path, work: Path, fault: Fault, outcome: Outcome) -> None:
    """One run with the fault, and one after it; what is wrong then goes into the outcome."""
    folder = _copy(template, work)
    tracing = ("-e", f"trace={fault.call}", "-e", fault.words())
    code = forge.run(folder, *tracing, patience=_PATIENCE_SECONDS)
    outcome.runs += 1
    outcome.calls[fault.call] += 1
    outcome.killed += code == KILLED
    outcome.given_up += code == appending.GIVEN_UP
    found = []
    if code not in {0, KILLED, appending.GIVEN_UP}:
        trouble = folder / "trouble"
        found.append(f"ended with {code}: {trouble.read_text() if trouble.exists() else ''}")
    found += verify(folder, is_over=code == 0)
    again = forge.run(folder)
    if again:
        found.append(f"the run after it ended with {again}")
    found += verify(folder, is_over=True)
    outcome.faults += [f"{fault.words()}: {one}" for one in found]


def verify(folder: Path, *, is_over: bool) -> list[str]:
    """What is wrong with an installation after a run. `is_over`: it must have done everything."""
    found = []
    for name in _FILES:
        with closing(sqlite3.connect(folder / name)) as sql:
            found += [f"{name}: {row[0]}" for row in sql.execute("PRAGMA integrity_check") if row[0] != "ok"]
    database = Database(f"sqlite:///{folder / 'gateway.db'}")
    try:
        with database.looking() as session:
            key = PublicKey(LOG_SIGNER.key_id, "checkpoint", LOG_SIGNER.public_key, 0)
            authors = Authors(lambda _: [key])
            shown = gather(lambda: look_records(folder / "broker.db", appending.SHOWN), authors)
            scope = Scope(lambda _: [LOG_SIGNER.public_key], shown)
            found += [f"{one.what} {one.first} {one.detail}" for one in inspect(session, scope)]
            found += list(_compare(session, _journal(folder)))
            if is_over:
                found += list(_left(session))
    finally:
        database.close()
    return found


def _journal(folder: Path) -> list[dict[str, Any]]:
    file = folder / "journal"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _compare(session: Any, journal: Sequence[dict[str, Any]]) -> Iterator[str]:
    """No index was given twice, and no head was signed that is not committed."""
    states = {one.head.origin: one for one in audit_log.heads(session)}
    head = states[appending.ORIGIN].head if appending.ORIGIN in states else None
    size = 0 if head is None else head.size
    given: dict[int, str] = {}
    for line in journal:
        if line["what"] == "committed":
            for index, leaf in enumerate(line["leaves"], line["first"]):
                if given.setdefault(index, leaf) != leaf:
                    yield f"index {index} was given twice"
                if index >= size or audit_log.entry(session, appending.ORIGIN, index).leaf.hex() != leaf:
                    yield f"entry {index}, which was told to be committed, is not there"
        elif line["size"] > size:
            yield f"a head of {line['size']} was signed, and {size} are committed"
        else:
            root = root_at(line["size"], lambda keys: load_nodes(session, appending.ORIGIN, keys))
            if root.hex() != line["root"]:
                yield f"another head of {line['size']} was signed than is committed"


def _left(session: Any) -> Iterator[str]:
    state = audit_log.state(session, appending.ORIGIN)
    wanted = appending.ROUNDS * (appending.EVENTS + 2)
    if (state.head.size, state.checkpoint_size) != (wanted, wanted):
        yield f"{state.head.size} entries, {state.checkpoint_size} published, {wanted} wanted"
    if audit_log.pending_logs(session):
        yield "evidence still waits"


def _copy(template: Path, work: Path) -> Path:
    """The installation anew, in the same place: what a run was told of it is gone."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(template, work)
    return work


@contextmanager
def forging() -> Iterator[tuple[Forge, Path, Path]]:
    """A forge, an installation to copy, and where copies are worked on: in memory, if there is room."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of one's own is made in it
    place = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    forge = Forge()
    try:
        with tempfile.TemporaryDirectory(prefix="gateway-faults-", dir=place) as folder:
            template = Path(folder) / "template"
            template.mkdir()
            appending.lay_out(template)
            yield forge, template, Path(folder) / "work"
    finally:
        forge.close()


def main(arguments: Sequence[str]) -> int:
    """Every fault, or every n-th; 1 where something is wrong afterwards."""
    parser = argparse.ArgumentParser(prog="make faults ARGS=...", description=__doc__)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th fault")
    parser.add_argument("--fate", choices=FATES, help="only these faults, as error=EIO")
    options = parser.parse_args(arguments)
    reason = why_strace_is_missing()
    if reason is not None:
        sys.stderr.write(f"faults: {reason}\n")
        return 2
    began, outcome = time.monotonic(), Outcome()
    with forging() as (forge, template, work):
        calls = count_calls(forge, template, work)
        faults = [one for one in every_fault(calls) if options.fate in {None, one.fate}]
        sys.stdout.write(f"{sum(calls.values())} calls on the files of an append: {dict(calls)}\n")
        for number, fault in enumerate(islice(faults, 0, None, options.every), 1):
            try_fault(forge, template, work, fault, outcome)
            if number % 100 == 0:
                sys.stdout.write(f"{number} faults, {len(outcome.faults)} wrong\n")
                sys.stdout.flush()
    for words in outcome.faults:
        sys.stdout.write(f"{words}\n")
    sys.stdout.write(
        f"{outcome.runs} faults ({outcome.killed} kills, {outcome.given_up} runs that gave up), "
        f"{len(outcome.faults)} wrong, {time.monotonic() - began:.0f} s\n"
    )
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
