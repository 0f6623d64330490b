"""Receivers that break the rules of HTTP, TCP and TLS: each ends in its documented reason, in time."""

import asyncio
import gzip
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509

from gateway.dialler import Answer, Dialler, Outgoing, Reason, default_tls
from tests.authorities import Made, make
from tests.hostile.test_receivers import LOCAL, plain, post, read_request, receiver, says

NOW = int(datetime.now(UTC).timestamp() * 1_000)
GENEROUS_MS = 30_000
"""For what must end long before any deadline: a slow machine does not change the reason."""

OK = b"HTTP/1.1 200 OK\r\n"
LOCALHOST = (x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]),)


def chunked(*pieces: bytes) -> bytes:
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(pieces)


@pytest.mark.parametrize(
    ("raw", "status", "failure"),
    [
        pytest.param(b"", 0, "connect_failed", id="nothing"),
        pytest.param(b"hello\n", 0, "response_invalid", id="HTTP/0.9"),
        pytest.param(b"<html>hello</html>", 0, "response_invalid", id="a page without a head"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01", 0, "response_invalid", id="TLS in clear"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n", 0, "response_invalid", id="another protocol"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", 0, "response_invalid", id="a status of four digits"),
        pytest.param(b"HTTP/1.1 -1 OK\r\n\r\n", 0, "response_invalid", id="a negative status"),
        pytest.param(b"HTTP/9.9 200 OK\r\n\r\n", 0, "response_invalid", id="a version nobody knows"),
        pytest.param(OK + b"Content-Length: ten\r\n\r\n", 0, "response_invalid", id="a length that is none"),
        pytest.param(OK + b"Content-Length: -1\r\n\r\n", 0, "response_invalid", id="a negative length"),
        pytest.param(
            OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 0, "response_invalid", id="two lengths"
        ),
        pytest.param(OK + b"X-A: a\x00b\r\n\r\n", 0, "response_invalid", id="NUL in a header"),
        pytest.param(OK + b"Content-Length: 5\r\n\r\nab", 200, "response_invalid", id="a body cut short"),
        pytest.param(chunked(b"zz\r\nab\r\n"), 0, "response_invalid", id="a chunk without size"),
        pytest.param(chunked(b"5\r\nab"), 200, "response_invalid", id="a chunk cut short"),
        pytest.param(
            chunked(b"fffffffffffffffff\r\nab"), 0, "response_invalid", id="a chunk larger than the world"
        ),
        pytest.param(chunked(b"2\r\nabXX"), 0, "response_invalid", id="a chunk that goes on"),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            101,
            "response_invalid",
            id="another protocol, politely",
        ),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n" + plain("200 OK"), 200, None, id="100, which nobody asked for"
        ),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + plain("204 No Content"), 204, None, id="103"
        ),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", 0, "connect_failed", id="100 and no more"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\nboo", 0, "response_invalid", id="204 with a body"),
        pytest.param(
            b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nboo",
            0,
            "response_invalid",
            id="204 with a length",
        ),
        pytest.param(OK + b"\r\nto the end", 200, None, id="a body without length, to the end"),
        pytest.param(
            plain("308 Over", b"", "Location: /in?a=%2F"), 308, "redirected", id="a redirect to itself"
        ),
        pytest.param(plain("300 Choose"), 300, "redirected", id="300"),
        pytest.param(plain("199 Odd"), 0, "connect_failed", id="199"),
    ],
)
async def test_what_breaks_the_rules_has_its_reason(raw: bytes, status: int, failure: Reason | None) -> None:
    seen: list[bytes] = []
    async with receiver(says(raw, seen)) as port:
        answer = await post(port, timeout_ms=GENEROUS_MS)
    assert (answer.status, answer.failure, len(seen)) == (status, failure, 1)


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose connections are never accepted, with no room for one more: a black hole."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting: list[socket.socket] = []
        try:
            for _ in range(8):
                one = socket.socket()
                one.setblocking(False)  # noqa: FBT003 - of the standard library
                one.connect_ex(listener.getsockname())
                waiting.append(one)
            yield listener.getsockname()[1]
        finally:
            for one in waiting:
                one.close()


async def test_a_black_hole_times_out_at_the_deadline() -> None:
    with full_backlog() as port:
        answer = await post(port, timeout_ms=400)
    assert (answer.status, answer.failure) == (0, "timed_out")
    assert answer.ms >= 400


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_handshake_that_never_ends_times_out() -> None:
    async with receiver(say_nothing) as port:
        answer = await post(port, timeout_ms=400, scheme="https")
    assert (answer.status, answer.failure) == (0, "timed_out")


async def drip(writer: asyncio.StreamWriter, head: bytes, piece: bytes) -> None:
    writer.write(head)
    while True:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 ", b"O"),
        (OK + b"X-A: ", b"a"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1", b";a"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: 1\r\n"),
        (OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"0" * 1_000)[:20]),
    ],
    ids=["status", "reason phrase", "header", "chunks", "chunk extension", "trailers", "gzip"],
)
async def test_what_drips_ends_with_the_deadline(head: bytes, piece: bytes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await drip(writer, head, piece)

    async with receiver(behave) as port:
        answer = await post(port, timeout_ms=500)
    assert answer.failure in {"timed_out", "response_invalid"}
    assert answer.ms < GENEROUS_MS


@pytest.mark.parametrize(
    ("head", "piece", "failure"),
    [
        (b"HTTP/1.1 200 ", b"O" * 4_096, "response_invalid"),
        (OK, b"X-A: " + b"a" * 3_000 + b"\r\n", "response_invalid"),
        (OK + b"X-A: ", b"a" * 4_096, "response_invalid"),
        (OK + b"\r\n", b"a" * 65_536, None),
        (OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"0" * 1_000_000), None),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"a" * 4_096 + b"\r\n", None),
    ],
    ids=["status line", "headers", "one header", "body", "gzip bomb", "chunks"],
)
async def test_what_never_ends_is_cut(head: bytes, piece: bytes, failure: Reason | None) -> None:
    sent = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(head)
        while True:
            writer.write(piece)
            sent += len(piece)
            await writer.drain()

    async with receiver(behave) as port:
        answer = await post(port, timeout_ms=GENEROUS_MS)
    assert answer.failure == failure
    assert len(answer.excerpt) <= 1_024
    assert sent < 50_000_000


def reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side gets a reset."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize(
    ("before", "failure"),
    [
        (b"", "connect_failed"),
        (OK, "connect_failed"),
        (OK + b"Content-Length: 100\r\n\r\nab", "response_invalid"),
        (chunked(b"2\r\nab\r\n"), "response_invalid"),
    ],
    ids=["before the answer", "in the head", "in mid-body", "between chunks"],
)
async def test_a_reset_has_its_reason(before: bytes, failure: Reason) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(before)
        await writer.drain()
        await asyncio.sleep(0.05)
        reset(writer)

    async with receiver(behave) as port:
        answer = await post(port, timeout_ms=GENEROUS_MS)
    assert answer.failure == failure


async def test_an_answer_before_the_body_was_read_is_an_answer() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(plain("413 Too Large", b"", "Connection: close"))
        await writer.drain()
        await reader.read()

    async with receiver(behave) as port:
        answer = await post(port, timeout_ms=GENEROUS_MS, body=b"x" * 4_000_000)
    assert (answer.status, answer.failure) == (413, "client_error")


@pytest.mark.parametrize(
    "leftover",
    [plain("200 OK", b"not yours"), b"boo", plain("410 Gone")],
    ids=["another answer", "bytes", "another verdict"],
)
@pytest.mark.parametrize("when", ["with it", "later"])
async def test_what_comes_behind_an_answer_answers_no_other_request(leftover: bytes, when: str) -> None:
    """A receiver that is paid for one POST cannot answer the next beforehand."""
    read: list[bytes] = []
    sent = asyncio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await read_request(reader))
        if len(read) > 1:
            writer.write(plain("503 Busy"))
            await writer.drain()
            return
        if when == "later":
            writer.write(plain("200 OK", b"ok"))
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(leftover)
        else:
            writer.write(plain("200 OK", b"ok") + leftover)
        await writer.drain()
        sent.set()
        await reader.read()

    async with receiver(behave) as port, Dialler(LOCAL, timeout_ms=2_000) as dialler:
        outgoing = Outgoing(f"http://127.0.0.1:{port}/", (), b"{}")
        await dialler.send(outgoing)
        await sent.wait()
        await asyncio.sleep(0.05)
        second = await dialler.send(outgoing)
    assert (second.status, second.failure, len(read)) == (503, "server_error", 2)


async def tls_answer(server: Made, chain: Sequence[Made], trusted: Made, folder: Path) -> Answer:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate, key = server.save(folder, "server")
    certificate.write_bytes(b"".join(one.pem for one in (server, *chain)))
    context.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cadata=trusted.pem.decode())
    async with (
        receiver(says(plain("200 OK")), context) as port,
        Dialler(LOCAL, timeout_ms=GENEROUS_MS, tls=client) as dialler,
    ):
        return await dialler.send(Outgoing(f"https://127.0.0.1:{port}/", (), b""))


@pytest.fixture(scope="module")
def authority() -> Made:
    return make("authority", at=NOW, is_ca=True)


async def test_a_certificate_whose_time_is_over_is_tls_failed(authority: Made, tmp_path: Path) -> None:
    good = make("server", authority, at=NOW, extensions=LOCALHOST)
    assert (await tls_answer(good, (), authority, tmp_path)).failure is None
    for days in ((-3, -1), (1, 3)):
        other = make("server", authority, at=NOW, days=days, extensions=LOCALHOST)
        assert (await tls_answer(other, (), authority, tmp_path)).failure == "tls_failed"


async def test_a_certificate_for_another_name_is_tls_failed(authority: Made, tmp_path: Path) -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("hooks.acme.example")])
    named = make("127.0.0.1", authority, at=NOW, extensions=(names,))
    assert (await tls_answer(named, (), authority, tmp_path)).failure == "tls_failed"


async def test_a_certificate_by_itself_or_by_somebody_else_is_tls_failed(
    authority: Made, tmp_path: Path
) -> None:
    own = make("server", at=NOW, extensions=LOCALHOST)
    assert (await tls_answer(own, (), authority, tmp_path)).failure == "tls_failed"
    no_authority = make("no authority", authority, at=NOW)
    below = make("server", no_authority, at=NOW, extensions=LOCALHOST)
    assert (await tls_answer(below, (no_authority,), authority, tmp_path)).failure == "tls_failed"


def test_old_versions_of_tls_are_not_spoken_and_names_are_checked() -> None:
    context = default_tls()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777_000),
        ("Sun Nov  6 08:49:37 1994", 784_111_777_000),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799_000),
        ("tomorrow", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("1994-11-06T08:49:37Z", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT" + " " * 64 + "x", None),
        ("(" * 60, None),
    ],
)
async def test_retry_after_is_read_as_a_date_of_any_form_or_passed_over(value: str, at: int | None) -> None:
    async with receiver(says(plain("503 Busy", b"", f"Retry-After: {value}"))) as port:
        answer = await post(port, timeout_ms=GENEROUS_MS)
    assert (answer.status, answer.retry_after_seconds, answer.retry_after_at) == (503, None, at)


async def test_headers_are_kept_of_signed_answers_alone() -> None:
    async with receiver(says(plain("200 OK", b"", "X-A: b", "Signature: s=:YQ==:"))) as port:
        assert (await post(port, timeout_ms=GENEROUS_MS)).headers == ()
    fields = ("X-A: b", "Signature: s=:YQ==:", 'Signature-Input: s=("@status")')
    async with receiver(says(plain("200 OK", b"", *fields))) as port:
        answer = await post(port, timeout_ms=GENEROUS_MS)
    assert ("x-a", "b") in answer.headers
    assert "YQ" not in repr(answer)
