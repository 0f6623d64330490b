"""Erased events are known by their refs, found along an index that holds no other claim."""

from contextlib import closing

from sqlalchemy import insert
from sqlmodel import Session

from gateway.database import Database
from gateway.rows import ClaimRow
from gateway.tombstones import OVERLAP_MS, Tombstones
from tests.unit.gateway.ingress.claim_rows import claim_row


def test_what_was_erased_is_learned_once_and_late_commits_are_not_missed(database_url: str) -> None:
    with closing(Database(database_url)) as database, database.begin() as session:
        put(session, b"a", at=1_000_000)
        put(session, b"b", at=5, state="confirmed")
        known = Tombstones()
        known.learn(known.look(session))
        assert known.refs == {b"a" * 32}
        # Its transaction began before, and was committed after.
        put(session, b"c", at=1_000_000 - OVERLAP_MS + 1)
        put(session, b"d", at=2_000_000)
        known.learn(known.look(session))
        assert known.refs == {b"a" * 32, b"c" * 32, b"d" * 32}
        assert [ref for ref, _ in known.look(session)] == [b"d" * 32]


def put(session: Session, letter: bytes, *, at: int, state: str = "erased") -> None:
    session.execute(insert(ClaimRow), [claim_row(letter * 32) | {"state": state, "lease_until": at}])


def test_a_look_reads_no_other_claim(database_url: str) -> None:
    with closing(Database(database_url)) as database, database.begin() as session:
        put(session, b"a", at=1)
        run = session.connection().exec_driver_sql
        query = "SELECT ref, lease_until FROM gateway_claim WHERE state = 'erased' AND lease_until > 5"
        if database.is_sqlite:
            steps = [row[3] for row in run(f"EXPLAIN QUERY PLAN {query}")]
        else:
            run("SET LOCAL enable_seqscan = off")
            steps = [row[0] for row in run(f"EXPLAIN {query}")]
        assert any("ix_gateway_claim_erased" in one for one in steps), steps
