"""Due times are fixed beforehand, percentiles are values that occurred, and proofs are matched by count."""

import asyncio
import itertools
import math
import re
import time

import pytest

from bench.evenly import due_name, evenly, percentile, summary, waits
from bench.half_load import half_of
from bench.outcome import Half
from bench.watching import Watch, open_watch, size_of

RATE = 1_000.0


async def test_events_are_due_evenly_however_late_they_come() -> None:
    due: list[float] = []

    def each(at: float) -> None:
        due.append(at)
        if len(due) == 10:
            time.sleep(0.03)

    assert await evenly(RATE, 0.1, each) == 100
    steps = [second - first for first, second in itertools.pairwise(due)]
    assert steps == pytest.approx([1 / RATE] * 99, abs=1e-6)


async def test_less_than_one_event_is_none() -> None:
    assert await evenly(0.5, 1.0, lambda _: None) == 0


def test_the_name_of_an_event_holds_microseconds() -> None:
    assert due_name(12.3456789) == "due@12345678"


@pytest.mark.parametrize(
    ("count", "percent", "found"),
    [
        (1, 50, 1),
        (1, 99, 1),
        (2, 50, 1),
        (3, 50, 2),
        (100, 50, 50),
        (100, 99, 99),
        (101, 99, 100),
        (9, 100, 9),
    ],
)
def test_a_percentile_is_the_smallest_that_so_many_do_not_exceed(
    count: int, percent: int, found: int
) -> None:
    assert percentile(range(1, count + 1), percent) == found


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 50) == math.inf


def test_a_summary_is_in_milliseconds() -> None:
    assert summary([0.003, 0.001, 0.002]) == pytest.approx({"p50_ms": 2, "p99_ms": 3, "max_ms": 3})


def test_an_event_waits_for_the_first_sight_of_so_many() -> None:
    sightings = [(0.0, 0), (1.0, 1), (2.0, 3), (3.0, 3)]
    assert list(waits([0.5, 1.5, 2.5], sightings)) == [0.5, 0.5, 0.0]


def test_what_was_never_seen_waits_for_ever() -> None:
    assert list(waits([0.5, 0.6], [(1.0, 1)])) == [0.5, math.inf]
    assert list(waits([0.5], [])) == [math.inf]


def test_the_second_line_of_a_checkpoint_is_its_size() -> None:
    assert size_of(b"host/log/name/1\n42\nroot\n\n- signature\n") == 42
    for text in (b"", b"origin\n42", b"origin\n-1\nroot\n", b"{}\n\n\n"):
        with pytest.raises(ValueError, match=re.escape("no checkpoint")):
            size_of(text)


async def watched(answers: list[tuple[int, bytes]], wanted: int) -> tuple[Watch, list[bytes]]:
    """A watch that has followed until `wanted`, where a server gives these answers; and what it was asked."""
    asked: list[bytes] = []
    is_over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for status, body in answers:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        await reader.read()
        writer.close()
        await writer.wait_closed()
        is_over.set()

    async with asyncio.timeout(30), await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        watch = await open_watch(f"http://127.0.0.1:{port}", "/log/n/1/checkpoint", "Bearer key", None)
        await watch.follow(lambda entries: entries >= wanted)
        watch.writer.close()
        await watch.writer.wait_closed()
        await is_over.wait()
    return watch, asked


async def test_a_watch_counts_entries_beyond_the_first_sight() -> None:
    sizes = (5, 5, 7, 8)
    watch, asked = await watched([(200, b"origin\n%d\nroot\n" % size) for size in sizes], 3)
    assert [entries for _, entries in watch.sightings] == [0, 0, 2, 3]
    assert asked[0].startswith(b"GET /log/n/1/checkpoint HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer key\r\n" in asked[-1]


async def test_an_error_is_no_sight_of_a_checkpoint() -> None:
    answers = [(200, b"origin\n5\nroot\n"), (503, b"{}"), (200, b"origin\n6\nroot\n")]
    watch, asked = await watched(answers, 1)
    assert [entries for _, entries in watch.sightings] == [0, 1]
    assert len(asked) == 3


def test_a_half_load_has_the_words_of_its_generator() -> None:
    latency = {"p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 3.0}
    assert half_of(50.0, latency, {"busy": 0.25, "refused": 2}) == Half(50.0, 1.0, 2.0, 3.0, 0.25, 2)
    assert half_of(50.0, latency, {"busy": 0.25}).refused == 0
