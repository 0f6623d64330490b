import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import ORMExecuteState
from sqlmodel import Session

from gateway.database import Database
from gateway.errors import CallerError, LeaseLostError
from gateway.event import EventKey
from gateway.imports import results, store
from gateway.imports.job import NDJSON, Counts, Failure, Piece, Sender, Wish
from gateway.imports.store import Advance, Body, Held
from gateway.imports.sweep import sweep
from gateway.ingress.outcome import First, Outcome, Refused, Valid
from gateway.origin_evidence import Origin
from schemas.fault import Fault
from tests.postgres_server import PostgresServer

NOW = 1_795_353_600_000
LEASE_MS = 60_000
ORIGIN = Origin("ed25519", "crd_1", b"base", b"signature")
WISH = Wish("acme", "inbound", "t", NDJSON, Sender("api_key", "crd_1", ORIGIN), dry_run=False)
BODY = Body(30, 4, b"f" * 32, None, None, None)
REFUSED = Refused(
    "event_invalid",
    "2 faults.",
    (Fault("/a", "type", "is a string", "int"), Fault("/b", "missing", "is missing")),
    2,
    ("s", 4, 41),
    "GET it",
    First(b"r" * 32, NOW, b"e" * 32, b"c" * 32),
    place=(6, 1),
)


def valid(number: int, *, is_twin: bool = False) -> Valid:
    key = EventKey("acme", "inbound", "/s", str(number))
    return Valid(key.ref(), key, "t", is_twin, ("s", 1, 1))


OUTCOMES: list[Outcome] = [valid(1), REFUSED, valid(1, is_twin=True), valid(2)]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def piece(number: int, first: int, count: int) -> Piece:
    return Piece(number, first, count, first + 1, 10 * first, b"x" * 10)


def made(session: Session, import_id: str, wish: Wish = WISH, *, now: int = NOW) -> None:
    """An import whose body is here whole: four items in two pieces."""
    assert store.begin(session, import_id, wish, now=now, lease_ms=LEASE_MS) is None
    store.keep(session, import_id, [piece(0, 0, 3), piece(1, 3, 1)], lease_ms=LEASE_MS)
    store.take(session, import_id, BODY)


def leased(session: Session, owner: str = "us") -> Held:
    held = store.lease(session, owner, lease_ms=LEASE_MS)
    assert held is not None
    return held


def advance(first: int, outcomes: list[Outcome], used_up: int | None = None) -> Advance:
    return Advance(first, results.count(outcomes), results.pack(outcomes), used_up)


def expire(session: Session) -> None:
    session.execute(text("UPDATE gateway_import SET lease_until = 1"))


def test_what_became_of_items_is_found_again_as_it_was(database: Database) -> None:
    with database.begin() as session:
        made(session, "imp_a")
        held = leased(session)
        assert held.job.wish == WISH
        assert store.settle(session, held, advance(0, OUTCOMES[:3], 0)) == "running"
        assert store.next_piece(session, "imp_a") == piece(1, 3, 1)
        assert store.settle(session, held, advance(3, OUTCOMES[3:], 1)) == "running"
        assert store.next_piece(session, "imp_a") is None
        store.end(session, held, None, now=NOW + 1)
        done = store.find(session, "imp_a")
        assert done is not None
        assert (done.state, done.ended_at, done.counts) == ("done", NOW + 1, Counts(4, 2, 1, 1))
        whole = store.results(session, "imp_a", since=0, limit=10)
        assert [one.kind for one in whole] == ["accepted", "refused", "duplicate", "accepted"]
        assert [one.refused for one in whole] == [None, REFUSED, None, None]
        assert store.results(session, "imp_a", since=2, limit=10) == whole[2:]
        assert store.results(session, "imp_a", since=0, limit=10, kind="refused") == whole[1:2]
        assert store.results(session, "imp_a", since=0, limit=10, kind="accepted") == [whole[0], whole[3]]


def test_a_late_owner_is_refused_whatever_it_does(database: Database) -> None:
    with database.begin() as session:
        made(session, "imp_a")
        late = leased(session)
        assert store.lease(session, "them", lease_ms=LEASE_MS) is None
        expire(session)
        assert store.lease(session, "us", lease_ms=LEASE_MS, but=frozenset({"imp_a"})) is None
        held = leased(session, "them")
        assert held.job.epoch == late.job.epoch + 1
        for work in (
            lambda: store.settle(session, late, advance(0, OUTCOMES)),
            lambda: store.renew(session, late, "broker_unavailable"),
            lambda: store.release(session, late),
            lambda: store.end(session, late, None, now=NOW),
        ):
            with pytest.raises(LeaseLostError):
                work()
        with pytest.raises(LeaseLostError, match="results from 1 on, but it is at 0"):
            store.settle(session, held, advance(1, OUTCOMES))
        assert store.renew(session, held, "quota_exceeded") == "running"
        store.release(session, held)
        assert leased(session, "us").job.waits_for is None


def test_a_partner_s_imports_are_taken_one_after_the_other(database: Database) -> None:
    outbound = replace(WISH, direction="outbound")
    with database.begin() as session:
        made(session, "imp_b", now=NOW)
        made(session, "imp_a", now=NOW + 1)
        made(session, "imp_c", outbound, now=NOW + 2)
        first, other = leased(session), leased(session)
        assert (first.job.id, other.job.id) == ("imp_b", "imp_c")
        assert store.lease(session, "them", lease_ms=LEASE_MS) is None
        made(session, "imp_slow", now=NOW - 1)
        assert store.lease(session, "them", lease_ms=LEASE_MS) is None
        store.end(session, first, Failure("internal", "x"), now=NOW)
        slow = leased(session)
        assert slow.job.id == "imp_slow"
        store.end(session, slow, None, now=NOW)
        assert leased(session).job.id == "imp_a"
        assert not store.has_work(session)
        store.expire_leases(session)
        assert store.has_work(session)


def test_a_key_finds_the_import_that_has_it_once_its_body_is_here(database: Database) -> None:
    keyed = replace(WISH, key="k")
    with database.begin() as session:
        assert store.begin(session, "imp_a", keyed, now=NOW, lease_ms=LEASE_MS) is None
        assert store.begin(session, "imp_b", keyed, now=NOW, lease_ms=LEASE_MS) is None
        with pytest.raises(CallerError, match="given up meanwhile"):
            store.keep(session, "imp_a", [piece(0, 0, 1)], lease_ms=LEASE_MS)
        store.take(session, "imp_b", BODY)
        known = store.begin(session, "imp_c", keyed, now=NOW, lease_ms=LEASE_MS)
        assert known is not None
        assert (known.id, known.fingerprint) == ("imp_b", BODY.fingerprint)
        other = replace(keyed, partner="globex")
        assert store.begin(session, "imp_d", other, now=NOW, lease_ms=LEASE_MS) is None


@pytest.mark.postgres
def test_a_body_that_becomes_whole_while_its_sender_begins_anew_is_found_and_not_forgotten(
    postgres_server: PostgresServer,
) -> None:
    keyed = replace(WISH, key="k")
    with postgres_server.database() as url, closing(Database(url)) as here, closing(Database(url)) as there:
        with here.begin() as session:
            store.begin(session, "imp_a", keyed, now=NOW, lease_ms=LEASE_MS)
        with there.begin() as session:

            def finish(state: ORMExecuteState) -> None:
                if state.is_delete:
                    with here.begin() as other:
                        store.take(other, "imp_a", BODY)

            event.listen(session, "do_orm_execute", finish)
            known = store.begin(session, "imp_b", keyed, now=NOW, lease_ms=LEASE_MS)
        with here.begin() as session:
            assert store.find(session, "imp_a") == known
    assert known is not None
    assert known.state == "waiting"


def test_a_body_that_was_cancelled_before_it_was_whole_leaves_its_key_to_another_try(
    database: Database,
) -> None:
    keyed = replace(WISH, key="k")
    with database.begin() as session:
        store.begin(session, "imp_a", keyed, now=NOW, lease_ms=LEASE_MS)
        store.cancel(session, "imp_a", now=NOW)
        assert store.begin(session, "imp_b", keyed, now=NOW, lease_ms=LEASE_MS) is None
        store.take(session, "imp_b", BODY)
        store.cancel(session, "imp_b", now=NOW)
        known = store.begin(session, "imp_c", keyed, now=NOW, lease_ms=LEASE_MS)
        assert known is not None
        assert (known.id, known.state) == ("imp_b", "cancelled")


async def test_of_many_that_begin_at_once_no_more_begin_than_may_be(database: Database) -> None:
    async def begin(number: int) -> bool:
        with suppress(CallerError):
            await database.write(
                lambda session: store.begin(session, f"imp_{number}", WISH, now=NOW, lease_ms=LEASE_MS)
            )
            return True
        return False

    begun = await asyncio.gather(*(begin(number) for number in range(16)))
    assert begun.count(True) == store.MOST_OPEN


def test_bodies_that_came_no_further_count_no_more_and_are_swept(database: Database) -> None:
    with database.begin() as session:
        for number in range(store.MOST_OPEN):
            store.begin(session, f"imp_{number}", WISH, now=NOW, lease_ms=LEASE_MS)
            store.keep(session, f"imp_{number}", [piece(0, 0, 1)], lease_ms=LEASE_MS)
        with pytest.raises(CallerError, match="as many as there may be"):
            store.begin(session, "imp_x", WISH, now=NOW, lease_ms=LEASE_MS)
        expire(session)
        assert store.begin(session, "imp_y", WISH, now=NOW, lease_ms=LEASE_MS) is None
        assert sweep(session, now=NOW, kept_ms=0) is False
        left = store.page(session, "acme", ("inbound",), after=None, limit=9)
        assert [one.id for one in left] == ["imp_y"]
        assert store.next_piece(session, "imp_0") is None


def test_what_has_ended_is_kept_for_its_time_without_its_body(database: Database) -> None:
    with database.begin() as session:
        made(session, "imp_a")
        store.settle(session, leased(session), advance(0, OUTCOMES[:3], 0))
        assert store.cancel(session, "imp_a", now=NOW) == store.find(session, "imp_a")
        assert store.cancel(session, "imp_none", now=NOW) is None
        assert sweep(session, now=NOW + 10, kept_ms=10) is False
        assert store.next_piece(session, "imp_a") is None
        assert len(store.results(session, "imp_a", since=0, limit=9)) == 3
        while sweep(session, now=NOW + 11, kept_ms=10):
            pass
        assert store.find(session, "imp_a") is None
        assert store.results(session, "imp_a", since=0, limit=9) == []
