"""Events for a partner, put on its outbound topic as a stock Kafka producer does: framed Avro, no headers."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final

from bench.evenly import Busy, due_name, evenly
from bench.orders import OUTBOUND_TYPE, order_json
from gateway.bootstrap.ground import clock
from gateway.bootstrap.parts import Parts
from gateway.broker.port import Record, Stored
from schemas.framing import encode_prefix

_BATCH: Final = 1_000


async def publish(parts: Parts, events: int, run: str) -> None:
    """Append so many, for the first partner of the catalog."""
    make = _maker(parts)
    records = [make(order_json(run, number)) for number in range(events)]
    for start in range(0, events, _BATCH):
        await _append(parts, records[start : start + _BATCH])


async def publish_evenly(parts: Parts, rate: float, seconds: float) -> dict[str, Any]:
    """Append so many a second, for so long, each when it is due; their number, and how busy that was."""
    make, numbers = _maker(parts), itertools.count()
    busy = Busy()
    async with asyncio.TaskGroup() as tasks:

        def each(due: float) -> None:
            tasks.create_task(_append(parts, [make(order_json(due_name(due), next(numbers)))]))

        events = await evenly(rate, seconds, each)
    return {"events": events, "busy": busy.share()}


def _maker(parts: Parts) -> Callable[[bytes], Record]:
    """Makes the record of an order, for the first partner of the catalog."""
    catalog = parts.catalog.current
    slug = min(one.slug for one in catalog.directory.partners())
    channel = catalog.channel(slug, OUTBOUND_TYPE, "outbound")
    if channel is None:
        raise LookupError(f"{slug} receives no {OUTBOUND_TYPE}")
    topic, partition, version = channel.topic, channel.partition, channel.versions[0]

    def make(order: bytes) -> Record:
        value = encode_prefix(version.schema_id, version.codec.avro_from_json(order).avro)
        return Record(topic, partition, None, value, (), clock())

    return make


async def _append(parts: Parts, records: Sequence[Record]) -> None:
    answers = await parts.broker.append(records)
    if not all(isinstance(one, Stored) for one in answers):
        raise RuntimeError(f"not stored: {answers[0]}")
