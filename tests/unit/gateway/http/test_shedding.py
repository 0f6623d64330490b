"""Turned away before anything is made for it, a request has the answer that the application would give."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.app import make_apps
from gateway.http.crowd import BEGINNING
from gateway.http.framing import UNREAD_BYTES
from gateway.http.server import Server
from gateway.http.shedding import Shed
from gateway.units import Address
from tests.builders import House, open_house
from tests.serving import serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = b'{"order_id": "A-1", "qty": 1}'
PATH = "/v1/events/order.placed"


@dataclass
class Counted:
    """An application, and how many requests came to it."""

    app: ASGIApp
    count: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.count += 1
        await self.app(scope, receive, send)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("shed")) as opened:
        yield opened


def filled(house: House, stack: ExitStack) -> None:
    """There is no room, until the stack ends."""
    crowd = house.doors.crowd
    crowd._late, crowd._pace = 0.0, 0.0
    for _ in range(BEGINNING):
        stack.enter_context(crowd.place())
    crowd._late = 1.0
    stack.callback(lambda: setattr(crowd, "_late", 0.0))


@dataclass
class Wire:
    """A connection, and what its server counted."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    key: str

    async def post(
        self, path: str = PATH, *fields: str, body: bytes = BODY
    ) -> tuple[int, dict[str, str], bytes]:
        """Send an event; status, header and body of the answer."""
        lines = (
            f"POST {path} HTTP/1.1",
            "Host: gw.example",
            f"Authorization: Bearer {self.key}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *fields,
        )
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        status = int((await self.reader.readline()).split()[1])
        headers: dict[str, str] = {}
        while line := (await self.reader.readline()).strip():
            name, _, value = line.decode().partition(":")
            headers[name] = value.strip()
        return status, headers, await self.reader.readexactly(int(headers["content-length"]))


@pytest_asyncio.fixture(loop_scope="module")
async def wired(house: House) -> AsyncIterator[tuple[Wire, Counted]]:
    counted = Counted(make_apps(house.doors)[1])
    server = Server(counted, Address("127.0.0.1", 0), turn_away=Shed(house.doors))
    async with serving(server) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield Wire(reader, writer, house.keys["acme"]), counted
        finally:
            writer.close()


def alike(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in {"date", "request-id"}}


async def test_the_answer_is_that_of_the_application_but_for_its_request_id(
    house: House, wired: tuple[Wire, Counted]
) -> None:
    wire, counted = wired
    with ExitStack() as stack:
        filled(house, stack)
        first, second = await wire.post(), await wire.post("/v1/events")
        assert counted.count == 0
        slow = await wire.post(PATH, "Expect: 100-continue")  # not of the plain sort
        assert counted.count == 1
    for status, headers, body in (first, second, slow):
        assert (status, alike(headers)) == (503, alike(slow[1]))
        assert headers["request-id"].encode() in body
        assert body.replace(headers["request-id"].encode(), b"") == slow[2].replace(
            slow[1]["request-id"].encode(), b""
        )
    assert len({headers["request-id"] for _, headers, _ in (first, second, slow)}) == 3
    # The connection is as good as before.
    status, _, _ = await wire.post()
    assert (status, counted.count) == (201, 2)


async def test_all_else_is_let_in(house: House, wired: tuple[Wire, Counted]) -> None:
    wire, counted = wired
    with ExitStack() as stack:
        filled(house, stack)
        status, _, _ = await wire.post("/v1/nothing")
        wire.writer.write(b"GET /livez HTTP/1.1\r\nHost: gw.example\r\n\r\n")
        assert (status, (await wire.answer())[0], counted.count) == (404, 200, 2)
        large = await wire.post(body=b"x" * (UNREAD_BYTES + 1))
        assert (large[0], large[1]["connection"], counted.count) == (503, "close", 3)


async def test_requests_that_come_in_one_piece_are_answered_in_their_order(
    house: House, wired: tuple[Wire, Counted]
) -> None:
    wire, counted = wired
    whole = (
        f"POST {PATH} HTTP/1.1\r\nHost: gw.example\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY
    with ExitStack() as stack:
        filled(house, stack)
        wire.writer.write(whole + b"GET /livez HTTP/1.1\r\nHost: gw.example\r\n\r\n" + whole[:-3])
        assert [(await wire.answer())[0] for _ in range(2)] == [503, 200]
        wire.writer.write(whole[-3:])
        assert (await wire.answer())[0] == 503
    assert counted.count in {1, 2}
