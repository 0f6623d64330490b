"""Malformed and hostile HTTP over real sockets: one answer at most, then the connection is closed."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.http import server as serves
from gateway.http.framing import LINE, StrictProtocol
from gateway.http.framing_sizes import HEADER_BYTES, HEADERS, REQUEST_LINE_BYTES
from gateway.http.server import Server
from gateway.units import Address
from tests.serving import serving

GET = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: localhost\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the number of body bytes and of header fields seen."""
    request = Request(scope, receive)
    body = await request.body()
    await Response(f"{scope['path']} {len(body)} {len(scope['headers'])}")(scope, receive, send)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port() -> AsyncIterator[int]:
    async with serving(Server(echo, Address("127.0.0.1", 0))) as bound:
        yield bound


async def exchange(port: int, *pieces: bytes, end: bool = True) -> bytes:
    """All that the server says until it closes; our side is closed for writing after the last piece."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if end:
            writer.write_eof()
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def refused(answer: bytes) -> dict[str, object]:
    """The problem document of the one answer, a 400 that closes."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert b"connection: close" in head
    document: dict[str, object] = json.loads(body)
    assert document["code"] == "request_malformed"
    return document


IN_CHUNKS = POST + b"Transfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    "no version": b"GET /a\r\n\r\n",
    "no host": b"GET /a HTTP/1.1\r\n\r\n",
    "no host in HTTP/1.0": b"GET /a HTTP/1.0\r\n\r\n",
    "two hosts": b"GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "host with a path": b"GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with user info": b"GET /a HTTP/1.1\r\nHost: b@a\r\n\r\n",
    "empty host": b"GET /a HTTP/1.1\r\nHost:\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0": b"GET /a HTTP/2.0\r\nHost: a\r\n\r\n",
    "length and chunked": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "signed length": POST + b"Content-Length: +3\r\n\r\nabc",
    "negative length": POST + b"Content-Length: -3\r\n\r\nabc",
    "huge length": POST + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    "folded header": b"GET /a HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "space before colon": b"GET /a HTTP/1.1\r\nHost : a\r\n\r\n",
    "bare line feeds": b"GET /a HTTP/1.1\nHost: a\n\n",
    "bare carriage return": b"GET /a HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "NUL in a header": b"GET /a HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    "NUL in the target": b"GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n",
    "other coding": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "coding after chunked": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two fields": POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk length": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "chunk longer than said": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "upgrade with a body": POST + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\nabc",
    "trailer": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nHost: b\r\n\r\n",
    "long chunk extension": POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 400 + b"\r\na\r\n",
    "long request line": b"GET /" + b"a" * REQUEST_LINE_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "many headers": b"GET /a HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * HEADERS + b"\r\n",
    "long header": b"GET /a HTTP/1.1\r\nHost: a\r\nX: " + b"a" * HEADER_BYTES + b"\r\n\r\n",
    "asterisk": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "connect": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"BREW /a HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=list(MALFORMED))
@pytest.mark.asyncio(loop_scope="module")
async def test_malformed_requests_get_one_400_and_the_connection_is_closed(port: int, raw: bytes) -> None:
    refused(await exchange(port, raw, GET, end=False))
    assert b" 200 " in await exchange(port, GET)


LONG_FRAMING = {
    "long chunk extension": IN_CHUNKS + b"1;" + b"x" * 30_000 + b"\r\na\r\n0\r\n\r\n",
    "chunk extension of 257 bytes": IN_CHUNKS + b"1;" + b"x" * 256 + b"\r\na\r\n0\r\n\r\n",
    "long extension of the last chunk": IN_CHUNKS + b"1\r\na\r\n0;" + b"x" * 400 + b"\r\n\r\n",
    "zeros before a chunk's length": IN_CHUNKS + b"0" * 400 + b"1\r\na\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("raw", LONG_FRAMING.values(), ids=list(LONG_FRAMING))
@pytest.mark.asyncio(loop_scope="module")
async def test_long_framing_of_chunks_is_seen_though_the_message_ends_with_it(port: int, raw: bytes) -> None:
    assert b"chunks" in json.dumps(refused(await exchange(port, raw, end=False))).encode()
    # With another behind it nobody is told which of them it was.
    assert b" 200 " not in await exchange(port, raw + GET, end=False)


@pytest.mark.parametrize("cut", [1, 7, 20])
@pytest.mark.asyncio(loop_scope="module")
async def test_faults_are_seen_however_the_bytes_are_cut(port: int, cut: int) -> None:
    raw = b"GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"
    pieces = [raw[start : start + cut] for start in range(0, len(raw), cut)]
    refused(await exchange(port, *pieces, end=False))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_header_field_without_an_end_is_cut_off(port: int) -> None:
    pieces = [b"GET /a HTTP/1.1\r\nHost: a\r\nX: ", *[b"a" * 16_384] * 20]
    answer = await exchange(port, *pieces, end=False)
    assert answer == b"" or refused(answer)


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        (GET, b"/a 0 1"),
        (b"GET /a HTTP/1.0\r\nHost: a\r\n\r\n", b"/a 0 1"),
        (b"GET http://a/a HTTP/1.1\r\nHost: a\r\n\r\n", b"/a 0 1"),
        (b"GET /a HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", b"/a 0 1"),
        (POST + b"Content-Length: 3\r\n\r\nabc", b"/a 3 2"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n", b"/a 3 2"),
        (IN_CHUNKS + b"1;" + b"x" * 255 + b"\r\na\r\n0\r\n\r\n", b"/a 1 2"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", b"/a 0 3"),
        # As the JDK's own client asks for anything over plain HTTP.
        (
            b"GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
            b"/a 0 4",
        ),
        (b"GET /a HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * (HEADERS - 1) + b"\r\n", b"/a 0 100"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_well_formed_requests_pass(port: int, raw: bytes, seen: bytes) -> None:
    answer = await exchange(port, raw)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(seen)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_sender_that_waits_is_told_to_go_on(port: int) -> None:
    answer = await exchange(port, POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", b"abc")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
    assert answer.endswith(b"/a 3 3")


@pytest.mark.asyncio(loop_scope="module")
async def test_nothing_behind_an_offered_upgrade_is_read(port: int) -> None:
    offer = b"GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
    answer = await exchange(port, offer + GET, end=False)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer


@pytest.mark.asyncio(loop_scope="module")
async def test_a_body_of_many_small_chunks_passes(port: int) -> None:
    body = b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n"
    answer = await exchange(port, POST + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert answer.endswith(b"/a 20000 2")


@pytest.mark.asyncio(loop_scope="module")
async def test_requests_on_one_connection_are_answered_in_order(port: int) -> None:
    other = b"GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = await exchange(port, GET + GET + other, end=False)
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert answer.endswith(b"/b 0 2")


@pytest.mark.asyncio(loop_scope="module")
async def test_requests_beside_each_other_explain_each_other_not(port: int) -> None:
    last = b"GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    small = IN_CHUNKS + b"1;x=y\r\na\r\n0\r\n\r\n"
    answer = await exchange(port, small + GET + small + last, end=False)
    assert answer.count(b"HTTP/1.1 200 ") == 4
    large = IN_CHUNKS + b"1;" + b"x" * 30_000 + b"\r\na\r\n0\r\n\r\n"
    answer = await exchange(port, GET + large + last, end=False)
    assert answer.count(b"HTTP/1.1 ") <= 1


def padded(form: str, chunks: int, size: int, head: bytes = IN_CHUNKS) -> bytes:
    """A request with a body in so many chunks, their lengths written so."""
    length, last = (form % size).encode(), (form % 0).encode()
    return head + (length + b"\r\n" + b"0" * size + b"\r\n") * chunks + last + b"\r\n\r\n"


@pytest.mark.parametrize("form", ["%08x", "00%X", "%016x"])
@pytest.mark.parametrize("cut", [3, 1_000, 100_000])
@pytest.mark.asyncio(loop_scope="module")
async def test_zeros_before_the_lengths_of_chunks_count_for_nothing(port: int, form: str, cut: int) -> None:
    chunks, size = 200, 16 if cut == 3 else 4_096
    raw = padded(form, chunks, size)
    answer = await exchange(port, *[raw[at : at + cut] for at in range(0, len(raw), cut)])
    assert answer.endswith(b"/a %d 2" % (chunks * size)), answer[-200:]
    answer = await exchange(port, GET + raw + raw + GET[:-2] + b"Connection: close\r\n\r\n", end=False)
    assert answer.count(b"HTTP/1.1 200 ") == 4


@pytest.mark.parametrize(
    "head", [b"Host:a\r\nX:\r\n", b"Host:   a\r\nX:   y   \r\n", b"\r\nHost: a\r\nX: y\r\n"]
)
@pytest.mark.asyncio(loop_scope="module")
async def test_zeros_are_found_behind_any_head_however_it_is_cut(port: int, head: bytes) -> None:
    blank, head = (b"\r\n", head[2:]) if head.startswith(b"\r\n") else (b"", head)
    head = blank + b"POST /a HTTP/1.1\r\n" + head + b"Transfer-Encoding:chunked\r\n\r\n"
    raw = padded("%016x", 80, 16, head)
    for cut in range(len(head) - 30, len(head) + 20):
        answer = await exchange(port, raw[:cut], raw[cut:])
        assert answer.endswith(b"/a 1280 3"), (cut, answer[-200:])


@pytest.mark.parametrize("cut", [50, 100_000])
@pytest.mark.asyncio(loop_scope="module")
async def test_zeros_explain_no_extensions_and_no_longer_lengths(port: int, cut: int) -> None:
    for form in ("%017x", "%08x;" + "x" * 4, "%x;00000000"):
        raw = padded(form, 100, 16)
        answer = await exchange(port, *[raw[at : at + cut] for at in range(0, len(raw), cut)], end=False)
        assert answer == b"" or refused(answer)
    # Zeros of the body are none of a length.
    raw = IN_CHUNKS + (b"14;xxxx\r\n\r\n0000000000000001\r\n\r\n") * 60 + b"0\r\n\r\n"
    answer = await exchange(port, *[raw[at : at + cut] for at in range(0, len(raw), cut)], end=False)
    assert answer == b"" or refused(answer)


@pytest.mark.parametrize("cut", [1, 3, 50])
@pytest.mark.asyncio(loop_scope="module")
async def test_chunks_are_counted_however_the_bytes_are_cut(port: int, cut: int) -> None:
    raw = IN_CHUNKS + b"1;" + b"x" * 255 + b"\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
    long = IN_CHUNKS + b"1;" + b"x" * 299 + b"\r\na\r\n0\r\n\r\n"
    good, bad = [[one[at : at + cut] for at in range(0, len(one), cut)] for one in (raw, long)]
    assert (await exchange(port, *good)).endswith(b"/a 3 2")
    answer = await exchange(port, *bad, end=False)
    assert answer == b"" or refused(answer)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_fault_behind_a_good_request_never_answers_twice_for_it(port: int) -> None:
    for wrong in (b"GET /b HTTP/1.1\r\n\r\n", IN_CHUNKS + b"zz\r\n", b"\x00"):
        for good in (GET, GET + GET, GET + POST + b"Content-Length: 3\r\n\r\nabc"):
            answer = await exchange(port, good + wrong + GET, end=False)
            many = good.count(b" HTTP/1.1\r\n")
            assert answer.count(b"HTTP/1.1 200 ") == many, answer
            assert answer.count(b"HTTP/1.1 ") == many + 1
            refused(answer[answer.rindex(b"HTTP/1.1 ") :])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_fault_behind_a_request_whose_answer_takes_long_waits_for_its_turn() -> None:
    go_on = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await echo(scope, receive, send)

    async with serving(Server(slow, Address("127.0.0.1", 0))) as bound:
        reader, writer = await asyncio.open_connection("127.0.0.1", bound)
        writer.write(GET)
        await writer.drain()
        for _ in range(3):
            # What comes behind the fault is nobody's request.
            writer.write(b"GET /b HTTP/1.1\r\n\r\n" + GET)
            await writer.drain()
            await asyncio.sleep(0.01)
        go_on.set()
        async with asyncio.timeout(60):
            answer = await reader.read()
        writer.close()
    assert (answer.count(b"HTTP/1.1 200 "), answer.count(b"HTTP/1.1 ")) == (1, 2)
    refused(answer[answer.rindex(b"HTTP/1.1 ") :])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StrictProtocol, "header_seconds", 0.1)
    monkeypatch.setattr(StrictProtocol, "body_seconds", 0.1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "raw", [b"", b"GET /a HT", b"GET /a HTTP/1.1\r\nHost: a\r\n", POST + b"Content-Length: 3\r\n\r\nab"]
)
async def test_slow_senders_are_shown_out(raw: bytes) -> None:
    async with serving(Server(echo, Address("127.0.0.1", 0))) as port:
        refused(await exchange(port, raw, end=False))


@pytest.mark.usefixtures("quick")
async def test_an_idle_connection_is_kept_beyond_the_time_for_a_header() -> None:
    async with serving(Server(echo, Address("127.0.0.1", 0))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(GET)
            assert b" 200 " in await reader.readuntil(b"/a 0 1")
            await asyncio.sleep(0.25)
        writer.close()


def mutated(raw: bytes) -> Callable[[tuple[int, int]], bytes]:
    def change(how: tuple[int, int]) -> bytes:
        place, byte = how
        place %= len(raw)
        return raw[:place] + bytes([byte]) + raw[place + 1 :]

    return change


CHUNKED = POST + b"Transfer-Encoding: chunked\r\nX-A: b\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 255)).map(mutated(CHUNKED)), min_size=10, max_size=20
    )
)
async def test_any_changed_byte_is_an_answer_or_a_closed_connection(requests: list[bytes]) -> None:
    async with serving(Server(echo, Address("127.0.0.1", 0))) as port:
        for raw in requests:
            answer = await exchange(port, raw)
            assert answer == b"" or answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))
        assert b" 200 " in await exchange(port, GET)


@pytest.mark.parametrize("cut", [len(GET) + 3, len(GET) + 20, 2 * len(GET) - 3])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_header_of_which_a_part_came_before_the_answer_to_another_is_whole(
    port: int, cut: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    raw = GET + GET
    try:
        async with asyncio.timeout(60):
            writer.write(raw[:cut])
            assert b" 200 " in await reader.readuntil(b"/a 0 1")
            writer.write(raw[cut:])
            assert (await reader.readuntil(b"/a 0 1")).startswith(b"HTTP/1.1 200 ")
    finally:
        writer.close()


LARGE = 60_000
"""Bytes of an answer that anybody may ask for, as those of the page of the API are."""


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(b"x" * LARGE)(scope, receive, send)


@asynccontextmanager
async def never_reading(port: int, *, last: bytes = b"") -> AsyncIterator[socket.socket]:
    """A connection that asks a hundred times, and once more so, and takes no answer."""
    loop = asyncio.get_running_loop()
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        peer.settimeout(0)
        await loop.sock_connect(peer, ("127.0.0.1", port))
        await loop.sock_sendall(peer, GET * 100 + last)
        yield peer


async def waits(server: Server) -> None:
    """Until there is a connection whose peer takes nothing."""
    connections = server._server.server_state.connections
    async with asyncio.timeout(30):
        while not any(getattr(one, "flow").write_paused for one in connections):  # noqa: ASYNC110, B009
            await asyncio.sleep(0.01)


async def emptied(server: Server) -> None:
    """Until there is no connection."""
    async with asyncio.timeout(30):
        while server._server.server_state.connections:  # noqa: ASYNC110 - a set of uvicorn's
            await asyncio.sleep(0.01)


async def test_who_asks_and_never_reads_is_shown_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StrictProtocol, "taking_seconds", 0.2)
    server = Server(large, Address("127.0.0.1", 0))
    async with serving(server) as port, never_reading(port):
        await waits(server)
        await emptied(server)


@pytest.mark.parametrize("last", [b"", GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")])
async def test_an_end_does_not_wait_for_who_never_reads(monkeypatch: pytest.MonkeyPatch, last: bytes) -> None:
    # With an hour of grace it would not end.
    monkeypatch.setattr(serves, "GRACE_SECONDS", 3_600)
    monkeypatch.setattr(serves, "HURRY_SECONDS", 0.1)
    server, stop = Server(large, Address("127.0.0.1", 0)), asyncio.Event()
    await server.listen()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run(stop))
        async with never_reading(server.port, last=last):
            await waits(server)
            stop.set()
            await emptied(server)


async def narrow(scope: Scope, receive: Receive, send: Send) -> None:
    """As `large`, of which the system takes little: most waits in the program, and no writer for anybody."""
    line = scope[LINE].transport.get_extra_info("socket")
    line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    await large(scope, receive, send)


@asynccontextmanager
async def ended(server: Server) -> AsyncIterator[socket.socket]:
    """A connection that has asked once, and ended its side before it took the answer."""
    loop = asyncio.get_running_loop()
    connections = server._server.server_state.connections
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        peer.settimeout(0)
        await loop.sock_connect(peer, ("127.0.0.1", server.port))
        await loop.sock_sendall(peer, GET)
        async with asyncio.timeout(30):
            while not any(unsent(one) for one in connections):  # noqa: ASYNC110 - a set of uvicorn's
                await asyncio.sleep(0.01)
            peer.shutdown(socket.SHUT_WR)
            while not all(getattr(one, "is_lost") for one in connections):  # noqa: ASYNC110, B009 - as above
                await asyncio.sleep(0.01)
        yield peer


def unsent(connection: object) -> int:
    assert isinstance(connection, StrictProtocol)
    return connection._joined._transport.get_write_buffer_size()


async def test_who_ends_its_side_and_never_reads_is_shown_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StrictProtocol, "taking_seconds", 0.2)
    server = Server(narrow, Address("127.0.0.1", 0))
    async with serving(server), ended(server):
        await emptied(server)


async def test_nor_does_an_end_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serves, "GRACE_SECONDS", 3_600)
    monkeypatch.setattr(serves, "HURRY_SECONDS", 0.1)
    server, stop = Server(narrow, Address("127.0.0.1", 0)), asyncio.Event()
    await server.listen()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run(stop))
        async with ended(server):
            stop.set()
            await emptied(server)


async def test_who_ends_its_side_after_its_request_gets_the_whole_answer() -> None:
    server = Server(narrow, Address("127.0.0.1", 0))
    async with serving(server), ended(server) as peer, asyncio.timeout(30):
        got = b""
        while piece := await asyncio.get_running_loop().sock_recv(peer, 2_048):
            got += piece
    assert got.partition(b"\r\n\r\n")[2] == b"x" * LARGE
