import asyncio
from collections.abc import Sequence
from pathlib import Path

from structlog.testing import capture_logs

from gateway.broker.port import BrokerError, Reader, ReadEvent, Start
from gateway.broker.refusal import QUIET_MS, Refusal
from tests.unit.gateway.ingress.brokers import WilfulBroker
from tests.world import FIRST, running

PLOTS = 4
"""What one partner has the sequencer read, once it has heard of all of its topics."""

DENIED = BrokerError("broker_refused", "reading the topic t: Kafka refuses, says the test")


class Denying:
    """A reader that may not read something: every other poll without events says so."""

    def __init__(self, reader: Reader, broker: "Strict") -> None:
        self._reader = reader
        self._broker = broker
        self.release = reader.release
        self.reached = reader.reached
        self.is_current = reader.is_current
        self.close = reader.close

    def assign(self, starts: Sequence[Start]) -> None:
        """Assign; how often is counted."""
        self._broker.assigned += len(starts)
        self._reader.assign(starts)

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        """Poll the other reader."""
        events = await self._reader.poll(limit, wait_ms)
        if self._broker.is_denying and not events:
            self._broker.empty += 1
            if self._broker.empty % 2:
                raise DENIED
        return events


class Strict(WilfulBroker):
    """A broker whose readers deny. `assigned`: starts given to them; `empty`: polls without events."""

    is_denying = False
    assigned = 0
    empty = 0

    def reader(  # type: ignore[override]  # the embedded one names its own class
        self, *, patience_ms: int = 0
    ) -> Reader:
        """A reader that denies."""
        return Denying(super().reader(patience_ms=patience_ms), self)


async def until_assigned(broker: Strict) -> None:
    """The entries of a contract may come before its topics are read."""
    for _ in range(6_000):
        if broker.assigned >= PLOTS:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{broker.assigned} starts")


async def until_polled(broker: Strict, times: int) -> None:
    target = broker.empty + times
    for _ in range(6_000):
        if broker.empty >= target:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{broker.empty} polls, {target} awaited")


async def test_what_may_not_be_read_is_told_without_a_flicker_and_holds_up_nothing_else(
    tmp_path: Path,
) -> None:
    broker = Strict(tmp_path)
    async with running(tmp_path, broker=broker, flags={"audit.tick": "20ms"}) as world:
        await world.apply()
        await world.settled(FIRST)
        await until_assigned(broker)
        sequencer = world.parts.sequencer
        assert sequencer.refused == ""
        broker.is_denying = True
        await until_polled(broker, 2)
        told = set()
        for _ in range(5):
            await until_polled(broker, 1)
            told.add(sequencer.refused)
        assert told == {str(DENIED)}
        await world.send({"order_id": "A-1", "qty": 1})
        await world.settled(FIRST + 1)
        assert broker.assigned == PLOTS


def test_a_refusal_that_is_not_repeated_holds_no_more() -> None:
    refusal = Refusal()
    assert refusal.words(now=0) == ""
    refusal.note(DENIED, now=1_000)
    assert refusal.words(now=1_000 + QUIET_MS) == str(DENIED)
    refusal.note(DENIED, now=2_000)
    assert refusal.words(now=2_000 + QUIET_MS) == str(DENIED)
    assert refusal.words(now=2_001 + QUIET_MS) == ""
    assert refusal.words(now=2_002 + QUIET_MS) == ""


def test_refusals_that_take_turns_are_logged_once_each_and_told_by_the_first() -> None:
    refusal = Refusal()
    other = BrokerError("broker_refused", "reading the topic u: Kafka refuses, says the test")
    with capture_logs() as lines:
        for turn in range(5):
            refusal.note(other if turn % 2 else DENIED, now=turn)
            assert refusal.words(now=turn) == str(DENIED)
    assert [line["reason"] for line in lines] == [str(DENIED), str(other)]
    refusal.note(other, now=QUIET_MS)
    assert refusal.words(now=QUIET_MS + 5) == str(other)
