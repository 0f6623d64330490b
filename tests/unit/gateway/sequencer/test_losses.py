from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col

from audit.search import find
from gateway.broker.port import Position
from gateway.database import Database
from gateway.leases import Leases
from gateway.positions import Move, Progress, advance, load_all
from gateway.rows import PositionRow
from gateway.sequencer import role
from gateway.sequencer.losses import Told, ends_of, look_for
from gateway.sequencer.orphans import Gone
from gateway.sequencer.round import Round, write_round
from gateway.sequencer.territory import Plot
from tests.unit.gateway.ingress.brokers import TOPIC, WilfulBroker
from tests.unit.gateway.sequencer.test_orphans import ORIGINS, claimed
from tests.world import FIRST, running


async def test_a_loss_with_many_events_is_logged_in_several_rounds_before_it_is_passed(
    database_url: str,
) -> None:
    database = Database(database_url)
    (lease,) = await Leases(database, "sequence", owner="me", shards=1, duration_ms=60_000).hold()
    plot = Plot(lease, "acme", "inbound", TOPIC, "now", 0)
    with database.begin() as session:
        for number in range(5):
            claimed(session, f"E-{number}", Position("now", 0, number))
    told, entries, rounds = Told(), 0, 0
    while not told.words:
        losses = await look_for(database, [Gone(plot, (0, 9))], limit=2)
        orphans = [one for each in losses.orphans.values() for one in each]
        with database.begin() as session:
            todo = Round(losses.under_leases([]), [], [], ORIGINS, {}, {}, orphans=orphans)
            entries += write_round(session, todo).entries
        told.tell(losses)
        rounds += 1
        assert losses.holes() == ({(TOPIC, 0): 9} if told.words else {})
    assert (entries, rounds) == (5, 3)
    assert "5 accepted events among them" in told.words[TOPIC, 0]
    database.close()


async def test_losses_of_many_partitions_are_logged_in_several_rounds_too(database_url: str) -> None:
    database = Database(database_url)
    (lease,) = await Leases(database, "sequence", owner="me", shards=1, duration_ms=60_000).hold()
    plots = [Plot(lease, "acme", "inbound", TOPIC, "now", number) for number in range(3)]
    with database.begin() as session:
        for number in range(6):
            claimed(session, f"E-{number}", Position("now", number // 2, number % 2))
    told, made = Told(), list[int]()
    while len(told.words) < len(plots):
        gone = [Gone(one, (0, 9)) for one in plots if (TOPIC, one.partition) not in told.words]
        losses = await look_for(database, gone, limit=3)
        with database.begin() as session:
            todo = Round(losses.under_leases([]), [], [], ORIGINS, {}, {}, orphans=losses.events())
            made.append(write_round(session, todo).entries)
        told.tell(losses)
    assert made == [3, 3, 0]
    assert {words.count("2 accepted events among them") for words in told.words.values()} == {1}
    database.close()


async def test_former_topics_are_settled_with_the_last_of_their_events(database_url: str) -> None:
    database = Database(database_url)
    (lease,) = await Leases(database, "sequence", owner="me", shards=1, duration_ms=60_000).hold()
    plot = Plot(lease, "acme", "inbound", TOPIC, "now", 0)
    with database.begin() as session:
        advance(session, lease, [Move(TOPIC, "former", 0, None, Progress(4))])
    losses = await look_for(database, [Gone(plot, None)])
    assert losses.renewed() == [plot]
    assert losses.holes() == {}
    with database.begin() as session:
        write_round(
            session, Round(losses.under_leases([]), [], [], ORIGINS, {}, {}, renewed=losses.renewed())
        )
        assert load_all(session, "sequence") == {}
    database.close()


async def test_a_topic_that_went_again_has_no_end_and_stops_no_other(tmp_path: Path) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        await world.settled(FIRST)
        (lease, *_) = world.parts.sequencer.leases.held
        there = Plot(lease, "acme", "inbound", TOPIC, "now", 0)
        gone = Plot(lease, "acme", "outbound", "partners.gone.outbound", "now", 0)
        assert await ends_of(broker, [gone, there]) == {there: 0}


async def test_what_is_accepted_while_losses_of_a_cut_topic_are_looked_for_is_not_lost(
    database_url: str,
) -> None:
    database, asked = Database(database_url), [5]
    (lease,) = await Leases(database, "sequence", owner="me", shards=1, duration_ms=60_000).hold()
    plot = Plot(lease, "acme", "inbound", TOPIC, "now", 0)
    with database.begin() as session:
        claimed(session, "accepted", Position("now", 0, 5))
        lost = claimed(session, "lost", Position("now", 0, 9))

    async def ends(plots: Sequence[Plot]) -> dict[Plot, int]:
        # One more has been appended and accepted, each time.
        asked.append(asked[-1] + 1)
        return dict.fromkeys(plots, asked[-2])

    losses = await look_for(database, [], cut=[plot], ends=ends)
    assert [one.ref for one in losses.events()] == [lost.ref]
    with database.begin() as session:
        write_round(session, Round(losses.under_leases([]), [], [], ORIGINS, {}, {}, orphans=losses.events()))
    told, losses = Told(), await look_for(database, [], cut=[plot], ends=ends)
    told.tell(losses)
    assert told.words == {}, "of a cut that lost nothing, nothing is said"
    database.close()


async def test_what_was_lost_behind_the_end_of_a_topic_gets_its_entry_though_nothing_more_comes(
    tmp_path: Path, database_url: str
) -> None:
    """The broker has lost records that nobody had read; what had been read ends before them."""
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send({"order_id": "A-1", "qty": 1}, {"order_id": "A-2", "qty": 2})
        await world.settled(FIRST + 2)
        partner = world.parts.catalog.current.directory.partner("acme")
        assert partner is not None
        log = f"{world.parts.ground.host}/log/{partner.log}"
        topic_id = world.parts.catalog.current.topic_ids[TOPIC]
    database = Database(database_url)
    with database.begin() as session:
        session.execute(update(PositionRow).where(col(PositionRow.topic) == TOPIC).values(next=5))
        for offset in (5, 7):
            claimed(session, f"lost-{offset}", Position(topic_id, 0, offset), log=log)
    database.close()
    async with running(tmp_path, url=database_url) as world:
        await world.settled(2)
        assert "2 accepted events had no log entry" in world.parts.sequencer.told.words[TOPIC, 0]
        with world.parts.ground.database.begin() as session:
            found = {row.first.event_id for row in find(session, log).rows}
        assert found == {"A-1", "A-2", "lost-5", "lost-7"}


async def test_what_is_confirmed_after_its_topic_was_settled_gets_its_entry(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "_STRAYS_SECONDS", 0.1)
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send({"order_id": "A-1", "qty": 1}, {"order_id": "A-2", "qty": 2})
        await world.settled(FIRST + 2)
        partner = world.parts.catalog.current.directory.partner("acme")
        assert partner is not None
        log = f"{world.parts.ground.host}/log/{partner.log}"
        late = [Position("former", 0, 7), Position(world.parts.catalog.current.topic_ids[TOPIC], 0, 1)]
        with world.parts.ground.database.begin() as session:
            for number, position in enumerate(late):
                claimed(session, f"late-{number}", position, log=log)
        await world.settled(FIRST + 4)
        assert "2 accepted events had no log entry" in world.parts.sequencer.told.words[TOPIC, 0]
        with world.parts.ground.database.begin() as session:
            found = {row.first.event_id for row in find(session, log).rows}
        assert found == {"A-1", "A-2", "late-0", "late-1"}
