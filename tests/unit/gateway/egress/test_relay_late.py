"""A relay that hears late that a shard is not its own any more."""

import asyncio
from pathlib import Path

from tests.unit.gateway.egress.stage import endpoint, stage


async def test_a_shard_that_is_dropped_late_takes_nothing_from_the_one_in_its_place(
    tmp_path: Path, database_url: str
) -> None:
    """A tick that took long is refused once the lease was lost, and had again."""
    async with stage(tmp_path, database_url, endpoint()) as on:
        stop, relay = asyncio.Event(), on.relay()
        await on.produce("a")
        async with asyncio.TaskGroup() as group:
            group.create_task(relay.run(stop))
            await on.until(lambda: on.position() == 1, "settled")
            late = relay._outbound._spots[on.topic_id, 0]
            relay._drop(late)
            await on.until(lambda: (on.topic_id, 0) in relay._outbound._spots, "begun anew")
            relay._drop(late)
            await on.produce("b")
            await on.until(lambda: on.receiver.ids() == ["a", "b"], "goes on")
            stop.set()
