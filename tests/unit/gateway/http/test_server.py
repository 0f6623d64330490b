import asyncio
import os
import ssl
import time
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import SetupError
from gateway.http.server import Server, bind, reserve
from gateway.http.tls import make_dev_certificate, server_context
from gateway.units import Address

LOOPBACK = Address("127.0.0.1", 0)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(scope["scheme"])(scope, receive, send)


def held(go: asyncio.Event, reached: asyncio.Event) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.set()
        await go.wait()
        await Response("late")(scope, receive, send)

    return app


def test_a_port_in_use_says_how_to_choose_another() -> None:
    first = bind("127.0.0.1", 0)
    try:
        port = first.getsockname()[1]
        with pytest.raises(SetupError, match=rf"port in use: 127\.0\.0\.1:{port} .* --port"):
            bind("127.0.0.1", port)
    finally:
        first.close()


def test_a_foreign_address_is_told() -> None:
    with pytest.raises(SetupError, match="none of this machine"):
        bind("192.0.2.1", 0)


async def test_a_port_in_use_is_found_before_anything_runs() -> None:
    first = Server(hello, LOOPBACK)
    await first.listen()
    second = Server(hello, Address("127.0.0.1", first.port))
    with pytest.raises(SetupError, match="port in use"):
        await second.listen()
    stop = asyncio.Event()
    stop.set()
    await first.run(stop)


async def test_a_request_in_flight_is_answered_before_the_end() -> None:
    go, reached, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
    server = Server(held(go, reached), LOOPBACK)
    await server.listen()
    async with asyncio.TaskGroup() as tasks, httpx.AsyncClient() as client:
        running = tasks.create_task(server.run(stop))
        asked = tasks.create_task(client.get(f"http://127.0.0.1:{server.port}/"))
        await reached.wait()
        stop.set()
        await asyncio.sleep(0.2)
        assert not running.done()
        go.set()
        assert (await asked).text == "late"
    with pytest.raises(OSError, match=r"."):
        await asyncio.open_connection("127.0.0.1", server.port)


def test_a_reserved_port_is_shared_by_those_who_say_so_and_refused_to_others() -> None:
    port = bind("127.0.0.1", 0)
    number = port.getsockname()[1]
    with pytest.raises(SetupError, match="port in use"):
        reserve("127.0.0.1", number)
    port.close()
    with (
        reserve("127.0.0.1", number),
        bind("127.0.0.1", number, is_shared=True),
        bind("127.0.0.1", number, is_shared=True),
        pytest.raises(SetupError, match="port in use"),
    ):
        bind("127.0.0.1", number)


async def test_a_kept_connection_is_told_that_an_answer_is_the_last() -> None:
    server, stop = Server(hello, LOOPBACK), asyncio.Event()
    await server.listen()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run(stop))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        heads: list[bytes] = []
        while not heads or b"connection: close" not in heads[-1]:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            heads.append((await reader.readuntil(b"\r\n\r\n")).lower())
            assert await reader.readexactly(4) == b"http"
            stop.set()
        assert len(heads) > 1
        assert await reader.read() == b""
        writer.close()
        await running


async def test_tls_is_spoken_with_a_development_certificate(tmp_path: Path) -> None:
    certificate, key = make_dev_certificate(tmp_path, now=time.time_ns() // 1_000_000, entropy=os.urandom)
    server = Server(hello, LOOPBACK, tls=server_context(certificate, key))
    await server.listen()
    stop = asyncio.Event()
    trust = ssl.create_default_context(cafile=str(certificate))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run(stop))
        async with httpx.AsyncClient(verify=trust) as client:
            answer = await client.get(f"https://127.0.0.1:{server.port}/")
        stop.set()
    assert answer.text == "https"
