"""A standby that became primary may lack the last ticks: what a relay had written there is not there."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import delete, update

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
