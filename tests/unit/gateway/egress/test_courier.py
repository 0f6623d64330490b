"""Who sends, and who must not any longer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

from gateway.database import Database
from gateway.egress.courier import Courier, Work
from gateway.egress.deliveries import Stored
from gateway.egress.delivery import Attempt, Delivered, Delivery
from gateway.egress.lane import Lane
from gateway.egress.posting import Poster
from gateway.leases import Lease
from tests.unit.gateway.egress.stage import endpoint
from tests.unit.gateway.egress.test_lane import delivery
from tests.unit.gateway.egress.test_shard import NOW, attempt, made

ROW = replace(delivery(0), attempts=1, body=None)


@dataclass
class Bodies:
    """A database that gives the body of a row once it may."""

    asked: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, _: Callable[[Any], Any]) -> dict[tuple[str, bytes], bytes]:
        self.asked += 1
        await self.go.wait()
        return {(ROW.endpoint, ROW.ref): b"{}"}


@dataclass
class Posts:
    """A receiver that answers once it may."""

    seen: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)
    deadline_ms: int = 15_000

    def is_erased(self, _: Delivery) -> bool:
        return False

    async def post(self, _: Lane, delivery: Delivery, body: bytes) -> Attempt:
        self.seen += 1
        await self.go.wait()
        return attempt(replace(delivery, body=body), Delivered())


@dataclass
class Scene:
    now: int = NOW
    is_ours: bool = True
    bodies: Bodies = field(default_factory=Bodies)
    posts: Posts = field(default_factory=Posts)

    def courier(self) -> Courier:
        return Courier(
            cast("Database", self.bodies),
            cast("Poster", self.posts),
            lambda: self.now,
            retried=lambda: None,
            observe=lambda _: None,
            may_send=lambda _: self.is_ours,
        )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.001)


async def test_nothing_is_sent_whose_body_came_after_the_lease_had_run_out() -> None:
    on = Scene()
    courier, work = on.courier(), Work(made(endpoint(), stored=Stored({}, (ROW,), ())))
    work.granted = 1
    running = asyncio.create_task(courier.run(work))
    reading = asyncio.create_task(courier.attend())
    await until(lambda: on.bodies.asked == 1)
    on.is_ours = False
    on.bodies.go.set()
    await until(lambda: work.posts == 0)
    assert on.posts.seen == 0
    on.is_ours, on.now, work.granted = True, NOW + 1_000, 1
    on.posts.go.set()
    work.wake.set()
    await until(lambda: work.shard.lanes["ep_1"].is_empty)
    assert on.posts.seen == 1
    running.cancel()
    reading.cancel()
    await asyncio.wait([running, reading])


async def test_a_shard_is_landing_until_posts_that_were_given_up_must_have_ended() -> None:
    on = Scene()
    on.bodies.go.set()
    courier, work = on.courier(), Work(made(endpoint(), stored=Stored({}, (ROW,), ())))
    work.granted = 1
    work.task = asyncio.create_task(courier.run(work))
    reading = asyncio.create_task(courier.attend())
    await until(lambda: on.posts.seen == 1)
    assert courier.landing == frozenset()
    courier.leave(work)
    reading.cancel()
    await asyncio.wait([work.task, reading])
    assert courier.landing == {0}
    assert courier.quiet_until(Lease("relay", 0, 2, 0)) == NOW + 15_000
    on.now += 15_000
    assert courier.landing == frozenset()


def test_a_shard_whose_former_owners_posts_may_land_is_landing_for_the_next_owner_too() -> None:
    on = Scene()
    courier = on.courier()
    assert courier.quiet_until(Lease("relay", 7, 2, 0, is_inherited=True)) == NOW + 15_000
    assert courier.quiet_until(Lease("relay", 8, 2, 0)) == 0
    assert courier.landing == {7}
    on.now += 15_000
    assert courier.landing == frozenset()
