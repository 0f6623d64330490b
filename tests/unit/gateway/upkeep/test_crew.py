"""Several processes find what one finds."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import text

from audit import fsck, log
from gateway.database import Database, take_time
from gateway.upkeep import crew
from gateway.upkeep.crew import examining_crew
from tests.unit.audit.builders import ORIGIN, append, evidence


@pytest.fixture(params=["forked", "spawned"])
def start(request: pytest.FixtureRequest) -> Iterator[str]:
    """How the others come to be: where there is a thread besides, nothing is forked."""
    stop = threading.Event()
    beside = threading.Thread(target=stop.wait)
    if request.param == "spawned":
        beside.start()
    yield request.param
    stop.set()
    if beside.ident is not None:
        beside.join()


def test_a_process_with_threads_forks_none(start: str) -> None:
    if start == "spawned":
        assert not crew._is_single()


def test_one_with_a_single_thread_forks() -> None:
    words = "from gateway.upkeep import crew; print(crew._is_single())"
    done = subprocess.run((sys.executable, "-c", words), check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(sys.platform == "linux")


@pytest.mark.usefixtures("start")
def test_a_crew_finds_what_one_finds(database_url: str) -> None:
    with closing(Database(database_url)) as database, database.begin() as session:
        log.open_log(session, ORIGIN)
        append(session, ORIGIN, [evidence(number) for number in range(50)])
        session.execute(text('UPDATE audit_entry SET code = :word WHERE "index" IN (7, 48)'), {"word": "x"})
        session.execute(text("UPDATE audit_node SET hash = :other WHERE level = 5"), {"other": b"x" * 32})
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
