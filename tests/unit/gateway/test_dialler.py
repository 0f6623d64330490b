import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

from gateway.address import AddressPolicy
from gateway.connections import Pools
from gateway.dialler import Answer, Dialler, Fetched, Outgoing, Reason, default_tls
from tests.issuers import issuing

SURFACE = (
    "dns_failed connect_failed tls_failed timed_out redirected client_error server_error throttled gone "
    "address_denied endpoint_auth_failed response_invalid"
)
REQUEST_END = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@asynccontextmanager
async def counting_server() -> AsyncIterator[tuple[int, list[int]]]:
    """Answers 200 on connections that stay open; the list has the requests of each connection."""
    connections: list[int] = []
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        connections.append(0)
        mine = len(connections) - 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = REQUEST_END.search(head)
                await reader.readexactly(int(found[1]) if found else 0)
                connections[mine] += 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], connections
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.sleep(0)


def test_the_reasons_are_the_closed_list_that_partners_see() -> None:
    assert list(get_args(Reason)) == SURFACE.split()


def test_neither_headers_nor_bodies_show_in_a_repr() -> None:
    shown = repr(Outgoing("https://a.example/", (("authorization", "s3cret"),), b"payload"))
    assert "s3cret" not in shown
    assert "payload" not in shown
    assert "private" not in repr(Answer(200, None, None, b"", b"private", 1))


async def test_a_connection_is_used_again_for_the_same_host() -> None:
    async with counting_server() as (port, connections):
        async with Dialler(AddressPolicy(loopback=True), timeout_ms=60_000) as dialler:
            for _ in range(3):
                answer = await dialler.send(Outgoing(f"http://127.0.0.1:{port}/", (), b"x"))
                assert answer.failure is None
        assert connections == [3]


async def test_a_name_is_resolved_through_the_judged_lookup_and_keeps_its_host_header() -> None:
    async def lookup(host: str, _port: int) -> list[str]:
        assert host == "localhost"
        return ["127.0.0.1"]

    async with counting_server() as (port, connections):
        async with Dialler(AddressPolicy(loopback=True), timeout_ms=60_000, lookup=lookup) as dialler:
            answer = await dialler.send(Outgoing(f"http://localhost:{port}/", (), b"x"))
        assert (answer.failure, connections) == (None, [1])


async def test_the_environments_proxy_is_not_used() -> None:
    script = (
        "import asyncio, json, sys\n"
        "from gateway.address import AddressPolicy\n"
        "from gateway.dialler import Dialler, Outgoing\n"
        "async def main():\n"
        "    async with Dialler(AddressPolicy(loopback=True), timeout_ms=60_000) as dialler:\n"
        "        answer = await dialler.send(Outgoing(sys.argv[1], (), b'x'))\n"
        "        print(json.dumps([answer.status, answer.failure]))\n"
        "asyncio.run(main())\n"
    )
    async with counting_server() as (port, _):
        proxies = {"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
        url = f"http://127.0.0.1:{port}/"
        root = str(Path(__file__).parents[3])
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, url, cwd=root, env=proxies, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await child.communicate()
    assert json.loads(out) == [200, None]


async def test_the_deadline_is_what_was_given() -> None:
    assert Dialler(AddressPolicy(), timeout_ms=1_500).deadline_ms == 1_500


async def test_a_get_brings_the_whole_body_up_to_what_was_said() -> None:
    async with issuing() as issuer, Dialler(AddressPolicy(loopback=True), timeout_ms=60_000) as dialler:
        issuer.answers = {"/10": (200, "", b"0123456789"), "/gone": (410, "", b"x")}
        fetched = [await dialler.fetch(f"{issuer.url}/10", most=most) for most in (10, 9)]
        assert fetched == [Fetched(200, None, b"0123456789"), Fetched(200, "response_invalid", b"")]
        assert await dialler.fetch(f"{issuer.url}/gone", most=10) == Fetched(410, "gone", b"")
        assert await dialler.fetch("http://10.0.0.1/", most=10) == Fetched(0, "address_denied", b"")
    assert "0123" not in repr(fetched[0])


async def test_a_get_that_is_too_slow_ends_with_its_deadline() -> None:
    async with issuing() as issuer, Dialler(AddressPolicy(loopback=True), timeout_ms=200) as dialler:
        issuer.gate.clear()
        assert (await dialler.fetch(issuer.url, most=10)).failure == "timed_out"


async def test_a_connection_serves_nobody_but_whom_it_was_opened_for() -> None:
    async with counting_server() as (port, connections), looped() as dialler:
        for pool in ("acme", "bolt", "acme", "bolt", ""):
            answer = await dialler.send(Outgoing(f"http://127.0.0.1:{port}/", (), b"x", pool))
            assert answer.failure is None
    assert connections == [2, 2, 1]


async def test_two_identities_of_one_partner_share_no_connection() -> None:
    async with counting_server() as (port, connections), looped() as dialler:
        for tls in (None, default_tls(), None):
            await dialler.send(Outgoing(f"http://127.0.0.1:{port}/", (), b"x", "acme", tls))
    assert connections == [2, 1]


def looped() -> Dialler:
    return Dialler(AddressPolicy(loopback=True), timeout_ms=30_000)


async def test_pools_that_nobody_uses_are_closed_when_there_are_too_many() -> None:
    async with counting_server() as (port, connections):
        pools = Pools(AddressPolicy(loopback=True), None, default_tls(), most=2)
        url = f"http://127.0.0.1:{port}/"
        async with pools.use("held") as held:
            for name in ("a", "b", "c", "held", "c", "a"):
                async with pools.use(name) as session, session.post(url, data=b"x") as response:
                    await response.read()
            async with held.post(url, data=b"x") as response:
                assert response.status == 200
        await pools.close()
    assert connections == [1, 1, 2, 2, 1]


async def test_a_post_can_bring_a_whole_answer() -> None:
    async with issuing() as issuer, Dialler(AddressPolicy(loopback=True), timeout_ms=60_000) as dialler:
        issuer.answers = {"/token": (200, "", b"{}"), "/no": (401, "", b"{}")}
        asked = [
            await dialler.ask(Outgoing(issuer.url + path, (), b"a=b"), most=10) for path in ("/token", "/no")
        ]
    assert asked == [Fetched(200, None, b"{}"), Fetched(401, "client_error", b"")]


async def test_a_refusal_brings_its_body_where_that_is_wanted_and_not_too_long() -> None:
    async with issuing() as issuer, Dialler(AddressPolicy(loopback=True), timeout_ms=60_000) as dialler:
        issuer.answers = {
            "/add": (409, "", b"17\n"),
            "/long": (409, "", b"0123456789"),
            "/no": (404, "", b"x"),
        }
        asked = [
            await dialler.ask(Outgoing(issuer.url + path, (), b""), most=9, told=frozenset({409}))
            for path in ("/add", "/long", "/no")
        ]
    assert asked == [
        Fetched(409, "client_error", b"17\n"),
        Fetched(409, "client_error", b""),
        Fetched(404, "client_error", b""),
    ]
