"""A round gathers what a tick brings, and drops nothing of it."""

import asyncio
from collections.abc import Sequence
from copy import copy
from pathlib import Path

import pytest

from gateway.broker.port import BrokerError, Position, Read, ReadEvent, Record, Start
from gateway.broker.refusal import Refusal
from gateway.sequencer import gathering
from gateway.sequencer.gathering import gather, next_round
from tests.waiting import LONG_SECONDS
from tests.world import running


def read(offset: int, value: bytes = b"") -> Read:
    return Read(Position("id", 0, offset), Record("t", 0, None, value, (), 0), 0)


class Pages:
    """A reader that answers each poll with the next page, or raises it; then with nothing."""

    def __init__(self, *pages: Sequence[int] | BrokerError) -> None:
        self.pages = list(pages)
        self.limits: list[int] = []
        self.value = b""
        self.places: dict[tuple[str, int], int] = {}

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        self.limits.append(limit)
        if not self.pages:
            await asyncio.sleep(wait_ms / 1000)
            return []
        page = self.pages.pop(0)
        if isinstance(page, BrokerError):
            raise page
        return [read(offset, self.value) for offset in page]

    def assign(self, starts: Sequence[Start]) -> None:
        """Nothing is assigned."""

    def release(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Nothing is released."""

    def is_current(self, event: ReadEvent) -> bool:
        return isinstance(event, Read)

    def reached(self, topic: str, partition: int) -> int | None:
        return self.places.get((topic, partition))

    async def close(self) -> None:
        """Nothing is held."""


def unexpected(error: BrokerError) -> None:
    raise AssertionError from error


class Time:
    """Passes where a round pauses, and only there: in the place of asyncio."""

    now = 100.0

    def get_running_loop(self) -> "Time":
        return self

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def after(self, seconds: float) -> float:
        return self.now + seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(gathering, "asyncio", made)
    return made


def offsets(events: Sequence[ReadEvent]) -> list[int]:
    return [event.position.offset for event in events if isinstance(event, Read)]


async def test_what_comes_within_a_tick_is_one_round(time: Time) -> None:
    reader = Pages([1], [2, 3], [], [4])
    assert offsets(await gather(reader, limit=10, tick_ms=1_000, until=time.after(1), told=unexpected)) == [
        1,
        2,
        3,
        4,
    ]


async def test_what_comes_during_the_last_pause_of_a_tick_is_of_its_round(time: Time) -> None:
    reader = Pages([1], [], [2], [3])
    assert offsets(
        await gather(reader, limit=10, tick_ms=1_000, until=time.after(0.01), told=unexpected)
    ) == [1, 2]


@pytest.mark.parametrize(("took", "apart"), [(0.001, 0.1), (0.05, 0.1), (0.08, 0.16), (0.1, 0.2), (9.0, 0.2)])
def test_quick_rounds_follow_each_other_sooner_within_half_a_tick_and_a_whole(
    took: float, apart: float
) -> None:
    assert next_round(100.0, 100.0 + took, tick_ms=200) == pytest.approx(100.0 + apart)


async def test_what_comes_after_a_rest_does_not_wait_for_a_tick(time: Time) -> None:
    reader = Pages([1, 2], [3])
    assert offsets(await gather(reader, limit=10, tick_ms=60_000, until=time.after(-1), told=unexpected)) == [
        1,
        2,
    ]
    assert reader.limits == [10]


async def test_a_round_holds_some_megabytes_and_no_more(time: Time) -> None:
    reader = Pages(*([number] for number in range(20)))
    reader.value = bytes(3 * 2**20)
    assert offsets(
        await gather(reader, limit=1_000, tick_ms=60_000, until=time.after(60), told=unexpected)
    ) == [
        0,
        1,
        2,
    ]


async def test_a_full_round_does_not_wait(time: Time) -> None:
    reader = Pages([1, 2], [3], [4])
    assert offsets(await gather(reader, limit=3, tick_ms=60_000, until=time.after(60), told=unexpected)) == [
        1,
        2,
        3,
    ]
    assert reader.limits == [3, 1]


async def test_nothing_within_a_tick_is_an_empty_round(time: Time) -> None:
    assert await gather(Pages(), limit=10, tick_ms=1, until=time.after(0), told=unexpected) == []


async def test_trouble_after_the_first_events_ends_the_round_and_is_told(time: Time) -> None:
    reader = Pages([1], BrokerError("broker_refused", "no"), BrokerError("broker_refused", "no"))
    told: list[str] = []
    events = await gather(
        reader, limit=10, tick_ms=1_000, until=time.after(1), told=lambda error: told.append(error.code)
    )
    assert (offsets(events), told) == ([1], ["broker_refused"])
    with pytest.raises(BrokerError):
        await gather(reader, limit=10, tick_ms=1_000, until=time.after(1), told=unexpected)


async def test_a_broker_that_goes_away_amid_a_round_is_not_said_to_refuse(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        sequencer = copy(world.parts.sequencer)
    told = {}
    for code in ("broker_unavailable", "broker_refused"):
        sequencer._refusal = Refusal()
        sequencer._next_at = asyncio.get_running_loop().time() + LONG_SECONDS
        assert offsets(await sequencer._poll(Pages([1], BrokerError(code, "a test said so")))) == [1]
        told[code] = sequencer._refusal.words(now=0)
    assert told == {"broker_unavailable": "", "broker_refused": "a test said so"}
