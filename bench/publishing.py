"""Events for a partner, put on its outbound topic as a stock Kafka producer does: framed Avro, no headers."""

from typing import Final

from bench.orders import OUTBOUND_TYPE, order_json
from gateway.bootstrap.ground import clock
from gateway.bootstrap.parts import Parts
from gateway.broker.port import Record, Stored
from schemas.framing import encode_prefix

_BATCH: Final = 1_000


async def publish(parts: Parts, events: int, run: str) -> None:
    """Append so many, for the first partner of the catalog."""
    catalog = parts.catalog.current
    slug = min(one.slug for one in catalog.directory.partners())
    channel = catalog.channel(slug, OUTBOUND_TYPE, "outbound")
    if channel is None:
        raise LookupError(f"{slug} receives no {OUTBOUND_TYPE}")
    version, at = channel.versions[0], clock()
    data = [version.codec.avro_from_json(order_json(run, number)).avro for number in range(events)]
    values = [encode_prefix(version.schema_id, each) for each in data]
    records = [Record(channel.topic, channel.partition, None, value, (), at) for value in values]
    for start in range(0, events, _BATCH):
        answers = await parts.broker.append(records[start : start + _BATCH])
        if not all(isinstance(one, Stored) for one in answers):
            raise RuntimeError(f"not stored: {answers[0]}")
