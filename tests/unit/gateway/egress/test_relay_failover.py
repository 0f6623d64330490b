"""A standby that became primary may lack the last ticks: what a relay had written there is not there."""

from pathlib import Path

import pytest
from sqlalchemy import delete, update

from gateway.rows import DeliveryRow, PositionRow
from tests.unit.gateway.egress.stage import FlakyDatabase, answer, endpoint, stage


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
