"""Events for partners, put on their outbound topics as a stock producer of Kafka does: framed, no headers."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final

from bench.evenly import Busy, due_name, evenly
from bench.orders import OUTBOUND_TYPE, order_json
from gateway.bootstrap.ground import clock
from gateway.bootstrap.parts import Parts
from gateway.broker.port import Record, Refused, Stored
from gateway.channels import Channel
from schemas.framing import encode_prefix

_BATCH: Final = 1_000
_TRIES: Final = 10
_PAUSE_SECONDS: Final = 0.5


async def publish(parts: Parts, events: int, run: str, only: str = "") -> None:
    """Append so many, for all partners in turn whose names begin with `only`."""
    makers = _makers(parts, only)
    records = [makers[number % len(makers)](order_json(run, number)) for number in range(events)]
    for start in range(0, events, _BATCH):
        await _append(parts, records[start : start + _BATCH])


async def publish_evenly(parts: Parts, rate: float, seconds: float, only: str = "") -> dict[str, Any]:
    """Append so many a second, for so long, each when it is due; their number, and how busy that was."""
    makers, numbers = itertools.cycle(_makers(parts, only)), itertools.count()
    busy = Busy()
    async with asyncio.TaskGroup() as tasks:

        def each(due: float) -> None:
            record = next(makers)(order_json(due_name(due), next(numbers)))
            tasks.create_task(_append(parts, [record]))

        events = await evenly(rate, seconds, each)
    return {"events": events, "busy": busy.share()}


def _makers(parts: Parts, only: str) -> list[Callable[[bytes], Record]]:
    """Of each partner whose name begins so, what makes the record of an order for it."""
    catalog = parts.catalog.current
    slugs = [one.slug for one in catalog.directory.partners() if one.slug.startswith(only)]
    channels = [catalog.channel(slug, OUTBOUND_TYPE, "outbound") for slug in slugs]
    return [_maker(channel) for channel in channels if channel is not None]


def _maker(channel: Channel) -> Callable[[bytes], Record]:
    topic, partition, version = channel.topic, channel.partition, channel.versions[0]

    def make(order: bytes) -> Record:
        value = encode_prefix(version.schema_id, version.codec.avro_from_json(order).avro)
        return Record(topic, partition, None, value, (), clock())

    return make


async def _append(parts: Parts, records: Sequence[Record]) -> None:
    """As stock producers do, again what was refused for now."""
    left = list(records)
    for _ in range(_TRIES):
        answers = await parts.broker.append(left)
        lost = [one for one in answers if not isinstance(one, Stored | Refused)]
        if lost:
            raise RuntimeError(f"not stored: {lost[0]}")
        left = [one for one, answer in zip(left, answers, strict=True) if isinstance(answer, Refused)]
        if not left:
            return
        await asyncio.sleep(_PAUSE_SECONDS)
    raise RuntimeError(f"not stored: {next(one for one in answers if isinstance(one, Refused))}")
