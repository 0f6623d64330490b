"""What waits for one endpoint, and what the others of its partner got meanwhile."""

from pathlib import Path

import pytest

from gateway.dialler import Answer, Outgoing
from gateway.egress.shard import Shard
from tests.unit.gateway.egress.stage import answer, endpoint, stage

QUICK, ORDERED = endpoint("ep_1"), endpoint("ep_2", order="endpoint")


def only_the_quick_one(outgoing: Outgoing, _: int) -> Answer:
    return answer() if outgoing.url == QUICK.url else answer(503, "server_error")


@pytest.mark.parametrize("is_late", [True, False])
async def test_what_one_endpoint_waits_for_is_not_sent_to_the_others_again_after_a_stop(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, *, is_late: bool
) -> None:
    """Be it that it has waited for long, and then nothing has to be written at the stop, or not."""
    monkeypatch.setattr("gateway.egress.debts.PATIENCE_MS", 1 if is_late else 600_000)
    async with stage(tmp_path, database_url, QUICK, ORDERED) as on:
        on.receiver.reply = only_the_quick_one
        with monkeypatch.context() as patched:
            if is_late:
                patched.setattr(Shard, "keep_waiting", lambda _: None)
            async with on.relaying(owner="one"):
                await on.produce("a", "b", "c")
                await on.until(lambda: len(on.receiver.ids(QUICK.url)) == 3, "the first has all")
                await on.until(lambda: len(on.rows()) == (3 if is_late else 1), "the head has failed")
        assert [name for name, _, _ in on.rows()] == ["a", "b", "c"]
        on.receiver.reply = lambda _, __: answer()
        seen = len(on.receiver.seen)
        async with on.relaying(owner="two"):
            await on.until(lambda: not on.rows(), "all is sent")
        assert sorted(on.receiver.ids(QUICK.url)) == ["a", "b", "c"]
        assert [each.url for each in on.receiver.seen[seen:]] == [ORDERED.url] * 3
        assert on.receiver.ids(ORDERED.url)[-3:] == ["a", "b", "c"]


async def test_what_waits_is_written_in_time_though_nothing_stirs(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.egress.debts.PATIENCE_MS", 300)
    async with stage(tmp_path, database_url, ORDERED) as on:
        on.receiver.gate.clear()
        async with on.relaying():
            await on.produce("a", "b")
            await on.until(lambda: on.rows() == [("a", "pending", 0), ("b", "pending", 0)], "seen", seconds=8)
            assert on.position() == 2
            on.receiver.gate.set()
            await on.until(lambda: not on.rows(), "sent")
        assert on.receiver.ids() == ["a", "b"]
