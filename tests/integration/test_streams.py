"""Streams on a real Kafka, and consumers on a real PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gateway.bootstrap.ground import clock
from gateway.broker.kafka import KafkaBroker
from gateway.broker.port import Broker, Position, Read, Record, Start, Stored
from tests.builders import House, open_house
from tests.contract.broker_stands import fresh_name
from tests.following import Site, listening, until
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

SEND = "/v1/partners/acme/events/order.accepted"


@asynccontextmanager
async def on_kafka(server: KafkaServer, folder: Path, *, partitions: int = 1) -> AsyncIterator[Site]:
    # It waits for as long as Kafka may take: what nobody knows of may be on the topic twice.
    broker = KafkaBroker.open(
        server.servers, clock=clock, properties={}, replication=1, message_timeout_ms=60_000
    )
    name = fresh_name()
    flags: dict[str, str | int | bool] = {
        "broker.topic_prefix": f"{name}.",
        "broker.checkpoint_topic": f"{name}.checkpoints",
        "broker.partitions": partitions,
    }
    async with (
        open_house(folder, broker=broker, flags=flags, beat_seconds=1) as house,
        listening(house) as site,
    ):
        yield site


async def send(house: House, *names: str) -> None:
    body = "\n".join(json.dumps({"order_id": name, "qty": 1}) for name in names)

    async def once() -> bool:
        async with house.client("team") as client:
            answer = await client.post(SEND, content=body, headers={"Content-Type": "application/x-ndjson"})
            return answer.status_code == 200

    assert await until(once)


async def is_stored(broker: Broker, record: Record) -> bool:
    """Whether it is taken now: a new partition may have its leader a moment later."""
    (answer,) = await broker.append([record])
    return isinstance(answer, Stored)


def names(first: int, count: int) -> list[str]:
    return [f"S-{number:04}" for number in range(first, first + count)]


@pytest.mark.kafka
async def test_pages_and_tail_give_each_event_once(kafka_server: KafkaServer, tmp_path: Path) -> None:
    async with on_kafka(kafka_server, tmp_path) as site:
        await send(site.house, *names(0, 150))
        async with site.follow("acme") as follower, asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send(site.house, *names(150, 50)))
            seen = await follower.ids(150)
            await sending
            seen += await follower.ids(50)
            last = follower.last_id
        await send(site.house, "last")
        async with site.follow("acme", "/v1/stream", last) as follower:
            seen += await follower.ids(1)
    assert seen == [*names(0, 200), "last"]


@pytest.mark.kafka
async def test_a_kafka_that_stands_still_holds_a_stream_up_and_loses_nothing(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    async with (
        on_kafka(kafka_server, tmp_path) as site,
        site.follow("acme", "/v1/stream?from=now") as follower,
    ):
        await send(site.house, "S-0")
        assert await follower.ids(1) == ["S-0"]
        kafka_server.pause()
        try:
            alive = follower.beats + 2
            while follower.beats < alive:
                assert "data" not in await follower.block()
        finally:
            kafka_server.resume()
        await send(site.house, "S-1")
        assert await follower.ids(1) == ["S-1"]


@pytest.mark.kafka
async def test_a_stream_holds_every_partition_of_the_topic(kafka_server: KafkaServer, tmp_path: Path) -> None:
    async with on_kafka(kafka_server, tmp_path, partitions=3) as site:
        await send(site.house, "S-0")
        broker, snapshot = site.house.doors.broker, site.house.doors.catalog.current
        partner = snapshot.directory.partner("acme")
        assert partner is not None
        topic, own = partner.topics.outbound, partner.topics.outbound_partition
        reader = broker.reader()
        reader.assign([Start(topic, Position(snapshot.topic_ids[topic], own, 0))])

        async def look() -> Record | None:
            return next((one.record for one in await reader.poll(1, 1_000) if isinstance(one, Read)), None)

        written = await until(look)
        await reader.close()
        async with site.follow("acme") as follower:
            assert await follower.ids(1) == ["S-0"]
            # As a team with a stock producer and keys: the same event, in every partition.
            for number in range(3):
                await until(partial(is_stored, broker, replace(written, partition=number)))
            assert await follower.ids(3) == ["S-0"] * 3
            last = follower.last_id
        async with site.follow("acme", "/v1/stream", last) as follower:
            await send(site.house, "S-1")
            assert await follower.ids(1) == ["S-1"]


@pytest.mark.postgres
async def test_words_of_one_consumer_at_once_are_taken_one_after_the_other(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    with postgres_server.database() as url:
        async with open_house(tmp_path, url=url) as house, house.client("acme") as client:
            await send(house, *names(0, 6))
            cursors = [
                (await client.get(f"/v1/stream?limit={count}")).json()["cursor"] for count in range(1, 7)
            ]
            async with asyncio.TaskGroup() as tasks:
                words = [
                    tasks.create_task(client.put("/v1/stream/consumers/main", json={"cursor": one}))
                    for one in cursors
                ]
            statuses = sorted(one.result().status_code for one in words)
            assert set(statuses) <= {200, 412}
            assert statuses[0] == 200

            async def listed() -> list[dict[str, list[dict[str, int]]]]:
                found = (await client.get("/v1/history?state=streamed")).json()["items"]
                return found if len(found) == statuses.count(200) else []

            ranges = [one["ranges"][0] for one in await until(listed)]
            # Each begins where another ended, and the last ends where the furthest cursor is.
            assert {one["from"] for one in ranges} - {0} == {one["to"] for one in ranges} - {6}
            assert (await client.get("/v1/stream?consumer=main")).json()["items"] == []
