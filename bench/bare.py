"""The baseline of ingest, a process: the gateway's own server and TLS with one route that only appends.

The route reads the body and hands its lines to the broker, each as a record; it answers once all are
durable. It knows no partners, keys, schemas, claims, receipts or logs. For Kafka it uses librdkafka with the
gateway's settings, and nothing of its adapter; the embedded broker is the gateway's own: there is no other.

`python -m bench.bare JSON`: says `{}` on standard output once it listens, and runs until SIGTERM.
"""

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from gateway.bootstrap.ground import clock, entropy
from gateway.bootstrap.program import SWITCH_SECONDS
from gateway.broker.embedded import EmbeddedBroker
from gateway.broker.kafka_settings import producer_settings
from gateway.broker.port import Record, Stored, TopicSpec
from gateway.http.server import Server
from gateway.http.tls import server_context
from gateway.units import Address

Append = Callable[[Sequence[bytes]], Awaitable[None]]
PATH: Final = "/append"
_TOPIC: Final = "bare"
_LIMIT: Final = 10 << 30


def kafka_append(servers: str, topic: str) -> Append:
    """Produce, with one future for all values; a thread serves the delivery reports."""
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    settings = producer_settings(servers, {}, message_timeout_ms=5_000, max_record_bytes=1_000_000)
    producer = Producer(settings)

    def serve() -> None:
        while True:
            producer.poll(0.1)

    threading.Thread(target=serve, daemon=True).start()  # noqa: TID251 - as the adapter has one

    async def append(values: Sequence[bytes]) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        left = len(values)

        def settle(error: KafkaError | None, _message: Message) -> None:
            nonlocal left
            left -= 1
            if error is not None:
                loop.call_soon_threadsafe(done.set_exception, RuntimeError(str(error)))
            elif not left:
                loop.call_soon_threadsafe(done.set_result, None)

        for value in values:
            producer.produce(topic, value, None, 0, on_delivery=settle)
        await done

    return append


async def embedded_append(path: Path) -> Append:
    """Append to an embedded broker in a file of its own."""
    broker = EmbeddedBroker.open(path, clock=clock, entropy=entropy, limit_bytes=_LIMIT)
    await broker.ensure([TopicSpec(_TOPIC)])

    async def append(values: Sequence[bytes]) -> None:
        at = clock()
        answers = await broker.append([Record(_TOPIC, 0, None, value, (), at) for value in values])
        if not all(isinstance(one, Stored) for one in answers):
            raise RuntimeError(f"not stored: {answers[0]}")

    return append


def make_app(append: Append) -> ASGIApp:
    """The one route."""

    async def post(request: Request) -> Response:
        values = (await request.body()).splitlines()
        await append(values)
        return Response(b'{"stored":%d}' % len(values), 201, media_type="application/json")

    return Router([Route(PATH, post, methods=["POST"])])


async def serve(words: dict[str, Any]) -> None:
    """Serve until a signal."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if words["servers"]:
        append = kafka_append(words["servers"], words["topic"])
    else:
        append = await embedded_append(Path(words["file"]))
    tls = server_context(Path(words["certificate"]), Path(words["key"]))
    server = Server(make_app(append), Address("127.0.0.1", words["port"]), tls=tls)
    await server.listen()
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    await server.run(stop)


if __name__ == "__main__":
    sys.setswitchinterval(SWITCH_SECONDS)
    uvloop.run(serve(json.loads(sys.argv[1])))
