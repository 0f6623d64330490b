import asyncio

import pytest

from gateway import second_looks
from gateway.errors import StoreError
from gateway.second_looks import SecondLooks


class Looks:
    """Looks that take as long as they are told to, and what `SecondLooks` asks of them."""

    def __init__(self) -> None:
        self.began = self.ended = 0
        self.looked_at = -1.0
        self.seconds = 0.0
        self.error: Exception | None = None
        self.over = asyncio.Event()

    def ticks(self) -> float:
        return asyncio.get_running_loop().time()

    async def look(self) -> None:
        self.began += 1
        at = self.ticks()
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        self.looked_at = at
        self.ended += 1
        self.over.set()


async def test_one_look_serves_all_that_ask_meanwhile() -> None:
    looks = Looks()
    looks.seconds = 0.05
    again = SecondLooks(looks.ticks)
    await asyncio.gather(*(again.after(lambda: looks.looked_at, looks.look) for _ in range(50)))
    assert 1 <= looks.ended <= 2


async def test_a_look_that_nobody_waits_for_any_more_goes_on_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(second_looks, "PATIENCE_SECONDS", 0.05)
    looks = Looks()
    looks.seconds = 0.3
    again = SecondLooks(looks.ticks)
    await again.after(lambda: looks.looked_at, looks.look)
    assert (looks.began, looks.ended) == (1, 0)
    await again.after(lambda: looks.looked_at, looks.look)
    assert looks.began == 1
    async with asyncio.timeout(5):
        await looks.over.wait()
    looks.seconds = 0.0
    await again.after(lambda: looks.looked_at, looks.look)
    assert looks.ended == 2


async def test_where_the_database_is_away_it_is_as_if_nothing_was_found() -> None:
    looks = Looks()
    looks.error = StoreError("store_unavailable", "away")
    again = SecondLooks(looks.ticks)
    await asyncio.gather(*(again.after(lambda: looks.looked_at, looks.look) for _ in range(20)))
    assert looks.began <= 2
