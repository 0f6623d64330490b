"""What a connection keeps while it waits, and for how long; what it refuses is in tests/hostile."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from gateway.http.flow import Flow
from gateway.http.framing import StrictProtocol
from gateway.http.resting import RESTING_SECONDS

KEEP_ALIVE_SECONDS = 75
POST = b"POST /b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"
GET = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Peer(asyncio.Transport):
    """The other end: keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.sent = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.is_closed


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await Response(f"{scope['path']} {len(body)}")(scope, receive, send)


class Connected:
    """A connection that a peer has just made."""

    def __init__(self, app: ASGIApp = hello) -> None:
        config = Config(
            app, loop="none", ws="none", lifespan="off", log_config=None, access_log=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )  # fmt: skip
        config.load()
        self.state = ServerState()
        self.peer = Peer()
        self.protocol = StrictProtocol(config, self.state, {}, asyncio.get_running_loop())
        self.protocol.connection_made(self.peer)

    async def answers(self, raw: bytes) -> int:
        """Send, wait until all that it asks for is answered, and say how many answers there were."""
        before = self.peer.sent.count(b"HTTP/1.1 ")
        self.protocol.data_received(raw)
        while tasks := tuple(self.state.tasks):
            await asyncio.wait(tasks)
        return self.peer.sent.count(b"HTTP/1.1 ") - before

    def rest(self, seconds: float) -> None:
        """As if so many seconds had gone by."""
        self.protocol.rest(asyncio.get_running_loop().time() + seconds)

    def end(self) -> None:
        self.protocol.connection_lost(None)


async def test_an_idle_connection_keeps_nothing_that_the_next_request_makes_anew() -> None:
    one = Connected()
    assert await one.answers(GET) == 1
    one.rest(RESTING_SECONDS + 1)
    protocol: Any = one.protocol
    kept = (protocol.parser, protocol.cycle, protocol.scope, protocol.headers, protocol.url)
    assert kept == (None, None, (), (), b"")
    assert protocol.pipeline == ()
    assert protocol.timeout_keep_alive_task is None
    # A dictionary of its own costs each connection a kilobyte: what uvicorn sets has its slot.
    assert vars(protocol) == {}
    assert not hasattr(protocol.flow, "_is_writable_event")
    assert vars(protocol.flow) == {}
    one.end()


@pytest.mark.parametrize("is_resting", [False, True])
async def test_the_next_request_is_read_as_the_first_was(*, is_resting: bool) -> None:
    one = Connected()
    assert await one.answers(GET) == 1
    if is_resting:
        one.rest(RESTING_SECONDS + 1)
    # In pieces, in a row, and behind one that is the last by its own word.
    assert await one.answers(b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Le") == 0
    one.rest(RESTING_SECONDS + 1)
    assert await one.answers(b"ngth: 3\r\n\r\nabc" + GET) == 2
    assert one.peer.sent.count(b"/b 3") == 1
    if is_resting:
        one.rest(RESTING_SECONDS + 1)
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert await one.answers(last + GET) == 1
    assert b" 400 " not in one.peer.sent
    assert one.peer.is_closed
    one.end()


@pytest.mark.parametrize("meanwhile", [b"", b"\r\n"])
async def test_an_idle_connection_is_closed_after_its_time_whatever_blank_lines_come(
    meanwhile: bytes,
) -> None:
    one = Connected()
    assert await one.answers(GET) == 1
    assert await one.answers(meanwhile) == 0
    one.rest(KEEP_ALIVE_SECONDS - 1)
    left_alone = one.peer.is_closed
    one.rest(KEEP_ALIVE_SECONDS + 1)
    assert (left_alone, one.peer.is_closed) == (False, True)
    one.end()


@pytest.mark.parametrize("begun", [b"", b"GET /a HTTP/1.1\r\nHo", POST + b"a"])
async def test_what_has_a_time_of_its_own_is_not_idle(begun: bytes) -> None:
    one = Connected()
    if begun:
        assert await one.answers(GET) == 1
        one.protocol.data_received(begun)
        await asyncio.sleep(0)
    one.rest(KEEP_ALIVE_SECONDS + 1)
    assert not one.peer.is_closed
    one.end()


async def unread(scope: Scope, receive: Receive, send: Send) -> None:
    await Response("unread")(scope, receive, send)


async def test_who_was_answered_before_its_body_came_is_idle_once_it_is_here() -> None:
    one = Connected(unread)
    assert await one.answers(POST) == 1
    one.rest(KEEP_ALIVE_SECONDS + 1)
    left_alone = not one.peer.is_closed  # its body had a time of its own
    assert await one.answers(b"abc") == 0
    assert await one.answers(POST + b"abc" + GET) == 2
    assert await one.answers(POST) == 1
    assert await one.answers(b"abc") == 0
    one.rest(KEEP_ALIVE_SECONDS + 1)
    assert (left_alone, one.peer.is_closed) == (True, True)
    one.end()


async def test_who_does_not_read_its_answers_is_not_turned_away_with_more_of_them() -> None:
    one = Connected()
    protocol: Any = one.protocol
    protocol.config.turn_away = lambda *_, **_is_tls: b"content-length: 0\r\n\r\n"
    protocol.data_received(POST + b"abc")
    await asyncio.sleep(0)
    assert b" 503 " in one.peer.sent
    protocol.pause_writing()
    sent = one.peer.sent
    protocol.data_received((POST + b"abc") * 3)
    await asyncio.sleep(0)
    assert one.peer.sent == sent, "it waits, and so do those behind it"
    protocol.resume_writing()
    assert await one.answers(b"") == 3
    assert one.peer.sent.count(b"/b 3") == 3
    one.end()


async def test_a_fault_in_a_body_whose_request_was_answered_is_no_second_answer() -> None:
    one = Connected(unread)
    head = b"POST /b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert await one.answers(head + b"3\r\nabc\r\n") == 1
    assert await one.answers(b"no chunk\r\n") == 0
    assert one.peer.is_closed
    one.end()


async def test_writers_wait_only_while_the_peer_takes_nothing() -> None:
    flow = Flow(Peer())
    await flow.drain()
    flow.pause_writing()
    flow.pause_writing()
    waiting = asyncio.create_task(flow.drain())
    await asyncio.sleep(0)
    assert not waiting.done()
    flow.resume_writing()
    await waiting
    await flow.drain()


async def test_the_flow_has_all_that_uvicorns_has() -> None:
    theirs, ours = FlowControl(Peer()), Flow(Peer())
    ours.pause_writing()
    assert set(vars(theirs)) <= {name for name in dir(ours) if hasattr(ours, name)}
