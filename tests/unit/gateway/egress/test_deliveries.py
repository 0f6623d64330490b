from dataclasses import replace
from pathlib import Path

import pytest

from audit.ref import format_ref
from gateway import facts
from gateway.egress import asking, replay_store
from gateway.egress.backlog import Span
from gateway.egress.deliveries import Stored, load, load_bodies, load_gone, purge
from gateway.egress.outbox import Outbox
from gateway.egress.replay import Stretch, Wish
from gateway.egress.ticks import Saved, Tick, write_ticks
from gateway.egress.tidings import Tidings
from gateway.errors import LeaseLostError, PositionMovedError
from gateway.leases import Lease, Leases
from gateway.positions import Move, Progress
from tests.unit.gateway.egress.stage import Stage, endpoint, stage
from tests.unit.gateway.egress.test_lane import delivery
from tests.unit.gateway.egress.test_shard import VOICE

MOVE = Move("topic", "id", 0, None, Progress(3))


async def lease(on: Stage) -> Lease:
    held = await Leases(on.database, "relay", owner="me", shards=1, duration_ms=60_000).hold()
    return next(iter(held))


def tick(held: Lease, *saved: Saved, moves: tuple[Move, ...] = (MOVE,)) -> Tick:
    outbox = Outbox()
    for each in saved:
        outbox.save(each)
    return outbox.make_tick(held, spans=[], drained=[], moves=list(moves))


def write(on: Stage, made: Tick, *, now: int = 9) -> None:
    with on.database.begin() as session:
        write_ticks(session, [made], now=now)


def found(on: Stage) -> Stored:
    with on.database.begin() as session:
        return load(session, {"acme": "topic"})


async def test_what_is_written_is_found_again_without_bodies_in_order(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        made = [Saved(delivery(n, "k"), "pending", "server_error", is_new=True) for n in (2, 1)]
        write(on, tick(await lease(on), *made))
        stored = found(on)
        assert stored.progress == {("id", 0): Progress(3)}
        assert stored.deliveries == tuple(replace(delivery(n, "k"), body=None) for n in (1, 2))
        with on.database.begin() as session:
            places = [("ep_1", delivery(1).ref), ("ep_1", b"other"), ("ep_2", delivery(1).ref)]
            assert load_bodies(session, places) == {places[0]: b"{}"}


async def test_a_tick_under_a_lost_lease_or_a_moved_position_writes_nothing(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        held = await lease(on)
        saved = Saved(delivery(1), "pending", None, is_new=True)
        with pytest.raises(LeaseLostError):
            write(on, tick(replace(held, epoch=held.epoch + 1), saved))
        with pytest.raises(PositionMovedError):
            write(on, tick(held, saved, moves=(replace(MOVE, before=Progress(1)),)))
        assert found(on) == Stored({}, (), ())


async def test_a_tick_without_moves_still_checks_the_lease(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        held = await lease(on)
        with pytest.raises(LeaseLostError):
            write(
                on, tick(replace(held, epoch=99), Saved(delivery(1), "pending", None, is_new=True), moves=())
            )


async def test_a_newer_delivery_of_the_same_event_takes_the_place_of_a_parked_one(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        held = await lease(on)
        write(on, tick(held, Saved(replace(delivery(1), attempts=3), "parked", "timed_out", is_new=True)))
        assert found(on).deliveries == ()
        again = tick(held, Saved(delivery(1), "pending", None, is_new=True), moves=())
        write(on, again)
        assert on.rows() == [("1", "pending", 0)]


async def test_a_range_is_replaced_and_removed(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        held, span = await lease(on), Span("ep_1", "topic", "id", 0, 3, 9)
        write(on, Outbox().make_tick(held, spans=[span], drained=[], moves=[]))
        write(on, Outbox().make_tick(held, spans=[replace(span, end=12)], drained=[], moves=[]))
        assert found(on).spans == (replace(span, end=12),)
        write(on, Outbox().make_tick(held, spans=[], drained=[("ep_1", "id", 0)], moves=[]))
        assert found(on).spans == ()


async def test_a_range_that_every_tick_changes_leaves_nothing_behind(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        held = await lease(on)
        asked = "PRAGMA page_count" if on.database.is_sqlite else "SELECT pg_relation_size('gateway_backlog')"

        def kept(*ends: int) -> int:
            for end in ends:
                span = Span("ep_1", "topic", "id", 0, 1, end, end - 1, 7)
                write(on, Outbox().make_tick(held, spans=[span], drained=[], moves=[]))
            with on.database.begin() as session:
                return int(session.connection().exec_driver_sql(asked).scalar_one())

        assert kept(2) == kept(*range(3, 400))
        assert found(on).spans == (Span("ep_1", "topic", "id", 0, 1, 399, 398, 7),)


async def test_only_parked_deliveries_are_purged_and_only_old_ones(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        held = await lease(on)
        states = [
            Saved(delivery(1), "parked", "gone", is_new=True),
            Saved(delivery(2), "held", None, is_new=True),
        ]
        write(on, tick(held, *states), now=9)
        with on.database.begin() as session:
            purge(session, before=9)
        assert len(on.rows()) == 2
        with on.database.begin() as session:
            purge(session, before=10)
        assert on.rows() == [("2", "held", 0)]


async def test_only_sql_tells_an_endpoint_that_is_gone_from_one_that_is_new(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url) as on:
        on.register(endpoint("ep_new"))
        strangers = dict.fromkeys(("ep_new", "ep_gone", "ep_old"), "acme")
        with on.database.begin() as session:
            facts.keep(session, "removed.ep_gone", "a.b c.d")
            gone = load_gone(session, strangers)
        assert [(each.id, each.partner, each.types, each.state) for each in gone] == [
            ("ep_gone", "acme", frozenset({"a.b", "c.d"}), "disabled"),
            ("ep_old", "acme", frozenset(), "disabled"),
        ]


async def test_what_was_given_up_is_known_where_it_may_be_read_again(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        held = await lease(on)
        move = replace(MOVE, topic_id="id", after=Progress(3, (4, 9)))
        rows = [Saved(delivery(number), "pending", None, is_new=True) for number in range(6)]
        write(on, tick(held, *rows, moves=(move,)))
        with on.database.begin() as session:
            for number in (0, 2, 3, 5):
                row = asking.find(session, "ep_1", delivery(number).ref)
                assert row is not None
                asking.ask(session, row, state="cancelled", now=9)
        assert found(on).cancelled == {("ep_1", delivery(number).ref) for number in (3, 5)}
        span = Span("ep_1", "topic", "id", 0, 2, 9)
        write(on, Outbox().make_tick(held, spans=[span], drained=[], moves=[]))
        assert found(on).cancelled == {("ep_1", delivery(number).ref) for number in (2, 3, 5)}


async def test_what_an_open_replay_may_be_sending_is_not_purged(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        rows = [Saved(delivery(number), "parked", "timed_out", is_new=True) for number in range(3)]
        write(on, tick(await lease(on), *rows))
        wish = Wish("acme", None, "failed", (), 0, 9, None, dry_run=False)
        with on.database.begin() as session:
            stretch = Stretch("ep_1", "topic", "id", 0, 1, 2)
            replay_store.create(session, "rpl_1", wish, [stretch], now=9)
            purge(session, before=10)
        assert on.rows() == [("1", "parked", 0)]
        with on.database.begin() as session:
            replay_store.cancel(session, "rpl_1", now=10)
            purge(session, before=10)
        assert on.rows() == []


async def test_many_are_purged_some_at_a_time(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        rows = [Saved(delivery(number), "parked", "timed_out", is_new=True) for number in range(501)]
        write(on, tick(await lease(on), *rows))
        for left in (1, 0, 0):
            before = len(on.rows())
            with on.database.begin() as session:
                assert purge(session, before=10) == before - left
            assert len(on.rows()) == left


@pytest.mark.parametrize("is_heard", [False, True])
async def test_what_was_asked_for_during_its_last_attempt_is_tried_again(
    tmp_path: Path, database_url: str, *, is_heard: bool
) -> None:
    """Who has heard of it tries it at once; who has not yet finds a row that waits."""
    async with stage(tmp_path, database_url, endpoint()) as on:
        held, one = await lease(on), delivery(1)
        write(on, tick(held, Saved(one, "pending", None, is_new=True)))
        with on.database.begin() as session:
            row = asking.find(session, one.endpoint, one.ref)
            assert row is not None
            asking.ask(session, row, state="pending", now=20)
        outbox = Outbox()
        outbox.note_row(one.endpoint, one.ref)
        outbox.save(Saved(replace(one, attempts=2), "parked", "timed_out", is_new=False))
        if is_heard:
            outbox.hear(one.endpoint, one.ref, 20)
        write(on, outbox.make_tick(held, spans=[], drained=[], moves=[]), now=21)
        assert on.rows() == [("1", "parked" if is_heard else "pending", 2)]


async def test_what_was_given_up_during_its_last_attempt_is_cancelled_and_not_parked_too(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        held, outbox = await lease(on), Outbox()
        for number in (1, 2):
            outbox.save(Saved(delivery(number), "pending", None, is_new=True))
        write(on, outbox.make_tick(held, spans=[], drained=[], moves=[]))
        with on.database.begin() as session:
            row = asking.find(session, "ep_1", delivery(1).ref)
            assert row is not None
            asking.ask(session, row, state="cancelled", now=9)
        tidings = Tidings()
        for number in (1, 2):
            ended = replace(delivery(number), attempts=10)
            outbox.add(VOICE.parked(ended, "timed_out", 10))
            outbox.tell(tidings.parked(endpoint(), ended, "timed_out", 10))
            outbox.save(Saved(ended, "parked", "timed_out", is_new=False))
        made = outbox.make_tick(held, spans=[], drained=[], moves=[])
        assert len(made.told) == 2
        write(on, made, now=10)
        assert {row[:2] for row in on.rows()} == {("1", "cancelled"), ("2", "parked")}
        assert [one.ref for one in on.evidence("delivery.parked")] == [delivery(2).ref]
        with on.database.begin() as session:
            told = session.connection().exec_driver_sql("SELECT event_id FROM gateway_announcement")
            assert [format_ref(delivery(2).ref) in name for (name,) in told] == [True]
