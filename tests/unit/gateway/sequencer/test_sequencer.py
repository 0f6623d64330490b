import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col

from audit import log as audit_log
from audit.checkpoint import verify_checkpoint
from audit.evidence import Kind
from audit.note import VerifierKey
from audit.search import find
from audit.store import LogState
from gateway.administration.key_changes import Freeze
from gateway.bootstrap.ground import open_broker
from gateway.bootstrap.vouching import vouch_by
from gateway.broker.embedded import EmbeddedBroker
from gateway.broker.port import Position, Read, ReadEvent, Record, Start, TopicChanged
from gateway.database import Database
from gateway.ingress.outcome import Accepted
from gateway.keys import KeyRing
from gateway.leases import Leases
from gateway.rows import ClaimRow, PositionRow
from gateway.sequencer import role
from gateway.sequencer.belief import Belief
from gateway.sequencer.guard import Guard, LogBehindError, verify_not_behind
from gateway.sequencer.published import read_shown
from tests.kept_database import KeptDatabase
from tests.world import FIRST, OPERATOR, World, make_settings, running

TOPIC = "partners.acme.inbound"
WAIT_SECONDS = 60.0


def body(number: int) -> dict[str, object]:
    return {"order_id": f"A-{number}", "qty": number}


def partner_log(world: World) -> str:
    partner = world.parts.catalog.current.directory.partner("acme")
    assert partner is not None
    return f"{world.parts.ground.host}/log/{partner.log}"


async def read_topic(world: World) -> list[Record]:
    reader = world.parts.broker.reader()
    topic_id = world.parts.catalog.current.topic_ids[TOPIC]
    reader.assign([Start(TOPIC, Position(topic_id, 0, 0))])
    found = [one.record for one in await reader.poll(100, 1_000) if isinstance(one, Read)]
    await reader.close()
    return found


async def until(world: World, word: str, count: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while world.counts.get(word, 0) < count:
        assert time.monotonic() < deadline, f"{word} never reached {count}: {world.counts}"
        await asyncio.sleep(0.02)


async def published(world: World) -> LogState:
    """The partner's log, once its whole head is published."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with world.parts.ground.database.begin() as session:
            state = audit_log.state(session, f"{partner_log(world)}/1")
        if state.checkpoint_size == state.head.size:
            return state
        assert time.monotonic() < deadline, world.parts.sequencer.problem
        await asyncio.sleep(0.02)


async def test_a_copied_record_makes_no_second_entry(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(body(1))
        await world.settled(FIRST + 1)
        await world.parts.broker.append(await read_topic(world))
        await until(world, "repeat", 1)
        with world.parts.ground.database.begin() as session:
            assert len(find(session, partner_log(world)).rows) == 1


async def test_forged_records_are_counted_and_never_stall_the_rest(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(body(1))
        (good,) = await read_topic(world)
        header, payload, signature = dict(good.headers)["gateway_receipt"].decode().split(".")
        forged = f"{header}.{payload[:-8]}AAAAAAAA.{signature}".encode()
        altered = Record(TOPIC, 0, None, (good.value or b"") + b"x", good.headers, good.at)
        bare = Record(TOPIC, 0, None, good.value, (), good.at)
        other = tuple((n, forged if n == "gateway_receipt" else v) for n, v in good.headers)
        await world.parts.broker.append([altered, bare, Record(TOPIC, 0, None, good.value, other, good.at)])
        await world.send(body(2))
        await world.settled(FIRST + 2)
        for word in ("record_altered", "receipt_missing", "receipt_malformed"):
            await until(world, word, 1)


async def test_a_receipt_without_its_claim_is_verified_by_its_signature(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url, flags={"audit.tick": "200ms"}) as world:
        await world.apply()
        await world.settled(FIRST)
        seen = world.parts.sequencer.leases.held
        assert seen
        await world.send(body(1))
        with world.parts.ground.database.begin() as session:
            session.connection().exec_driver_sql("DELETE FROM gateway_claim")
        await world.settled(FIRST + 1)
        await world.parts.broker.append(await read_topic(world))
        await until(world, "repeat", 1)


async def test_a_receipt_by_a_frozen_key_counts_by_its_claim_alone(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(body(1))
        await world.settled(FIRST + 1)
        records, parts = await read_topic(world), world.parts
        await parts.signing.freeze(
            parts.administration, Freeze("receipt", "copied"), None, by=OPERATOR, dry_run=False
        )
        # As if somebody had written it who has the key, and never came to the door.
        with parts.ground.database.begin() as session:
            session.connection().exec_driver_sql("DELETE FROM gateway_claim")
            session.connection().exec_driver_sql("DELETE FROM audit_entry WHERE kind = 'event.accepted'")
        await parts.broker.append(records)
        await until(world, "receipt_invalid", 1)


async def test_who_forwards_takes_what_a_frozen_key_signed_before_it_leaked(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(body(1))
        (record,) = await read_topic(world)
        await world.settled(FIRST + 1)
        parts, read = world.parts, Read(Position("t", 0, 0), record, record.at)
        at, key_id = await accepted_at(world, read), parts.keys.current.receipt.key_id
        assert at is not None
        await asyncio.sleep(0.01)
        for since, without_claim in ((at + 1, at), (at, None)):
            wanted = Freeze("receipt", "copied", since, key_id)
            await parts.signing.freeze(parts.administration, wanted, None, by=OPERATOR, dry_run=False)
            assert await accepted_at(world, read) == at, "our own claim has this receipt"
            with claims_changed(world, "UPDATE gateway_claim SET lease_until = 0, content = NULL"):
                assert await accepted_at(world, read) == without_claim, "made again of the record alone"
            with claims_changed(world, "UPDATE gateway_claim SET receipt = 'another'"):
                assert await accepted_at(world, read) == without_claim, "another receipt"


async def test_who_forwards_takes_what_a_key_signed_that_it_has_not_heard_of_yet(
    tmp_path: Path, database_url: str
) -> None:
    """A successor of a frozen key signs at once; other processes hear of it within a second or two."""
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(body(1))
        (record,) = await read_topic(world)
        read, ring = Read(Position("t", 0, 0), record, record.at), world.parts.keys.current
        at, early = await accepted_at(world, read), replace(ring, known=())
        assert at is not None
        assert await accepted_at(world, read, early) == at
        with claims_changed(world, "UPDATE gateway_claim SET receipt = 'another'"):
            assert await accepted_at(world, read, early) is None


async def test_who_forwards_is_misled_by_no_other_record_of_the_same_event(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(body(1))
        # Else the sequencer may make the claim again, of the record, before the event comes a second time.
        await world.settled(FIRST + 1)
        await asyncio.sleep(0.01)
        with world.parts.ground.database.begin() as session:
            session.connection().exec_driver_sql("DELETE FROM gateway_claim")
        await world.send(body(1))
        records, parts = await read_topic(world), world.parts
        other, ours = (Read(Position("t", 0, at), one, one.at) for at, one in enumerate(records))
        at = await accepted_at(world, other)
        assert at is not None
        wanted = Freeze("receipt", "copied", at, parts.keys.current.receipt.key_id)
        await parts.signing.freeze(parts.administration, wanted, None, by=OPERATOR, dry_run=False)
        look = vouch_by(parts.keys.ring, parts.ground.database)
        for both in ((ours, other), (other, ours)):
            vouch = await look([(one, "acme") for one in both])
            assert vouch(ours, "acme") is not None
            assert vouch(other, "acme") is None


async def accepted_at(world: World, read: Read, ring: KeyRing | None = None) -> int | None:
    keys = world.parts.keys.ring if ring is None else lambda: ring
    look = vouch_by(keys, world.parts.ground.database)
    found = (await look([(read, "acme")]))(read, "acme")
    return None if found is None else found.at


@contextmanager
def claims_changed(world: World, statement: str) -> Iterator[None]:
    """With other claims, which are as they were afterwards."""
    with world.parts.ground.database.begin() as session:
        run = session.connection().exec_driver_sql
        (was,) = run("SELECT lease_until, content, receipt FROM gateway_claim").all()
        run(statement)
    yield
    with world.parts.ground.database.begin() as session:
        back = update(ClaimRow).values(lease_until=was[0], content=was[1], receipt=was[2])
        session.execute(back)


async def test_who_forwards_takes_what_was_accepted_before_every_process_knew_of_a_freeze(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(body(1))
        (record,) = await read_topic(world)
        await world.settled(FIRST + 1)
        ring, read = world.parts.keys.current, Read(Position("t", 0, 0), record, record.at)
        at = await accepted_at(world, read)
        assert at is not None
        with claims_changed(world, "UPDATE gateway_claim SET receipt = 'another'"):
            for since, frozen_at, expected in (
                (at - 1, at - 1, at),
                (at - 1, at, None),
                (at - 60_000, at - 60_000, None),
            ):
                known = tuple(replace(one, compromised_at=since, retired_at=frozen_at) for one in ring.known)
                assert await accepted_at(world, read, replace(ring, known=known)) == expected


async def test_checkpoints_are_published_before_they_are_served_and_verify(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(*map(body, range(7)))
        await world.settled(FIRST + 7)
        origin = f"{partner_log(world)}/1"
        state = await published(world)
        assert state.checkpoint is not None
        key = VerifierKey(origin, world.parts.keys.current.checkpoints[0].public_key)
        shown = verify_checkpoint(state.checkpoint.encode(), [key])
        assert shown.root == state.head.root()
        told = (await read_shown(world.parts.broker, "gateway.checkpoints")).checkpoints
        assert told[origin] == shown


async def test_a_restart_goes_on_where_it_stopped(tmp_path: Path, database_url: str) -> None:
    for turn in range(3):
        async with running(tmp_path, url=database_url) as world:
            await world.apply()
            (one,) = await world.send(body(turn))
            assert isinstance(one, Accepted)
            await world.settled(1 if turn else FIRST + 1)
            with world.parts.ground.database.begin() as session:
                assert audit_log.state(session, f"{partner_log(world)}/1").head.size == 2 + turn


@pytest.fixture
def backup(database_url: str, request: pytest.FixtureRequest) -> KeptDatabase:
    is_sqlite = database_url.startswith("sqlite")
    return KeptDatabase(database_url, None if is_sqlite else request.getfixturevalue("postgres_server"))


async def test_a_database_restored_from_before_is_refused(
    tmp_path: Path, database_url: str, backup: KeptDatabase
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(body(1))
        await world.settled(FIRST + 1)
    backup.keep()
    async with running(tmp_path, url=database_url) as world:
        await world.send(body(2))
        await world.settled(1)
        await published(world)
    backup.put_back()
    with pytest.raises(ExceptionGroup) as caught:
        async with running(tmp_path, url=database_url):
            await asyncio.sleep(WAIT_SECONDS)
    assert caught.group_contains(LogBehindError, match="restored from an older backup")


async def test_a_wiped_database_beside_live_topics_is_refused(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.settled(FIRST)
        await published(world)
        shown = (await read_shown(world.parts.broker, "gateway.checkpoints")).checkpoints
        origin = f"{partner_log(world)}/1"
        with world.parts.ground.database.begin() as session:
            session.connection().exec_driver_sql("DELETE FROM audit_head")
            with pytest.raises(LogBehindError):
                verify_not_behind(session, {origin: shown[origin]})
            session.rollback()


async def test_a_hole_made_by_retention_is_evidence(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url, flags={"broker.retention": "1s"}) as world:
        await world.apply()
        await world.send(body(1), body(2))
        await world.settled(FIRST + 2)
    await asyncio.sleep(1)
    database = Database(database_url)
    with database.begin() as session:
        session.execute(update(PositionRow).where(col(PositionRow.topic) == TOPIC).values(next=0))
    database.close()
    broker = open_broker(make_settings(tmp_path))
    assert isinstance(broker, EmbeddedBroker)
    await broker.trim()
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await until(world, "retention_hole", 1)
        await world.settled(1)
        with world.parts.ground.database.begin() as session:
            origin = f"{partner_log(world)}/1"
            size = audit_log.state(session, origin).head.size
            assert audit_log.entry(session, origin, size - 1).kind is Kind.RETENTION_HOLE


async def test_a_topic_that_lost_records_is_read_again_and_nothing_is_entered_twice(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(*map(body, range(3)))
        await world.settled(FIRST + 3)
    database = Database(database_url)
    with database.begin() as session:
        session.execute(update(PositionRow).where(col(PositionRow.topic) == TOPIC).values(next=9))
    database.close()
    async with running(tmp_path, url=database_url) as world:
        await until(world, "topic_truncated", 1)
        await until(world, "repeat", 3)
        await world.send(body(7))
        await world.settled(1)
        assert world.counts["entry"] == 1
        (told,) = world.parts.sequencer.lost.values()
        assert f"{TOPIC} [0] was cut at 3 and had been read up to 9" in told


class Places:
    """A reader that knows what it was assigned, and reads nothing."""

    def __init__(self) -> None:
        self.assigned: set[tuple[str, int]] = set()

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        raise AssertionError((limit, wait_ms))

    def assign(self, starts: Sequence[Start]) -> None:
        self.assigned |= {(start.topic, start.position.partition) for start in starts}

    def release(self, partitions: Sequence[tuple[str, int]]) -> None:
        self.assigned -= set(partitions)

    def is_current(self, event: ReadEvent) -> bool:
        return isinstance(event, Read)

    def reached(self, topic: str, partition: int) -> int | None:
        return 0 if (topic, partition) in self.assigned else None

    async def close(self) -> None:
        """Nothing is held."""


async def test_what_holds_no_record_is_looked_for_now_and_then_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "_SILENT_SECONDS", 3_600.0)
    async with running(tmp_path) as world:
        sequencer = replace(world.parts.sequencer)
        read = Read(Position("id", 3, 0), Record("topic", 3, None, None, (), 0), 0)
        assert sequencer._to_look_at([read]) is None
        assert sequencer._to_look_at([read, TopicChanged("other", "old", None)]) == {("topic", 3)}
        monkeypatch.setattr(role, "_SILENT_SECONDS", 0.0)
        sequencer._silent_at = 0.0
        assert sequencer._to_look_at([]) is None
        assert sequencer._to_look_at([]) is None


async def test_what_went_to_another_while_a_round_failed_is_not_read_any_more(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        await world.settled(FIRST)
        leases = Leases(world.parts.ground.database, "sequence", owner="other")
        leases.held = world.parts.sequencer.leases.held
        sequencer, reader = replace(world.parts.sequencer, leases=leases), Places()
        await sequencer._settle_in(reader)
        assert (TOPIC, 0) in reader.assigned
        sequencer._state, leases.held = Belief(), frozenset()
        await sequencer._settle_in(reader)
        assert reader.assigned == set()


async def test_what_was_believed_of_another_server_is_read_anew(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby that had not received the last round became primary; nothing has failed here meanwhile."""
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(body(1))
        await world.settled(FIRST + 1)
        verify, unvetted = Guard.verify, {True}
        with world.parts.ground.database.begin() as session:
            session.execute(update(PositionRow).values(next=0))

        async def look(guard: Guard) -> None:
            await verify(guard)
            unvetted.clear()

        monkeypatch.setattr(Guard, "verify", look)
        monkeypatch.setattr(Database, "is_unvetted", property(lambda _: bool(unvetted)))
        await until(world, "repeat", 1)
