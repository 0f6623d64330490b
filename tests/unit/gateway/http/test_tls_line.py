import asyncio
import gc
import os
import ssl
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.http.framing import HEADER_SECONDS
from gateway.http.tls import make_dev_certificate, server_context
from gateway.http.tls_line import READ_BYTES, UNREAD_BYTES, WAITING_BYTES, TlsLine

LATEST = ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_dev_certificate(tmp_path_factory.mktemp("tls"), now=1_800_000_000_000, entropy=os.urandom)


@pytest.fixture(scope="module")
def context(files: tuple[Path, Path]) -> ssl.SSLContext:
    return server_context(*files)


class Below(asyncio.Transport):
    """The connection below: keeps what is written. `left`: bytes that it says are not sent."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 5)})
        self.written = b""
        self.left = 0
        self.limits: tuple[int | None, int | None] = None, None
        self._is_reading = True
        self.ended: list[str] = []
        self.has_ended = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.ended.append("closed")
        self.has_ended.set()

    def abort(self) -> None:
        self.ended.append("aborted")
        self.has_ended.set()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended.append("ended its side")

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True

    def is_reading(self) -> bool:
        return self._is_reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = high, low

    def get_write_buffer_size(self) -> int:
        return self.left


class Spoken(asyncio.Protocol):
    """What is spoken over it: keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.told: list[str] = []
        self.transport: asyncio.BaseTransport | None = None
        self.answer: Callable[[bytes], None] = lambda _: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.told.append("made")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost" if exc is None else type(exc).__name__)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.answer(data)

    def eof_received(self) -> None:
        self.told.append("end")

    def pause_writing(self) -> None:
        self.told.append("paused")

    def resume_writing(self) -> None:
        self.told.append("resumed")


class Hasty(TlsLine):
    __slots__ = ()
    handshake_seconds = goodbye_seconds = linger_seconds = 0.01


class Pair:
    """A line of the server's, and a client of OpenSSL's at the other end of the network."""

    def __init__(
        self, context: ssl.SSLContext, version: ssl.TLSVersion = LATEST, kind: type[TlsLine] = TlsLine
    ) -> None:
        self.below, self.spoken = Below(), Spoken()
        self.failed: list[tuple[str, str, str]] = []
        self.line = kind(
            self.spoken, context, memoryview(bytearray(READ_BYTES)), lambda *told: self.failed.append(told)
        )
        self.line.connection_made(self.below)
        asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
        asking.minimum_version = asking.maximum_version = version
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = asking.wrap_bio(self._in, self._out)

    def receive(self, data: bytes) -> None:
        """Let the server's side read what came, as far as its buffer goes each time."""
        while data:
            buffer = self.line.get_buffer(-1)
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            self.line.buffer_updated(count)
            data = data[count:]

    def carry(self, size: int = 0) -> None:
        """Bring what each has written to the other; to the server `size` bytes at a time, 0: all at once."""
        whole = self._out.read()
        for start in range(0, len(whole), size or len(whole) or 1):
            self.receive(whole[start : start + (size or len(whole))])
        self._in.write(self.below.written)
        self.below.written = b""

    def shake(self, size: int = 0) -> "Pair":
        for _ in range(3):
            try:
                self.client.do_handshake()
            except ssl.SSLWantReadError:
                self.carry(size)
            else:
                break
        self.carry(size)
        assert self.spoken.told == ["made"]
        return self

    def say(self, data: bytes, size: int = 0) -> None:
        self.client.write(data)
        self.carry(size)

    def hear(self) -> bytes:
        """All that the client can read now."""
        self.carry()
        found = b""
        while True:
            try:
                piece = self.client.read(65_536)
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                return found
            if not piece:
                return found
            found += piece


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, LATEST])
@pytest.mark.parametrize("size", [0, 1, 100])
async def test_both_sides_hear_what_the_other_says(
    context: ssl.SSLContext, version: ssl.TLSVersion, size: int
) -> None:
    pair = Pair(context, version).shake(size)
    pair.spoken.answer = lambda data: pair.line.write(b"<" + data + b">")
    pair.say(b"one", size)
    pair.say(b"two", size)
    assert pair.spoken.heard == b"onetwo"
    assert pair.hear() == b"<one><two>"
    assert pair.line.get_extra_info("ssl_object").version() == pair.client.version()
    assert pair.line.get_extra_info("sslcontext") is context
    assert pair.line.get_extra_info("peername") == ("192.0.2.1", 5)
    pair.line.abort()


async def test_what_is_longer_than_a_record_arrives_whole(context: ssl.SSLContext) -> None:
    pair, sent = Pair(context).shake(), os.urandom(100_000)
    for start in range(0, len(sent), 16_384):
        pair.client.write(sent[start : start + 16_384])
    pair.carry(1_000)
    assert pair.spoken.heard == sent
    pair.line.write(bytearray(sent))
    assert pair.hear() == sent
    pair.line.abort()


async def test_the_first_request_may_come_with_the_end_of_the_handshake(context: ssl.SSLContext) -> None:
    pair = Pair(context)
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.do_handshake()
    pair.carry()
    pair.client.do_handshake()
    pair.say(b"at once")
    assert (pair.spoken.told, pair.spoken.heard) == (["made"], b"at once")
    pair.line.abort()


async def test_who_does_not_speak_tls_is_left_without_a_word(context: ssl.SSLContext) -> None:
    pair = Pair(context)
    pair.receive(b"GET / HTTP/1.1\r\n\r\n")
    pair.line.connection_lost(None)
    assert (pair.below.ended, pair.below.written, pair.spoken.told) == (["aborted"], b"", [])
    assert pair.failed == [("not_tls", "http_request", "192.0.2.1")]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "other"),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "other"),
    ],
)
async def test_who_speaks_it_wrongly_gets_an_alert(context: ssl.SSLContext, said: bytes, reason: str) -> None:
    pair = Pair(context, kind=Hasty)
    pair.receive(said)
    alert, fatal = 21, 2
    assert (pair.below.written[0], pair.below.written[5]) == (alert, fatal)
    assert [name for name, _, _ in pair.failed] == [reason]
    # What it has sent meanwhile is dropped: else a reset could overtake the alert.
    pair.receive(b"GET / HTTP/1.1")
    assert pair.below.ended == ["ended its side"]
    await pair.below.has_ended.wait()
    pair.line.eof_received()
    pair.line.connection_lost(None)
    assert pair.below.ended == ["ended its side", "aborted"]
    assert (pair.spoken.told, len(pair.failed)) == ([], 1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, LATEST])
async def test_a_client_that_is_refused_hears_why(files: tuple[Path, Path], version: ssl.TLSVersion) -> None:
    picky = server_context(*files)
    picky.minimum_version = picky.maximum_version = (
        LATEST if version is not LATEST else ssl.TLSVersion.TLSv1_2
    )
    pair = Pair(picky, version)
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.do_handshake()
    pair.carry()
    with pytest.raises(ssl.SSLError, match=r"(?i)alert.protocol.version"):
        pair.client.do_handshake()
    assert pair.failed == [("version", "unsupported_protocol", "192.0.2.1")]
    pair.line.abort()


async def test_who_says_nothing_is_not_waited_for(context: ssl.SSLContext) -> None:
    pair = Pair(context, kind=Hasty)
    await pair.below.has_ended.wait()
    pair.line.eof_received()
    pair.line.connection_lost(None)
    assert (pair.below.ended, pair.spoken.told) == (["aborted"], [])
    assert pair.failed == [("timeout", "", "192.0.2.1")]


async def test_who_goes_away_in_the_handshake_is_told_of_once(context: ssl.SSLContext) -> None:
    pair = Pair(context)
    pair.line.eof_received()
    pair.line.connection_lost(None)
    assert pair.failed == [("ended", "", "192.0.2.1")]
    pair = Pair(context).shake()
    pair.line.connection_lost(None)
    assert pair.failed == []


async def test_a_record_that_was_changed_ends_the_connection_and_is_not_handed_on(
    context: ssl.SSLContext,
) -> None:
    pair = Pair(context).shake()
    pair.client.write(b"pay 10")
    record = bytearray(pair._out.read())
    record[-1] ^= 1
    pair.receive(bytes(record))
    pair.line.write(b"never sent")
    pair.line.connection_lost(None)
    assert (pair.spoken.heard, pair.spoken.told) == (b"", ["made", "lost"])
    assert (pair.below.ended, pair.below.written) == (["aborted"], b"")


async def test_an_end_is_said_and_waited_for(context: ssl.SSLContext) -> None:
    pair = Pair(context).shake()
    pair.line.write(b"last")
    pair.line.close()
    pair.line.close()
    pair.line.write(b"too late")
    assert pair.line.is_closing()
    assert pair.below.ended == []
    pair.client.write(b"unheard")
    assert pair.hear() == b"last"
    assert pair.below.ended == []
    pair.client.unwrap()
    pair.carry()
    pair.line.connection_lost(None)
    assert (pair.below.ended, pair.spoken.heard, pair.spoken.told) == (["closed"], b"", ["made", "lost"])


async def test_who_does_not_say_that_it_ends_too_is_left_once_it_has_all(context: ssl.SSLContext) -> None:
    pair = Pair(context, kind=Hasty).shake()
    looks: list[int] = []

    def left() -> int:
        looks.append(3 - len(looks))
        return looks[-1]

    pair.below.get_write_buffer_size = left  # type: ignore[method-assign]  # less at each look
    pair.line.close()
    await pair.below.has_ended.wait()
    assert (looks, pair.below.ended) == ([3, 2, 1, 0], ["aborted"])


async def test_a_peer_that_ends_gets_what_was_written(context: ssl.SSLContext) -> None:
    pair = Pair(context).shake()
    pair.spoken.answer = lambda _: pair.line.write(b"answer")
    pair.client.write(b"question")
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.unwrap()
    pair.carry()
    pair.line.connection_lost(None)
    assert pair.spoken.told == ["made", "end", "lost"]
    assert (pair.spoken.heard, pair.below.ended) == (b"question", ["closed"])
    assert pair.hear() == b"answer"


async def test_a_network_that_ends_is_an_end_and_nothing_more_is_written(context: ssl.SSLContext) -> None:
    pair = Pair(context).shake()
    pair.line.eof_received()
    pair.line.write(b"to nobody")
    pair.line.close()
    assert pair.line.is_closing()
    pair.line.connection_lost(ConnectionResetError())
    assert pair.spoken.told == ["made", "end", "ConnectionResetError"]
    assert (pair.below.written, pair.below.ended) == (b"", [])


async def test_while_nobody_reads_the_network_is_left_to_wait(context: ssl.SSLContext) -> None:
    pair, piece = Pair(context).shake(), b"x" * 16_000
    pair.line.pause_reading()
    sent = 0
    while pair.below.is_reading():
        pair.say(piece)
        sent += len(piece)
    assert sent > UNREAD_BYTES * 0.9
    assert pair.spoken.heard == b""
    heard = asyncio.Event()
    pair.spoken.answer = lambda _: heard.set()
    pair.line.resume_reading()
    pair.line.resume_reading()
    await heard.wait()
    assert len(pair.spoken.heard) == sent
    assert pair.below.is_reading()
    pair.line.abort()


async def test_an_end_is_heard_though_nobody_reads(context: ssl.SSLContext) -> None:
    pair = Pair(context).shake()
    pair.line.pause_reading()
    while pair.below.is_reading():
        pair.say(b"x" * 16_000)
    pair.line.close()
    assert pair.below.is_reading()
    pair.hear()
    pair.client.unwrap()
    pair.carry()
    assert (pair.below.ended, pair.spoken.heard) == (["closed"], b"")


async def test_writers_wait_while_the_peer_takes_nothing(context: ssl.SSLContext) -> None:
    pair = Pair(context).shake()
    assert pair.below.limits == (WAITING_BYTES, None)
    pair.line.pause_writing()
    pair.line.resume_writing()
    pair.below.left = 7
    assert pair.line.get_write_buffer_size() == 7
    pair.line.close()
    pair.line.pause_writing()
    assert pair.spoken.told == ["made", "paused", "resumed"]
    pair.line.abort()


async def test_a_connection_that_ends_while_it_is_read_is_let_go(context: ssl.SSLContext) -> None:
    pair = Pair(context).shake()
    pair.spoken.answer = lambda _: pair.line.abort()
    pair.say(b"one")
    pair.say(b"two")
    pair.line.connection_lost(None)
    pair.line.resume_reading()
    assert pair.spoken.told == ["made", "lost"]
    assert pair.spoken.heard == b"one"


async def test_an_idle_connection_has_no_buffer_of_its_own(context: ssl.SSLContext) -> None:
    gc.collect()
    buffer = memoryview(bytearray(READ_BYTES))
    tracemalloc.start()
    try:
        line = TlsLine(Spoken(), context, buffer)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert line.is_closing()
    assert size < 8_192


async def test_a_large_answer_is_sent_as_it_is_encrypted(context: ssl.SSLContext) -> None:
    pair = Pair(context).shake()
    sent = list[int]()
    write = pair.below.write

    def note(data: bytes | bytearray | memoryview) -> None:
        sent.append(len(data))
        write(data)

    pair.below.write = note  # type: ignore[method-assign]  # it is watched
    answer = bytes(1 << 20)
    pair.line.write(answer)
    assert max(sent) < 2 * READ_BYTES
    assert len(pair.hear()) == len(answer)


async def test_who_takes_nothing_and_makes_tls_answer_is_not_read_from(context: ssl.SSLContext) -> None:
    pair = Pair(context).shake()
    pair.below.left = WAITING_BYTES + 1
    pair.say(b"one")
    assert pair.below.is_reading(), "nothing was answered by TLS itself"
    # As if the peer had asked for new keys: what TLS says to that waits to be sent.
    pair.line._outgoing.write(b"\0")
    pair.say(b"two")
    assert not pair.below.is_reading()
    pair.below.left = 0
    pair.line.resume_writing()
    assert pair.below.is_reading()
    assert pair.spoken.heard == b"onetwo"


async def test_a_handshake_is_waited_for_no_longer_than_a_header(context: ssl.SSLContext) -> None:
    pair = Pair(context)
    assert pair.line._timer is not None
    assert pair.line._timer.when() <= asyncio.get_running_loop().time() + HEADER_SECONDS
    pair.line.connection_lost(None)
