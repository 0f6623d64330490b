"""Several processes find what one finds."""

from sqlalchemy import text

from audit import fsck, log
from gateway.database import Database, take_time
from gateway.upkeep.crew import examining_crew
from tests.unit.audit.builders import ORIGIN, append, evidence


def test_a_crew_finds_what_one_finds(database_url: str) -> None:
    database = Database(database_url)
    with database.begin() as session:
        log.open_log(session, ORIGIN)
        append(session, ORIGIN, [evidence(number) for number in range(50)])
        session.execute(text('UPDATE audit_entry SET code = :word WHERE "index" IN (7, 48)'), {"word": "x"})
        session.execute(text("UPDATE audit_node SET hash = :other WHERE level = 5"), {"other": b"x" * 32})
    told: list[int] = []
    # Ranges of four: what this process cannot take back, the other one has begun.
    with examining_crew(database_url, 50, most=2, worth=1, level=2) as ranges, database.looking() as session:
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
    database.close()


def test_a_little_is_examined_by_nobody_else(database_url: str) -> None:
    for total, most in ((10, 8), (1_000_000, 1)):
        with examining_crew(database_url, total, most=most) as ranges:
            assert ranges is None
