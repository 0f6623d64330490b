"""A standby that became primary may lack the last ticks: what a relay had written there is not there."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from gateway.egress.courier import Courier
from gateway.leases import shard_of
from gateway.rows import DeliveryRow, PositionRow
from tests.unit.gateway.egress.stage import FlakyDatabase, answer, endpoint, now, stage


async def test_what_another_server_never_received_is_read_and_sent_again(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FlakyDatabase, "life", "the first")
    slow = endpoint(delays=(0, 1, 1, 1))
    async with stage(tmp_path, database_url, slow) as on:
        on.receiver.reply = lambda _, __: answer(503, "server_error")
        async with on.relaying():
            await on.produce("a")
            await on.until(lambda: on.rows() == [("a", "pending", 1)], "saved")
            with on.database.begin() as session:
                session.execute(delete(DeliveryRow))
                session.execute(update(PositionRow).values(next=0))
            on.receiver.reply = lambda _, __: answer()
            monkeypatch.setattr(FlakyDatabase, "life", "another")
            await on.until(lambda: on.receiver.ids() == ["a", "a"], "sent again")
            await on.until(lambda: on.position() == 1 and not on.rows(), "settled")


async def test_what_keeps_its_order_waits_for_posts_that_were_given_up_with_their_shard(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FlakyDatabase, "life", "the first")
    async with stage(tmp_path, database_url, endpoint(order="endpoint")) as on, asyncio.TaskGroup() as tasks:
        relay, stop, before = on.relay(), asyncio.Event(), now()
        tasks.create_task(relay.run(stop))
        on.receiver.gate.clear()
        await on.produce("a", "b")
        await on.until(lambda: on.receiver.flying == 1, "under way")
        (first,) = [work for work in relay._works.values() if work.posts]
        monkeypatch.setattr(FlakyDatabase, "life", "another")
        await on.until(lambda: first not in relay._works.values(), "given up")
        await on.until(lambda: len(relay._works) == 2, "begun anew")
        again = relay._works[first.shard.lease.shard]
        assert again.shard._quiet_until >= before + on.receiver.deadline_ms
        on.receiver.gate.set()
        await on.until(lambda: on.receiver.ids() == ["a", "a", "b"], "in order")
        await on.until(lambda: on.position() == 2, "settled")
        stop.set()


async def at_once(*_: object) -> None:
    """Wait for no POST that is under way."""


async def test_what_keeps_its_order_waits_for_posts_that_a_stop_has_given_up(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Courier, "rest", at_once)
    monkeypatch.setattr("gateway.egress.relay._GRACE_SECONDS", 60.0)
    async with stage(tmp_path, database_url, endpoint(order="endpoint")) as on, asyncio.TaskGroup() as tasks:
        on.receiver.deadline_ms = 3_000
        first, stop = on.relay(owner="one"), asyncio.Event()
        on.receiver.gate.clear()
        running = tasks.create_task(first.run(stop))
        await on.produce("a", "b")
        await on.until(lambda: on.receiver.flying == 1, "under way")
        stop.set()
        await running
        assert on.receiver.flying == 0
        before, second, stop = now(), on.relay(owner="two"), asyncio.Event()
        tasks.create_task(second.run(stop))
        await on.until(lambda: len(second._works) == 2, "taken at once")
        quiet = {work.shard.lease.shard: work.shard._quiet_until for work in second._works.values()}
        mine = shard_of("acme", 2)
        assert quiet[mine] >= before + on.receiver.deadline_ms
        assert quiet[1 - mine] == 0
        on.receiver.gate.set()
        await on.until(lambda: on.receiver.ids() == ["a", "a", "b"], "in order")
        await on.until(lambda: on.position() == 2 and not on.rows(), "settled")
        numbers = [(each.text("id"), each.members["number"]) for each in on.evidence("delivery.attempted")]
        assert sorted(numbers, key=str) == [("a", 1), ("b", 1)]
        stop.set()


async def test_what_keeps_its_order_waits_for_posts_that_a_newcomers_share_has_cut_off(
    tmp_path: Path, database_url: str
) -> None:
    mine = shard_of("acme", 2)
    assert mine == 1, "the first one keeps the other"
    async with stage(tmp_path, database_url, endpoint(order="endpoint")) as on, asyncio.TaskGroup() as tasks:
        on.receiver.deadline_ms = 60_000
        first, second, stop = on.relay(owner="one"), on.relay(owner="two"), asyncio.Event()
        on.receiver.gate.clear()
        tasks.create_task(first.run(stop))
        await on.produce("a", "b")
        await on.until(lambda: on.receiver.flying == 1, "under way")
        before = now()
        tasks.create_task(second.run(stop))
        await on.until(lambda: mine in second._works, "taken over")
        await on.until(lambda: on.receiver.flying == 0, "cut off")
        assert second._works[mine].shard.lease.is_inherited
        assert second._works[mine].shard._quiet_until >= before + on.receiver.deadline_ms
        stop.set()
