"""The listeners: what each has, under TLS and without, while certificates change and at the end."""

import asyncio
import json
import os
import shutil
import ssl
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.bootstrap.certificates import Certificates
from gateway.bootstrap.ground import clock
from gateway.bootstrap.listeners import make_servers
from gateway.http.crowd import BEGINNING
from gateway.http.rejection import Rejection
from gateway.http.server import Server
from gateway.http.tls import make_dev_certificate
from gateway.settings import Listen
from gateway.units import Address
from tests.builders import open_house
from tests.free_ports import free_port
from tests.serving import serving

LOOPBACK = Address("127.0.0.1", 0)
HSTS = "strict-transport-security"
SENDERS = 8
BEFORE_THE_END = 200


def make(folder: Path) -> tuple[Path, Path]:
    return make_dev_certificate(folder, now=clock(), entropy=os.urandom)


def trusting(certificate: Path) -> httpx.AsyncClient:
    tls = ssl.create_default_context(cafile=str(certificate))
    return httpx.AsyncClient(verify=tls, trust_env=False, timeout=20)


async def test_each_listener_has_its_routes_and_under_tls_allows_nothing_else(tmp_path: Path) -> None:
    files = make(tmp_path / "tls")
    split = Listen.model_validate({"public": "127.0.0.1:0", "private": f"127.0.0.1:{free_port()}"})
    shared = Listen.model_validate({"public": "127.0.0.1:0", "private": "127.0.0.1:0"})
    async with open_house(tmp_path / "data") as house, AsyncExitStack() as stack:
        made = make_servers(house.doors, split, Certificates(*files), is_shared=False)
        public, private = [
            f"https://127.0.0.1:{await stack.enter_async_context(serving(one))}" for one in made
        ]
        (one,) = make_servers(house.doors, shared, None, is_shared=False)
        alone = f"http://127.0.0.1:{await stack.enter_async_context(serving(one))}"
        client = await stack.enter_async_context(trusting(files[0]))

        async def status(url: str, name: str | None) -> int:
            headers = {} if name is None else {"Authorization": f"Bearer {house.keys[name]}"}
            answer = await client.get(url, headers=headers)
            # Said of a name that speaks in clear too, it would lock browsers out.
            assert (HSTS in answer.headers) == url.startswith("https:")
            return answer.status_code

        for path, name in (("/metrics", None), ("/v1/status", "operator"), ("/v1/partners", "operator")):
            statuses = [await status(base + path, name) for base in (public, private, alone)]
            assert statuses == [404, 200, 200], path
        for path, name in (("/v1/me", "acme"), ("/.well-known/jwks.json", None), ("/nowhere", None)):
            statuses = [await status(base + path, name) for base in (public, private, alone)]
            assert len(set(statuses)) == 1, path


async def test_behind_a_proxy_that_ends_tls_browsers_are_told_to_stay_with_it(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, AsyncExitStack() as stack:
        values = replace(house.doors.values, origin="https://gw.example")
        doors = replace(house.doors, values=values)
        shared = Listen.model_validate({"public": "127.0.0.1:0", "private": "127.0.0.1:0"})
        (one,) = make_servers(doors, shared, None, is_shared=False)
        url = f"http://127.0.0.1:{await stack.enter_async_context(serving(one))}"
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        assert (await client.get(f"{url}/v1/me")).headers[HSTS] == "max-age=31536000"
        for _ in range(BEGINNING):
            stack.enter_context(doors.crowd.place())
        doors.crowd._late, doors.crowd._pace = 1.0, 0.0
        answer = await client.post(f"{url}/v1/events", content=b"{}")
        assert (answer.status_code, answer.headers[HSTS]) == (503, "max-age=31536000")


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await Response("hello")(scope, receive, send)


async def test_a_renewed_certificate_is_shown_to_new_clients_and_cuts_off_no_other(tmp_path: Path) -> None:
    files, renewed = make(tmp_path / "a"), make(tmp_path / "b")
    first = tmp_path / "first.pem"
    shutil.copy(files[0], first)
    held = Certificates(*files)
    async with serving(Server(hello, LOOPBACK, tls=held.context)) as port, trusting(first) as before:
        url = f"https://127.0.0.1:{port}/"
        assert (await before.get(url)).text == "hello"
        for new, old in zip(renewed, files, strict=True):
            shutil.copy(new, old)
        held.follow()
        # On the connection that it has.
        assert (await before.get(url)).text == "hello"
        async with trusting(renewed[0]) as after:
            assert (await after.get(url)).text == "hello"
        async with trusting(first) as stale:
            try:
                told = (await stale.get(url)).text
            except httpx.ConnectError as error:
                told = str(error)
        assert "CERTIFICATE_VERIFY_FAILED" in told


async def test_a_stop_answers_each_request_that_was_taken_and_none_twice(tmp_path: Path) -> None:
    taken, answered, reached = Counter[bytes](), Counter[bytes](), asyncio.Event()

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        taken[body] += 1
        if taken.total() == BEFORE_THE_END:
            reached.set()
        await asyncio.sleep(0)
        await Response(body)(scope, receive, send)

    certificate, key = make(tmp_path)
    server = Server(count, LOOPBACK, tls=Certificates(certificate, key).context)
    await server.listen()
    url, stop = f"https://127.0.0.1:{server.port}/", asyncio.Event()

    async def send(name: int) -> None:
        """Post one after the other, until nobody is there."""
        async with trusting(certificate) as client:
            for number in range(100_000):
                body = f"{name}-{number}".encode()
                try:
                    answer = await client.post(url, content=body)
                except httpx.TransportError:
                    return
                assert answer.content == body
                answered[body] += 1

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run(stop))
        for name in range(SENDERS):
            tasks.create_task(send(name))
        await reached.wait()
        stop.set()
    assert taken == answered
    assert set(taken.values()) == {1}
    assert taken.total() >= BEFORE_THE_END


async def test_what_is_no_http_has_a_document_with_a_request_id_and_is_counted(tmp_path: Path) -> None:
    told: list[Rejection] = []
    observed: list[tuple[object, ...]] = []
    shared = Listen.model_validate({"public": "127.0.0.1:0", "private": "127.0.0.1:0"})
    async with open_house(tmp_path) as house:
        values = replace(house.doors.values, origin="https://gw.example")
        doors = replace(
            house.doors, values=values, reject=told.append, observe=lambda *one: observed.append(one)
        )
        (one,) = make_servers(doors, shared, None, is_shared=False)
        async with serving(one) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
    document = json.loads(body)
    fields = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:])
    assert document["type"] == "https://gw.example/errors/request_malformed"
    assert document["request_id"] == fields["request-id"] == told[0].request_id
    assert (fields[HSTS], fields["x-content-type-options"]) == ("max-age=31536000", "nosniff")
    assert (told[0].code, told[0].address, told[0].credential) == ("request_malformed", "127.0.0.1", "")
    assert observed == [("none", "other", 400, "request_malformed", 0.0)]


async def test_a_refused_handshake_is_told_of(tmp_path: Path) -> None:
    told: list[tuple[str, str, str]] = []
    shared = Listen.model_validate({"public": "127.0.0.1:0", "private": "127.0.0.1:0"})
    async with open_house(tmp_path / "data") as house:
        doors = replace(house.doors, shaken=lambda *one: told.append(one))
        (one,) = make_servers(doors, shared, Certificates(*make(tmp_path / "tls")), is_shared=False)
        async with serving(one) as port:
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            old.set_ciphers("AES128-SHA256")
            with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
                await asyncio.open_connection("127.0.0.1", port, ssl=old)
    assert told == [("cipher", "no_shared_cipher", "127.0.0.1")]


async def test_who_asks_the_public_address_for_what_is_at_the_private_one_is_told_so(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        for name in ("operator", "acme", None):
            async with house.client(name, private=False) as client:
                paths = ("/v1/partners", "/v1/partners/acme/history", "/v1/partners/none/history", "/metrics")
                answers = [await client.get(path) for path in paths]
                nowhere = await client.get("/nowhere")
            assert {answer.status_code for answer in answers} == {404}
            hints = {answer.json()["hint"] for answer in answers}
            assert len(hints) == 1
            assert "listen.private" in hints.pop()
            assert "hint" not in nowhere.json()
