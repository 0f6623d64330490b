"""Several processes find what one finds."""

import errno
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from multiprocessing import active_children

import pytest
from sqlalchemy import text

from audit import fsck, log
from gateway.database import Database, take_time
from gateway.upkeep import crew
from gateway.upkeep.crew import examining_crew
from tests.unit.audit.builders import ORIGIN, append, evidence

PROGRAM = """
import sys
from contextlib import closing
from multiprocessing import get_context
from audit import fsck, log
from gateway.database import Database
from gateway.upkeep import crew
url, origin = sys.argv[1:]
asked = []
crew.get_context = lambda how: asked.append(how) or get_context(how)
with crew.examining_crew(url, 50, most=3, worth=1, level=2) as ranges, closing(Database(url)) as database:
    with database.looking() as session:
        for one in fsck.examine_log(session, log.state(session, origin), ranges=ranges, level=2):
            print(one.what, one.first)
print(asked[0])
"""


def damaged(database_url: str) -> None:
    """A log of fifty entries in which three things are wrong."""
    with closing(Database(database_url)) as database, database.begin() as session:
        log.open_log(session, ORIGIN)
        append(session, ORIGIN, [evidence(number) for number in range(50)])
        session.execute(text('UPDATE audit_entry SET code = :word WHERE "index" IN (7, 48)'), {"word": "x"})
        session.execute(text("UPDATE audit_node SET hash = :other WHERE level = 5"), {"other": b"x" * 32})


def test_a_process_with_threads_forks_none() -> None:
    stop = threading.Event()
    beside = threading.Thread(target=stop.wait)
    beside.start()
    assert not crew._is_single()
    stop.set()
    beside.join()


def test_a_crew_that_is_forked_finds_the_same(database_url: str) -> None:
    damaged(database_url)
    command = (sys.executable, "-c", PROGRAM, database_url, ORIGIN)
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    found = ["column_wrong 7", "column_wrong 48", "node_wrong 0", "head_wrong None"]
    assert done.stdout.splitlines() == [*found, "fork" if sys.platform == "linux" else "spawn"]


def test_where_there_are_no_more_processes_it_goes_alone(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork, forked = os.fork, list[int]()

    def once() -> int:
        if forked:
            raise OSError(errno.EAGAIN, "no more processes")
        forked.append(1)
        return fork()

    monkeypatch.setattr(crew, "_is_single", lambda: True)
    monkeypatch.setattr(os, "fork", once)
    with examining_crew(database_url, 50, most=4, worth=1) as ranges:
        assert ranges is None
    assert forked
    left = active_children()
    for one in left:
        one.join(60)
    assert [one.exitcode for one in left] == [-signal.SIGKILL] * len(left)


def test_one_with_a_single_thread_forks() -> None:
    words = "from gateway.upkeep import crew; print(crew._is_single())"
    done = subprocess.run((sys.executable, "-c", words), check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(sys.platform == "linux")


def test_a_crew_finds_what_one_finds(database_url: str) -> None:
    damaged(database_url)
    told: list[int] = []
    # Ranges of four: what this process cannot take back, the other one has begun.
    with (
        examining_crew(database_url, 50, most=2, worth=1, level=2) as ranges,
        closing(Database(database_url)) as database,
        database.looking() as session,
    ):
        assert ranges is not None
        take_time(session)
        state = log.state(session, ORIGIN)
        found = list(fsck.examine_log(session, state, told.append, ranges=ranges, level=2))
        assert found == list(fsck.examine_log(session, state, level=2))
    assert [(one.what, one.first) for one in found] == [
        ("column_wrong", 7),
        ("column_wrong", 48),
        ("node_wrong", 0),
        ("head_wrong", None),
    ]
    assert told == [4] * 12 + [2]


def test_a_little_is_examined_by_nobody_else(database_url: str) -> None:
    for total, most in ((10, 8), (1_000_000, 1)):
        with examining_crew(database_url, total, most=most) as ranges:
            assert ranges is None
