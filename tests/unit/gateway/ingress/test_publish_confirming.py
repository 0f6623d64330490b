"""What the publisher writes once records are stored: few statements for many events, and no word lost."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.broker.port import Position, Record, Stored
from gateway.errors import StoreError
from gateway.ingress.claims import Claim, Confirm, Write
from gateway.ingress.prepare import Prepared, prepare
from gateway.ingress.publish import Publisher
from tests.unit.gateway.ingress.channels import channel, circumstances
from tests.world import draft

ON = channel([{"name": "id", "type": "string"}, {"name": "qty", "type": "int"}])


@dataclass
class Writes:
    """Keeps what is to be written, and says of each confirmed ref that it is."""

    confirmed: list[tuple[bytes, ...]] = field(default_factory=list)

    async def submit(self, item: Write) -> None:
        assert isinstance(item, Confirm)
        self.confirmed.append(tuple(ref for ref, _, _ in item.stored))


class Broker:
    max_record_bytes = 1_000_000

    async def append(self, records: Sequence[Record]) -> list[Stored]:
        return [Stored(Position("topic-1", one.partition, number)) for number, one in enumerate(records)]


def claim(number: int) -> Claim:
    at = replace(circumstances(), entropy=lambda count: bytes([number % 256]) * count)
    found = prepare(draft({"id": f"A-{number}", "qty": 1}), ON, at)
    assert isinstance(found, Prepared)
    return found.claim


def publisher(writes: Writes, steps: list[str]) -> Publisher:
    async def version(_schema_id: int) -> object:
        return ON.versions[0]

    catalog = SimpleNamespace(
        version=version, current=SimpleNamespace(topic_ids={}), topic_changed=lambda *_, **__: None
    )
    return Publisher(
        broker=cast("Any", Broker()),
        catalog=cast("Any", catalog),
        writes=cast("Any", writes),
        origin="https://gateway.example",
        lease_seconds=lambda: 60.0,
        step=steps.append,
    )


async def published(requests: Sequence[Sequence[Claim]], own_until: int | None = 1) -> Writes:
    """Publish all requests at once, and let everything come to its end."""
    writes, steps = Writes(), list[str]()
    one = publisher(writes, steps)
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        one.spawn = tasks.create_task
        for claims in requests:
            tasks.create_task(one.publish(claims, loop.time() + 60, since=loop.time(), own_until=own_until))
    assert steps.count("inbound.4.confirmed") == len(writes.confirmed)
    return writes


async def test_single_events_that_are_stored_together_are_confirmed_together() -> None:
    claims = [claim(number) for number in range(20)]
    writes = await published([[one] for one in claims])
    # The first finds nobody to wait for.
    first, others = writes.confirmed
    assert sorted([*first, *others]) == sorted(one.ref for one in claims)
    assert len(first) == 1


async def test_the_next_ones_are_gathered_anew() -> None:
    writes, steps = Writes(), list[str]()
    one = publisher(writes, steps)
    loop = asyncio.get_running_loop()
    for number in range(2):
        async with asyncio.TaskGroup() as tasks:
            one.spawn = tasks.create_task
            await one.publish([claim(number)], loop.time() + 60, since=loop.time(), own_until=1)
    assert writes.confirmed == [(claim(0).ref,), (claim(1).ref,)]


async def test_a_large_batch_is_confirmed_at_once_and_by_itself() -> None:
    batch = [claim(number) for number in range(60)]
    writes = await published([[claim(100)], batch])
    assert writes.confirmed == [(claim(100).ref,), tuple(one.ref for one in batch)]


async def test_what_was_taken_over_is_confirmed_at_once() -> None:
    writes = await published([[claim(1)], [claim(2)]], own_until=None)
    assert sorted(writes.confirmed) == sorted([(claim(1).ref,), (claim(2).ref,)])


async def test_where_it_is_is_known_to_repeats_before_it_is_confirmed() -> None:
    writes, steps = Writes(), list[str]()
    one, first = publisher(writes, steps), claim(1)
    loop = asyncio.get_running_loop()
    one._confirmed_at = loop.time()
    async with asyncio.TaskGroup() as tasks:
        one.spawn = tasks.create_task
        fates = await one.publish([first], loop.time() + 60, since=loop.time(), own_until=1)
        assert one.place_of(first) == fates[first.ref] == Position("topic-1", first.partition, 0)
        assert one.place_of(replace(first, receipt="another")) is None
        assert writes.confirmed == []
    assert writes.confirmed == [(first.ref,)]
    assert one.place_of(first) is None


@pytest.mark.parametrize(
    ("error", "is_told"), [(StoreError("store_unavailable", "away"), False), (ValueError("a bug"), True)]
)
async def test_an_append_that_fails_once_nobody_waits_ends_no_other(
    error: Exception, *, is_told: bool
) -> None:
    writes, told, loop = Writes(), list[object](), asyncio.get_running_loop()
    one, asked, fails = publisher(writes, []), asyncio.Event(), asyncio.Event()

    async def version(_schema_id: int) -> object:
        asked.set()
        await fails.wait()
        raise error

    loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    failing = replace(one, catalog=cast("Any", SimpleNamespace(version=version)))
    async with asyncio.TaskGroup() as tasks:
        one.spawn = failing.spawn = tasks.create_task
        waiting = tasks.create_task(
            failing.publish([claim(1)], loop.time() + 60, since=loop.time(), own_until=1)
        )
        await asked.wait()
        waiting.cancel()
        await asyncio.wait([waiting])
        fails.set()
        await one.publish([claim(2)], loop.time() + 60, since=loop.time(), own_until=1)
    assert writes.confirmed == [(claim(2).ref,)]
    assert told == [error] * is_told
