"""Writers that touch the same rows at once lock them in one order, whatever order things came in."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import pytest
from sqlalchemy import select, text, update
from sqlmodel import Session, col

from audit import log as audit_log
from audit.bulk import insert_new_rows
from audit.errors import StaleHeadError
from audit.holds import guard
from audit.log import Pending
from gateway.broker.port import Position
from gateway.database import Database
from gateway.egress.deliveries import purge
from gateway.egress.locking import IN_ORDER
from gateway.egress.outbox import Outbox
from gateway.egress.ticks import Saved, write_ticks
from gateway.errors import LeaseLostError, PositionMovedError
from gateway.ingress.claims import Answer, Confirm, Write, take, write_group
from gateway.leases import Leases
from gateway.positions import Move, Progress, advance
from gateway.retention import DAY_MS, Kept, drop_claims
from gateway.rows import ClaimRow, DeliveryRow, LeaseRow
from gateway.sequencer.round import Round, write_round
from tests.postgres_server import PostgresServer
from tests.unit.audit import builders as log_builders
from tests.unit.audit.test_log import signed
from tests.unit.gateway.egress.test_lane import delivery
from tests.unit.gateway.sequencer.test_round import AT, LOG, ORIGINS, OURS, change, sighted

pytestmark = pytest.mark.postgres

_LOCKED = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'"""
T = TypeVar("T")
ROUNDS = 4
EVENTS = 300


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as url:
        opened = Database(url)
        yield opened
        opened.close()


def take_any_time(session: Session) -> None:
    """Wait for locks until they are free, and keep one's own: what is slow here is no deadlock."""
    for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        session.execute(text(f"SET LOCAL {name} = 0"))


def patient(work: Callable[[Session], T]) -> Callable[[Session], T]:
    """The work, in a transaction that takes any time."""

    def with_time(session: Session) -> T:
        take_any_time(session)
        return work(session)

    return with_time


def group(
    work: Callable[[Session, Sequence[Write]], Sequence[Answer]], items: Sequence[Write], session: Session
) -> Sequence[Answer]:
    return work(session, items)


async def test_claims_confirmed_from_all_sides_at_once_meet_no_deadlock(database: Database) -> None:
    confirm = write_group(15_000)
    (lease,) = await Leases(database, "sequence", owner="me", shards=1, duration_ms=60_000).hold()
    for turn in range(ROUNDS):
        made = [sighted(f"{turn}-{number}", number) for number in range(EVENTS)]
        claims, seen = [claim for claim, _ in made], [one for _, one in made]
        assert {one.log for one in claims} == {LOG}
        await database.write(partial(take, claims=claims, now=AT.now, lease_ms=15_000))
        stored = [(one.ref, one.receipt, Position("topic-1", 0, n)) for n, one in enumerate(claims)]
        ways = [
            [Confirm((one,)) for one in stored],
            [Confirm((one,)) for one in reversed(stored)],
            [Confirm(tuple(stored[::2])), Confirm(tuple(stored[1::2]))],
        ]
        todo = Round([(lease, ())], seen, (), ORIGINS, OURS, {LOG: lease})
        running = [database.submit(patient(partial(group, confirm, way))) for way in ways]
        entered = await database.submit(patient(partial(write_round, todo=todo)))
        assert entered.entries == EVENTS
        await asyncio.wait(running)
        assert [one.exception() for one in running] == [None] * len(ways)


async def test_whoever_enters_what_waits_is_followed_by_nobody_before_its_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sequencer that sleeps between reading and entering; what it read, nobody else enters meanwhile."""
    ours, theirs = (
        Leases(database, "sequence", owner=owner, shards=1, duration_ms=60_000) for owner in ("a", "b")
    )
    (lease,) = await ours.hold()
    with database.begin() as session:
        audit_log.submit(session, change(1), id=b"1" * 16)
    seen, go, pending = threading.Event(), threading.Event(), audit_log.pending

    def read_and_sleep(session: Session, log: str, limit: int) -> Sequence[Pending]:
        found = pending(session, log, limit)
        seen.set()
        assert go.wait(30)
        return found

    monkeypatch.setattr(audit_log, "pending", read_and_sleep)
    todo = Round([], [], [], ORIGINS, OURS, {LOG: lease})
    running = asyncio.ensure_future(database.submit(patient(partial(write_round, todo=todo))))
    await asyncio.to_thread(seen.wait, 30)
    with database.begin() as session:
        session.execute(update(LeaseRow).values(until=1))
    assert await theirs.hold() == frozenset()
    go.set()
    assert (await running).entries == 1
    (taken,) = await theirs.hold()
    with database.begin() as session:
        audit_log.submit(session, change(2), id=b"2" * 16)
    with pytest.raises(LeaseLostError):
        await database.write(partial(write_round, todo=todo))
    todo = replace(todo, leases={LOG: taken})
    assert (await database.write(partial(write_round, todo=todo))).entries == 1


async def test_erasures_and_retention_at_once_meet_no_deadlock(database: Database) -> None:
    """Either wants claims, deliveries and the logs' guards of the same partners, each in its own order."""
    terms = {f"p{number}": Kept(f"gw.example/log/{9 - number}", 1) for number in range(4)}
    old, refs = 5, [bytes([number]) * 32 for number in range(40)]

    def fill(session: Session, turn: int) -> None:
        owned = [(list(terms)[number % 4], ref) for number, ref in enumerate(refs)]
        rows = [{**BLANK_CLAIM, "ref": ref, "partner": slug, "log": terms[slug].log} for slug, ref in owned]
        insert_new_rows(session, ClaimRow, rows)
        late = [{**BLANK_DELIVERY, "ref": ref, "partner": slug} for slug, ref in owned]
        insert_new_rows(session, DeliveryRow, [{**one, "endpoint": f"ep_{turn}"} for one in late])

    def erase(session: Session, slug: str) -> None:
        # As `gateway.erasing.event` does it, for an event that went on to everybody.
        mine = select(col(ClaimRow.ref)).where(col(ClaimRow.partner) == slug).order_by(col(ClaimRow.ref))
        found = session.execute(mine.with_for_update()).scalars().all()
        guard(session, [one.log for one in terms.values()])
        row = DeliveryRow
        query = select(row).where(col(row.ref).in_(found)).order_by(*IN_ORDER)
        session.execute(query.with_for_update()).all()
        session.execute(update(row).where(col(row.ref).in_(found)).values(payload=b""))

    def drop(session: Session) -> int:
        agreed, now = dict.fromkeys(terms, 1), old + 2 * DAY_MS
        gone = drop_claims(session, terms, now=now, claims_ms=DAY_MS, days_of=lambda *_: agreed)
        return gone + purge(session, before=old + 1)

    for turn in range(ROUNDS):
        await database.write(partial(fill, turn=turn))
        works: list[Callable[[Session], object]] = [
            partial(erase, slug=slug) for slug in (*terms, *reversed(terms))
        ]
        running = [database.submit(patient(work)) for work in (*works, drop, drop, drop)]
        await asyncio.wait(running)
        assert [one.exception() for one in running] == [None] * len(running)
    while await database.write(drop):
        pass
    left = await database.read(lambda session: session.execute(select(col(ClaimRow.ref))).all())
    assert left == []


async def waiting(database: Database, count: int) -> None:
    """Wait until so many transactions wait for locks."""
    query = text(_LOCKED)
    async with asyncio.timeout(30):
        while True:
            if await database.read(lambda session: session.execute(query).scalar_one()) == count:
                return
            await asyncio.sleep(0.02)


async def test_a_tick_and_an_erasure_of_the_same_deliveries_meet_no_deadlock(database: Database) -> None:
    """An erasure has the first row and wants the last; the tick decided them the other way round."""
    (lease,) = await Leases(database, "relay", owner="me", shards=1, duration_ms=60_000).hold()
    refs = [bytes([number]) * 32 for number in (1, 2, 3)]
    blank = {**BLANK_DELIVERY, "endpoint": "ep_1", "partner": "acme", "state": "pending"}
    await database.write(
        lambda session: insert_new_rows(session, DeliveryRow, [{**blank, "ref": ref} for ref in refs])
    )
    outbox = Outbox()
    for ref in (refs[2], refs[0]):
        outbox.note_row("ep_1", ref)
        outbox.save(Saved(replace(delivery(1), ref=ref, attempts=2), "pending", "gone", is_new=False))
    tick = outbox.make_tick(lease, spans=[], drained=[], moves=[])
    row = DeliveryRow

    def erase(session: Session) -> None:
        # As `gateway.erasing.event` does it.
        query = select(row).where(col(row.ref).in_(refs)).order_by(*IN_ORDER)
        session.execute(query.with_for_update()).all()
        session.execute(update(row).where(col(row.ref).in_(refs)).values(reason="erased"))

    with database.begin() as brake:
        take_any_time(brake)
        brake.execute(select(col(row.ref)).where(col(row.ref) == refs[1]).with_for_update())
        erasing = database.submit(patient(erase))
        await waiting(database, 1)
        ticking = database.submit(patient(lambda session: write_ticks(session, [tick], now=9)))
        await waiting(database, 2)
    await asyncio.wait([erasing, ticking])
    assert [one.exception() for one in (erasing, ticking)] == [None, None]
    found = await database.read(lambda session: session.execute(select(col(row.ref), col(row.reason))).all())
    assert sorted(map(tuple, found)) == list(zip(refs, ("gone", "erased", "gone"), strict=True))


async def test_no_checkpoint_is_stored_in_the_place_of_a_newer_one(database: Database) -> None:
    """Whoever slept stores what it has shown at the very moment when its successor stores more."""
    notes: list[bytes] = []
    with database.begin() as session:
        audit_log.open_log(session, log_builders.ORIGIN)
        for number in range(2):
            head = log_builders.append(session, log_builders.ORIGIN, [log_builders.evidence(number)])
            notes.append(signed(head))
    with database.begin() as session:
        take_any_time(session)
        audit_log.publish_all(session, {log_builders.ORIGIN: notes[1]})
        late = database.submit(
            patient(lambda session: audit_log.publish_all(session, {log_builders.ORIGIN: notes[0]}))
        )
        await waiting(database, 1)
    with pytest.raises(StaleHeadError):
        await late
    stored = await database.read(lambda session: audit_log.state(session, log_builders.ORIGIN))
    assert (stored.checkpoint_size, stored.checkpoint) == (2, notes[1].decode())


async def test_a_position_is_begun_by_one_of_two_alone(database: Database) -> None:
    """A COMMIT whose answer was lost may be stored while its repeat is under way: that is no bug of ours."""
    (lease,) = await Leases(database, "sequence", owner="me", shards=1, duration_ms=60_000).hold()
    moves = [Move("t", "i", 0, None, Progress(5))]
    with database.begin() as session:
        take_any_time(session)
        advance(session, lease, moves)
        repeat = database.submit(patient(lambda session: advance(session, lease, moves)))
        await waiting(database, 1)
    with pytest.raises(PositionMovedError):
        await repeat


BLANK_CLAIM = {
    "direction": "inbound", "source": "/x", "event_id": "x", "event_type": "x.y", "event_sha256": b"",
    "content_sha256": b"", "receipt": "r", "schema_id": 1, "framing": "prefix", "topic": "t", "topic_id": "i",
    "partition": 0, "at": 5, "attributes": "{}", "content": b"x", "content_type": "", "content_encoding": "",
    "state": "confirmed", "lease_until": 1, "owner": "", "leaf_index": 1,
}  # fmt: skip
BLANK_DELIVERY = {
    "source": "/x", "event_id": "x", "event_type": "x.y", "topic": "t", "topic_id": "i", "partition": 0,
    "offset": 0, "order_key": None, "payload": b"{}", "schema_id": 1, "attempts": 1, "next_at": 0,
    "state": "parked", "reason": "gone", "created_at": 5, "updated_at": 5,
}  # fmt: skip
