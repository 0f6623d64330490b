"""While our clock is off nothing is signed, entered, sent or vouched for; then all of it goes on."""

import asyncio
import time
from pathlib import Path

import pytest

from audit import log as audit_log
from audit.checkpoint import Checkpoint
from audit.note import parse_note
from gateway.bootstrap.ground import clock
from gateway.errors import AwayError
from gateway.ingress.outcome import Accepted, Failed
from tests.unit.gateway.egress.stage import Stage, endpoint, stage
from tests.world import CONTRACT, FIRST, World, running

BODY = {"order_id": "A-1", "qty": 1}
WAIT_SECONDS = 60.0


def head(world: World) -> tuple[int, str | None]:
    """How many entries acme's log has, and its published checkpoint."""
    partner = world.parts.catalog.current.directory.partner("acme")
    assert partner is not None
    with world.parts.ground.database.begin() as session:
        state = audit_log.state(session, f"{world.parts.ground.host}/log/{partner.log}/1")
    return state.head.size, state.checkpoint


async def published(world: World) -> None:
    """Wait until a checkpoint covers every entry."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        size, note = head(world)
        if note is not None and note.splitlines()[1] == str(size):
            return
        assert time.monotonic() < deadline, (size, note)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("off", [6_000, -6_000])
async def test_nothing_is_signed_or_entered_by_a_clock_that_is_off(tmp_path: Path, off: int) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        await world.settled(FIRST)
        await published(world)
        parts, before = world.parts, head(world)
        wrong = [off]
        parts.honest._clock = lambda: clock() + wrong[0]
        (refused,) = await world.send(BODY)
        assert isinstance(refused, Failed)
        assert refused.code == "clock_untrusted"
        (tried,) = await world.send(BODY, dry_run=True)
        assert isinstance(tried, Failed)
        with pytest.raises(AwayError, match="the database's"):
            await world.apply(CONTRACT.replace("acme", "bolt"), slug="bolt")
        # Somebody with a clock that is right decides something: it waits for us.
        parts.administration.clock = clock
        await world.apply("gateway: v1\npartner: acme\nname: Another name\n" + SENDS)
        async with asyncio.timeout(WAIT_SECONDS):
            while "the database's" not in parts.sequencer.problem:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        assert head(world) == before
        assert await lines(world) == 1
        with pytest.raises(AwayError):
            await parts.sequencer.checkpoints.publish([origin(world)])
        assert head(world) == before
        wrong[0] = 0
        (accepted,) = await world.send(BODY)
        assert isinstance(accepted, Accepted)
        await world.settled(FIRST + 2)
        await published(world)
        assert head(world)[0] == before[0] + 2
        async with asyncio.timeout(WAIT_SECONDS):
            while await lines(world) != 2:  # noqa: ASYNC110 - rows of a database
                await asyncio.sleep(0.02)


async def lines(world: World) -> int:
    """How many have signed what is served of acme's log: our key, and who vouches for its freshness."""
    return len(parse_note(await world.parts.shown.checkpoint(origin(world))).lines)


def origin(world: World) -> str:
    partner = world.parts.catalog.current.directory.partner("acme")
    assert partner is not None
    return Checkpoint(f"{world.parts.ground.host}/log/{partner.log}/1", 0, bytes(32)).origin


SENDS = """\
sends:
  order.placed: {schema: order.avsc, id: /order_id, key: /customer}
receives:
  order.accepted: {schema: order.avsc, id: /order_id}
"""


async def test_a_relay_with_a_clock_that_is_off_stands_still_and_goes_on(
    tmp_path: Path, database_url: str
) -> None:
    doubt = ["the clock is off"]
    async with stage(tmp_path, database_url, endpoint()) as on:
        await on.produce("a", "b")
        async with on.relaying(doubt=lambda: doubt[0]):
            await asyncio.sleep(0.3)
            assert (on.receiver.ids(), on.evidence(), on.position()) == ([], [], 0)
            doubt[0] = ""
            await on.until(lambda: on.position() == 2, "all settled")
        assert sorted(on.receiver.ids()) == ["a", "b"]


async def test_what_was_under_way_ends_when_it_began_and_is_written_later(
    tmp_path: Path, database_url: str
) -> None:
    doubt = [""]
    async with stage(tmp_path, database_url, endpoint()) as on:
        on.receiver.gate.clear()
        await on.produce("a")
        async with on.relaying(doubt=lambda: doubt[0]):
            await on.until(lambda: bool(on.receiver.seen), "sent")
            doubt[0] = "the clock is off"
            on.receiver.gate.set()
            await unwritten(on)
            doubt[0] = ""
            await on.until(lambda: on.position() == 1, "settled")
        assert [each.text("outcome") for each in on.evidence("delivery.attempted")] == ["delivered"]


async def unwritten(on: Stage) -> None:
    await asyncio.sleep(0.2)
    assert on.evidence() == []
