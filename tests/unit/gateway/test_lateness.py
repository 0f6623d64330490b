"""What waits for a log for too long is found within a few rows, on both databases."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlmodel import Session

from audit import log as audit_log
from gateway.lateness import is_late, is_sequenced, oldest_waiting
from gateway.rows import LeaseRow
from tests.unit.audit.builders import LOG, ORIGIN, append, evidence
from tests.unit.gateway.test_shown import claim

TOPICS = ("partners.acme.inbound", "partners.acme.outbound")


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as opened:
        audit_log.open_log(opened, ORIGIN)
        yield opened


@pytest.fixture
def plans(engine: Engine, session: Session) -> Iterator[Callable[[], list[str]]]:
    """How the database runs what it was asked for so far, of claims."""
    asked: list[tuple[str, Any]] = []

    def see(*arguments: Any) -> None:
        if "gateway_claim" in str(arguments[2]) and not str(arguments[2]).startswith("EXPLAIN"):
            asked.append((str(arguments[2]), arguments[3]))

    def explain() -> list[str]:
        run = session.connection().exec_driver_sql
        found: list[str] = []
        for query, values in asked:
            if engine.dialect.name == "sqlite":
                found.append(" ".join(row[3] for row in run(f"EXPLAIN QUERY PLAN {query}", values)))
            else:
                run("SET LOCAL enable_seqscan = off")  # otherwise chosen for tables as small as these
                found.append(" ".join(row[0] for row in run(f"EXPLAIN {query}", values)))
        return found

    event.listen(engine, "before_cursor_execute", see)
    yield explain
    event.remove(engine, "before_cursor_execute", see)


def test_each_kind_of_waiting_counts_by_its_age(session: Session) -> None:
    append(session, ORIGIN, [evidence(1, at=50)])
    state = audit_log.state(session, ORIGIN)
    assert not is_late(session, state, TOPICS, 50)
    assert is_late(session, state, TOPICS, 51), "an entry without a published checkpoint"
    audit_log.submit(session, evidence(2, at=40), id=b"pending")
    assert not is_late(session, state, TOPICS, 40)
    assert is_late(session, state, TOPICS, 41), "evidence without an entry"
    session.add(claim(30, "confirmed"))
    session.flush()
    assert not is_late(session, state, TOPICS, 30)
    assert is_late(session, state, TOPICS, 31), "an accepted event without an entry"
    assert not is_late(session, state, ("partners.bolt.inbound",), 31)
    assert dict(oldest_waiting(session)) == {LOG: 30}


def test_a_lease_counts_until_its_end(session: Session) -> None:
    assert not is_sequenced(session, 5, 100)
    session.add(LeaseRow(role="sequence", shard=5, owner="o", epoch=1, until=100))
    session.add(LeaseRow(role="relay", shard=6, owner="o", epoch=1, until=1_000))
    session.flush()
    assert is_sequenced(session, 5, 99)
    assert not is_sequenced(session, 5, 100)
    assert not is_sequenced(session, 6, 99)


def test_claims_that_wait_are_found_by_their_own_index(
    session: Session, plans: Callable[[], list[str]]
) -> None:
    is_late(session, audit_log.state(session, ORIGIN), TOPICS, 1)
    oldest_waiting(session)
    found = plans()
    assert len(found) == 3
    assert all("ix_gateway_claim_unlogged" in one for one in found), found
