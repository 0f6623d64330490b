"""Real local receivers that misbehave: every exchange ends, bounded, with a reason from the closed list."""

import asyncio
import gzip
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import get_args

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.address import AddressPolicy, Verdict
from gateway.dialler import BODY_BYTES, EXCERPT_BYTES, Answer, Dialler, Outgoing, Reason
from gateway.exchanges import MOST_INTERIM, Exchange

LOCAL = AddressPolicy(loopback=True)
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def receiver(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    conversations: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            await behave(reader, writer)
        with suppress(OSError, ssl.SSLError, asyncio.CancelledError, TimeoutError):
            async with asyncio.timeout(0.5):
                writer.close()
                await writer.wait_closed()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in conversations:
            task.cancel()
        if conversations:
            await asyncio.wait(conversations)
        await asyncio.sleep(0)


async def post(port: int, *, timeout_ms: int = 30_000, body: bytes = b"{}", scheme: str = "http") -> Answer:
    async with Dialler(LOCAL, timeout_ms=timeout_ms) as dialler:
        return await dialler.send(
            Outgoing(f"{scheme}://127.0.0.1:{port}/in?a=%2F", (("webhook-id", "e"),), body)
        )


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    return head + await reader.readexactly(length)


def says(raw: bytes, seen: list[bytes] | None = None) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        if seen is not None:
            seen.append(request)
        writer.write(raw)
        await writer.drain()

    return behave


def plain(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_a_2xx_is_an_answer_without_failure_and_the_request_is_exactly_ours() -> None:
    seen: list[bytes] = []
    async with receiver(says(plain("202 Accepted", b"thanks"), seen)) as port:
        answer = await post(port, body=b'{"a": 1}')
    assert (answer.status, answer.failure, answer.excerpt) == (202, None, b"thanks")
    assert answer.body_sha256 == hashlib.sha256(b"thanks").digest()
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /in?a=%2F HTTP/1.1\r\n")
    assert body == b'{"a": 1}'
    assert b"accept-encoding: identity" in head.lower()
    assert b"cookie" not in head.lower()


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ("200 OK", None),
        ("299 Fine", None),
        ("301 Moved", "redirected"),
        ("304 Not Modified", "redirected"),
        ("400 Bad", "client_error"),
        ("404 Not Found", "client_error"),
        ("410 Gone", "gone"),
        ("429 Slow Down", "throttled"),
        ("500 Oops", "server_error"),
        ("503 Busy", "server_error"),
        ("600 What", "response_invalid"),
        ("999 What", "response_invalid"),
    ],
)
async def test_each_status_has_its_reason(status: str, failure: str | None) -> None:
    async with receiver(says(plain(status))) as port:
        answer = await post(port)
    assert answer.failure == failure


async def test_a_redirect_is_not_followed() -> None:
    reached: list[bytes] = []
    async with (
        receiver(says(plain("200 OK"), reached)) as elsewhere,
        receiver(says(plain("307 Over", b"", f"Location: http://127.0.0.1:{elsewhere}/"))) as port,
    ):
        answer = await post(port)
    assert (answer.status, answer.failure, reached) == (307, "redirected", [])


async def test_a_cookie_is_not_sent_back() -> None:
    seen: list[bytes] = []
    baker = says(plain("200 OK", b"", "Set-Cookie: a=b", "Connection: close"), seen)
    async with receiver(baker) as port, Dialler(LOCAL, timeout_ms=3_000) as dialler:
        for _ in range(2):
            await dialler.send(Outgoing(f"http://127.0.0.1:{port}/", (), b""))
    assert len(seen) == 2
    assert b"cookie" not in seen[1].lower()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("0" * 20 + "7", 7),
        ("99999999999", 999_999_999),
        ("9" * 8_000, 999_999_999),
        ("9" * 30 + "x", None),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("1.5", None),
    ],
)
async def test_retry_after_is_read_in_seconds_or_passed_over(value: str, seconds: int | None) -> None:
    async with receiver(says(plain("503 Busy", b"", f"Retry-After: {value}"))) as port:
        assert (await post(port)).retry_after_seconds == seconds


async def test_a_huge_body_is_cut_at_the_cap() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with receiver(behave) as port:
        answer = await post(port)
    assert (answer.status, answer.failure) == (200, None)
    assert answer.body_sha256 == hashlib.sha256(b"x" * BODY_BYTES).digest()
    assert answer.excerpt == b"x" * EXCERPT_BYTES


async def test_a_compressed_body_stays_compressed() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    async with receiver(says(plain("200 OK", bomb, "Content-Encoding: gzip"))) as port:
        answer = await post(port)
    assert answer.body_sha256 == hashlib.sha256(bomb).digest()


@pytest.mark.parametrize(
    "head",
    [
        b"X-Big: " + b"a" * 20_000,
        b"\r\n".join(b"X-%d: %s" % (n, b"a" * 3_000) for n in range(8)),
        b"\r\n".join(b"X-%d: a" % n for n in range(3_000)),
    ],
    ids=["one header", "eight headers", "very many headers"],
)
async def test_headers_beyond_the_cap_are_an_invalid_response(head: bytes) -> None:
    async with receiver(says(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nContent-Length: 0\r\n\r\n")) as port:
        answer = await post(port)
    assert answer.failure == "response_invalid"


async def drip_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def drip_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def go_on_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


class Open(AddressPolicy):
    """Allows all but what is this machine's own."""

    def judge(self, address: str, *, is_own: bool = False) -> Verdict:
        return Verdict(allowed=not is_own, rule="of this test" if address else "")


async def test_what_turns_out_to_be_this_machine_gets_nothing() -> None:
    seen: list[bytes] = []
    async with receiver(says(plain("200 OK"), seen)) as port:
        async with Dialler(Open(loopback=True), timeout_ms=30_000) as dialler:
            answer = await dialler.send(Outgoing(f"http://127.0.0.1:{port}/", (), b"{}"))
        assert (answer.status, answer.failure) == (0, "address_denied")
    assert seen == []


def flooding(*begin: bytes, piece: bytes, sent: list[int]) -> Behaviour:
    """As fast as it is taken; `sent`: how much that was."""
    many = piece * (256 * 1024 // len(piece))

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.writelines(begin)
        while True:
            writer.write(many)
            await writer.drain()
            sent.append(len(many))

    return behave


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        ((), b"HTTP/1.1 100 Continue\r\n\r\n"),
        ((), b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        ((CHUNKED,), b"1\r\nx\r\n"),
        ((CHUNKED,), b"1;" + b"a" * 200 + b"\r\nx\r\n"),
    ],
)
async def test_what_wraps_an_answer_and_never_ends_is_ended_soon(
    begin: tuple[bytes, ...], piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    take = Exchange._take

    def counted(self: Exchange, data: bytes) -> None:
        taken.append(0 if self._is_over else len(data))
        take(self, data)

    monkeypatch.setattr(Exchange, "_take", counted)
    sent: list[int] = []
    async with receiver(flooding(*begin, piece=piece, sent=sent)) as port:
        answer = await post(port, timeout_ms=60_000)
    assert answer.failure == "response_invalid"
    assert sum(taken) < 40_000


@pytest.mark.parametrize("count", [1, MOST_INTERIM])
async def test_a_few_answers_before_the_answer_do_no_harm(count: int) -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * count + plain("200 OK", b"thanks")
    async with receiver(says(raw)) as port:
        answer = await post(port)
    assert (answer.status, answer.failure, answer.excerpt) == (200, None, b"thanks")


@pytest.mark.parametrize(("size", "count"), [(1, 4_000), (100, 600), (4_096, 15)])
async def test_a_body_in_small_chunks_is_read_to_its_end(size: int, count: int) -> None:
    chunk = b"%x\r\n%s\r\n" % (size, b"x" * size)
    async with receiver(says(CHUNKED + chunk * count + b"0\r\n\r\n")) as port:
        answer = await post(port)
    assert (answer.status, answer.failure) == (200, None)
    assert answer.body_sha256 == hashlib.sha256(b"x" * size * count).digest()


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def read_nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)


@pytest.mark.parametrize("behave", [drip_headers, drip_body, go_on_for_ever, say_nothing])
async def test_the_deadline_covers_the_whole_exchange(behave: Behaviour) -> None:
    async with receiver(behave) as port:
        answer = await post(port, timeout_ms=300)
    assert answer.failure == "timed_out"
    assert answer.ms >= 300


async def test_a_receiver_that_never_reads_a_large_body_times_out() -> None:
    async with receiver(read_nothing) as port:
        answer = await post(port, timeout_ms=300, body=b"x" * 20_000_000)
    assert (answer.status, answer.failure) == (0, "timed_out")


async def close_at_once(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    return


async def test_a_connection_closed_before_the_answer_failed_to_connect() -> None:
    async with receiver(close_at_once) as port:
        answer = await post(port)
    assert (answer.status, answer.failure, answer.body_sha256) == (0, "connect_failed", b"")


async def test_a_body_cut_short_is_an_invalid_response() -> None:
    async with receiver(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")) as port:
        answer = await post(port)
    assert (answer.status, answer.failure) == (200, "response_invalid")


async def test_nobody_listening_is_connect_failed() -> None:
    async with receiver(say_nothing) as port:
        pass
    assert (await post(port)).failure == "connect_failed"


async def test_a_name_without_address_is_dns_failed() -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    async with Dialler(LOCAL, timeout_ms=2_000, lookup=lookup) as dialler:
        answer = await dialler.send(Outgoing("https://hooks.example/", (), b""))
    assert answer.failure == "dns_failed"


async def test_a_name_that_never_resolves_times_out() -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        await asyncio.sleep(30)
        return []

    async with Dialler(LOCAL, timeout_ms=200, lookup=lookup) as dialler:
        answer = await dialler.send(Outgoing("https://hooks.example/", (), b""))
    assert answer.failure == "timed_out"


async def test_plain_http_behind_https_is_tls_failed() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(plain("400 Bad Request"))
        await writer.drain()

    async with receiver(behave) as port:
        answer = await post(port, scheme="https")
    assert answer.failure == "tls_failed"


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name == "127.0.0.1":
        names = [x509.IPAddress(IPv4Address(name))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return cert, secret


async def tls_answer(folder: Path, name: str, *, trusted: bool) -> Answer:
    cert, key = certificate(folder, name)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert, key)
    client = ssl.create_default_context(cafile=str(cert)) if trusted else None
    async with (
        receiver(says(plain("200 OK")), server) as port,
        Dialler(LOCAL, timeout_ms=30_000, tls=client) as dialler,
    ):
        return await dialler.send(Outgoing(f"https://127.0.0.1:{port}/", (), b""))


async def test_a_trusted_certificate_for_the_host_is_accepted(tmp_path: Path) -> None:
    assert (await tls_answer(tmp_path, "127.0.0.1", trusted=True)).failure is None


async def test_an_untrusted_certificate_is_tls_failed(tmp_path: Path) -> None:
    assert (await tls_answer(tmp_path, "127.0.0.1", trusted=False)).failure == "tls_failed"


async def test_a_certificate_for_another_host_is_tls_failed(tmp_path: Path) -> None:
    assert (await tls_answer(tmp_path, "hooks.example", trusted=True)).failure == "tls_failed"


async def test_cancellation_passes_through() -> None:
    async with receiver(say_nothing) as port, asyncio.TaskGroup() as group:
        task = group.create_task(post(port, timeout_ms=30_000))
        await asyncio.sleep(0.1)
        task.cancel()
    assert task.cancelled()


async def test_a_dialler_that_was_not_entered_says_so() -> None:
    with pytest.raises(RuntimeError, match="enter"):
        await Dialler(LOCAL, timeout_ms=1_000).send(Outgoing("http://127.0.0.1:1/", (), b""))


STARTS = st.sampled_from(
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 ",
        b"HTTP/1.1 200 OK\r\nContent-Length: ",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=STARTS, rest=st.binary(max_size=80))
def test_garbage_ends_in_a_reason_of_the_closed_list(start: bytes, rest: bytes) -> None:
    async def run() -> Answer:
        async with receiver(says(start + rest)) as port:
            return await post(port, timeout_ms=1_000)

    answer = asyncio.run(run())
    assert answer.failure is None or answer.failure in get_args(Reason)
    assert answer.failure is not None or 200 <= answer.status < 300
