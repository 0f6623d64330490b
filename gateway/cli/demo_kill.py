"""The bad moment: the gateway is killed while it works on batches, and is sent everything again."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.cli.demo_http import Reply
from gateway.cli.demo_inbound import BATCH, keyed_receipts
from gateway.cli.demo_material import Sendable, as_lines, batches
from gateway.cli.demo_scene import LINES, PRICE, Scene
from gateway.cli.demo_words import DemoError

AT_ONCE: Final = 3
_FEWEST_BATCHES: Final = 12
_PAUSE_SECONDS: Final = 0.3
_FRACTION: Final = 3
_LOOK_SECONDS: Final = 0.002
_ARRIVING_SECONDS: Final = 0.1
_MOST_TRIES: Final = 40
_PATH: Final = f"/v1/events/{PRICE}"

Batch = tuple[Sendable, ...]


@dataclass(slots=True, eq=False)
class Burst:
    """Batches sent side by side, up to the kill.

    `answered`: those whose answer the sender saw. `in_flight`: those under way, and since when. `quickest`:
    seconds of the answer that took least.
    """

    batches: Sequence[Batch]
    answered: dict[int, Reply] = field(default_factory=dict)
    in_flight: dict[int, float] = field(default_factory=dict)
    quickest: float = math.inf
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def is_in_the_middle(self, now: float) -> bool:
        """Whether a batch is where claims are stored and records are not, or so; or none will be again.

        That is after a third of the time that an answer takes; after two its own may be on its way. Where all
        that is left is under way, no better moment comes on a machine that is busy.
        """
        seconds = self.quickest / _FRACTION
        is_last = len(self.answered) + len(self.in_flight) == len(self.batches)
        return is_last or any(seconds <= now - begun <= 2 * seconds for begun in self.in_flight.values())


async def kill_in_mid_batch(scene: Scene, prices: Sequence[Sendable]) -> None:
    """Kill the gateway while requests are under way; start it again; repeat all of them blindly."""
    tell = scene.tell
    size = max(1, min(BATCH, len(prices) // _FEWEST_BATCHES))
    burst = Burst(batches(prices, size))
    tell.say(
        f"Globex sends another {len(prices)} prices, {AT_ONCE} batches at a time. While {_named(scene)} "
        "works on them it is killed: no warning, no time to tidy up."
    )
    tell.command(f"kill -KILL {scene.gateway.pid}")
    cut = await _send_until_killed(scene, burst)
    unsent = len(burst.batches) - len(burst.answered) - len(cut)
    tell.good(
        f"killed in the middle; batches answered: {len(burst.answered)}, under way: {len(cut)}, "
        f"never sent: {unsent}"
    )
    if scene.stage.servers is not None:
        tell.say("The other roles, processes of their own, have gone on working.")
        scene.stage.verify_alive()
    tell.say("The same command starts it again, on the same data. Nobody repairs anything.")
    tell.command(scene.stage.commands[-1])
    began = scene.ticks()
    scene.gateway = scene.stage.start_door()
    await scene.stage.ready(scene.gateway, scene.operator.is_ready)
    tell.good(f"it serves again after {scene.ticks() - began:.1f} s")
    await _repeat(scene, burst)


async def _send_until_killed(scene: Scene, burst: Burst) -> set[int]:
    """Send side by side; kill a moment after the first answer. The batches that were under way then."""
    turns, first = asyncio.Semaphore(AT_ONCE), asyncio.Event()

    async def send(index: int) -> None:
        async with turns:
            for _ in range(_MOST_TRIES):
                if burst.over.is_set():
                    return
                burst.in_flight[index] = begun = scene.ticks()
                reply = await scene.partners["globex"].send(_PATH, as_lines(burst.batches[index]), LINES)
                burst.in_flight.pop(index, None)
                if reply is not None and not reply.is_away:
                    burst.answered[index] = reply
                    burst.quickest = min(burst.quickest, scene.ticks() - begun)
                    break
                await asyncio.sleep(0 if burst.over.is_set() else _PAUSE_SECONDS)
            first.set()

    async with asyncio.TaskGroup() as tasks:
        for index in range(len(burst.batches)):
            tasks.create_task(send(index))
        await first.wait()
        while len(burst.answered) < len(burst.batches):
            await asyncio.sleep(_LOOK_SECONDS)
            if burst.is_in_the_middle(scene.ticks()) and await _is_caught(scene, burst):
                break
        burst.over.set()
        cut = set(burst.in_flight)
        scene.gateway.kill()
    cut -= burst.answered.keys()
    if not cut or not burst.answered:
        raise DemoError(
            f"the kill came at the wrong moment: {len(burst.answered)} answers, {len(cut)} requests under way"
        )
    return cut


async def _is_caught(scene: Scene, burst: Burst) -> bool:
    """Whether it stands still now with a batch in its hands; where none is left, it goes on.

    On a machine that is busy answers may be on their way already when they seem far: first they arrive.
    """
    before = set(burst.in_flight)
    scene.gateway.hold()
    await asyncio.sleep(_ARRIVING_SECONDS)
    if before & burst.in_flight.keys():
        return True
    scene.gateway.let_go()
    return False


async def _repeat(scene: Scene, burst: Burst) -> None:
    """Send every batch again, answered or not; what was answered must be answered alike."""
    tell = scene.tell
    before = await scene.operator.topic("/v1/partners/globex/stream", "inbound")
    old: dict[tuple[str, str, str], str] = {}
    for index, reply in burst.answered.items():
        old |= keyed_receipts(reply, "globex", "inbound", burst.batches[index])
    scene.receipts |= old
    tell.say(
        f"The topic holds {len(before)} prices now. Globex cannot know what arrived, and sends all of these "
        f"{len(burst.batches)} batches again."
    )
    told: dict[str, int] = {"accepted": 0, "duplicates": 0}
    with tell.waiting("batches", len(burst.batches)) as shown:
        for number, batch in enumerate(burst.batches, 1):
            reply = await scene.partners["globex"].send_surely(_PATH, as_lines(batch), LINES)
            new = keyed_receipts(reply, "globex", "inbound", batch)
            _verify_same(old, new)
            scene.receipts |= new
            told = {name: count + int(_whole(reply)[name]) for name, count in told.items()}
            shown(number)
    unseen = told["duplicates"] - len(old)
    tell.good(
        f"{told['duplicates']} were known and got their first receipt ({unseen} of them had been taken "
        f"although no answer came), {told['accepted']} are new"
    )


def _verify_same(old: dict[tuple[str, str, str], str], new: dict[tuple[str, str, str], str]) -> None:
    changed = [key for key, receipt in new.items() if old.get(key, receipt) != receipt]
    if changed:
        raise DemoError(f"{len(changed)} events got another receipt after the kill, first {changed[0][2]}")


def _named(scene: Scene) -> str:
    return "the gateway" if scene.stage.servers is None else "the process that serves HTTP"


def _whole(reply: Reply) -> dict[str, Any]:
    return dict(reply.document)
