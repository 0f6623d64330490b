"""Who goes on beyond its quota waits for its refusals; nobody else does, and nobody waits without end."""

import asyncio

from gateway.http.brake import FREE, HOLD_SECONDS, MOST, MOST_HELD, Brake


class Held:
    """A clock that a test turns, and pauses that it ends."""

    def __init__(self) -> None:
        self.now = 0.0
        self.go = asyncio.Event()
        self.waiting = 0

    async def pause(self, seconds: float) -> None:
        assert seconds == HOLD_SECONDS
        self.waiting += 1
        await self.go.wait()
        self.waiting -= 1

    def brake(self) -> Brake:
        return Brake(lambda: self.now, self.pause)


async def test_the_first_refusals_of_a_second_are_told_at_once_and_the_others_wait() -> None:
    held = Held()
    brake = held.brake()
    for _ in range(FREE):
        await brake.hold("acme")
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(brake.hold("acme"))
        await asyncio.sleep(0)
        assert held.waiting == 3
        await brake.hold("globex")
        held.now += HOLD_SECONDS
        await brake.hold("acme")
        held.go.set()
    assert held.waiting == 0


async def test_only_so_many_wait_of_one_caller_and_of_all() -> None:
    held = Held()
    brake = held.brake()
    async with asyncio.TaskGroup() as tasks:
        for who in range(8):
            for _ in range(FREE + MOST_HELD + 50):
                tasks.create_task(brake.hold(f"p{who}"))
        for _ in range(3):
            await asyncio.sleep(0)
        assert held.waiting == MOST
        held.go.set()
    held.go.clear()
    await asyncio.gather(*(brake.hold("new") for _ in range(FREE)))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(MOST_HELD + 50):
            tasks.create_task(brake.hold("new"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert held.waiting == MOST_HELD
        held.go.set()


async def test_who_goes_away_makes_room() -> None:
    held = Held()
    brake = held.brake()
    for _ in range(FREE):
        await brake.hold("acme")
    tasks = [asyncio.create_task(brake.hold("acme")) for _ in range(MOST_HELD)]
    await asyncio.sleep(0)
    for one in tasks:
        one.cancel()
    await asyncio.wait(tasks)
    again = asyncio.create_task(brake.hold("acme"))
    await asyncio.sleep(0)
    assert not again.done()
    held.go.set()
    await again
