"""How far the relay is with what partners send: told for each of those who get it, by itself."""

import math
from pathlib import Path
from typing import Any

from gateway.bootstrap.ground import clock
from gateway.bootstrap.measuring import Measuring
from gateway.metrics import Metrics
from tests.unit.gateway.egress.test_feeds import (
    FORWARDING,
    apply_globex,
    hooks,
    house_endpoint,
    placed,
    positioned,
    relaying,
)
from tests.unit.gateway.ingress.brokers import WilfulBroker
from tests.unit.gateway.test_status import status
from tests.world import World, running

INBOUND = "partners.acme.inbound"


async def behind(world: World) -> dict[str, int]:
    """Of what acme sends, by reader, how much the relay has yet to read."""
    lag: list[dict[str, Any]] = (await status(world).look())["lag"]
    assert all((one["partner"], one["topic"]) == ("acme", INBOUND) for one in lag if "reader" in one)
    return {one["reader"]: one["relay"] for one in lag if "reader" in one}


async def test_each_reader_has_a_lag_of_its_own_before_it_has_read_anything(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world:
            await apply_globex(world, f"{at.url}/globex")
            await world.apply()
            await placed(world, "before")
            assert await behind(world) == {}
            await world.apply(FORWARDING)
            await placed(world, "A-1")
            # What was sent within a minute before is read, too: whose clock was right the receipt says.
            assert await behind(world) == {"globex": 2}
            await house_endpoint(world, f"{at.url}/own", name="own", types=frozenset({"gateway.*"}))
            assert await behind(world) == {"globex": 2}
            await house_endpoint(world, f"{at.url}/desk")
            await placed(world, "A-2", "A-3")
            assert await behind(world) == {"globex": 4, "house": 2}
            async with relaying(world):
                await positioned(world, 4)
            assert await behind(world) == {"globex": 0, "house": 0}
            await placed(world, "A-4")
            assert await behind(world) == {"globex": 1, "house": 1}


async def test_metrics_say_how_much_is_unread_and_not_a_number_where_nobody_can(tmp_path: Path) -> None:
    broker, now = WilfulBroker(tmp_path), [clock()]
    with hooks() as at:
        async with running(tmp_path, broker=broker) as world:
            await world.apply()
            await house_endpoint(world, f"{at.url}/desk")
            metrics = Metrics()
            measuring = Measuring(status(world), metrics, lambda: now[0])

            async def unread() -> float:
                await measuring.measure()
                name = 'gateway_unread_records{direction="inbound",role="relay"} '
                text = metrics.render().decode()
                return float(next(one for one in text.splitlines() if one.startswith(name)).split(" ")[-1])

            assert await unread() == 0
            await placed(world, "A-1")
            assert await unread() == 0  # that was looked at a moment ago
            now[0] += 10_000
            assert await unread() == 1
            broker.away_ms = 2_000
            now[0] += 10_000
            assert math.isnan(await unread())
            broker.away_ms = 0
            now[0] -= 60_000  # a clock that was set back
            assert await unread() == 1
