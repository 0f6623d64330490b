import asyncio
from typing import cast

import pytest

from gateway.bootstrap import fellows
from gateway.bootstrap.board import Board
from gateway.bootstrap.fellows import Fellows
from gateway.catalog import Catalog
from tests.waiting import LONG_SECONDS


class Followed:
    """A catalog that counts how often it was asked to follow."""

    def __init__(self) -> None:
        self.times = 0

    async def follow(self) -> None:
        self.times += 1


def fellow(board: Board, number: int) -> tuple[Fellows, Followed]:
    followed = Followed()
    return Fellows(board, number, cast("Catalog", followed)), followed


async def test_a_change_is_answered_once_the_others_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fellows, "PATIENCE_SECONDS", LONG_SECONDS)
    board, stop, told = Board(2), asyncio.Event(), []
    first, _ = fellow(board, 0)
    second, followed = fellow(board, 1)

    async def own() -> None:
        told.append("own")

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(second.run(stop))
        await first.telling(own)()
        assert told == ["own"]
        assert followed.times > 0
        assert board.is_heard(0, 1)
        before = followed.times
        await first.telling(own)()
        assert followed.times > before
        stop.set()
        await running


async def test_nobody_waits_for_ever_for_one_that_is_gone() -> None:
    board = Board(2)
    first, _ = fellow(board, 0)

    async def own() -> None:
        """Nothing to do."""

    async with asyncio.timeout(30):
        await first.telling(own)()
    assert not board.is_heard(0, 1)
