"""A registry that means harm or is out of order, on a real connection: refused in time, in one family."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.bootstrap.ground import clock, entropy
from gateway.http.tls import make_dev_certificate
from schemas.remote import Access, Patience, RemoteRegistry
from schemas.remote_answers import RemoteAnswerError, RemoteAwayError, RemoteError, RemoteRefusedError
from schemas.schema import parse_schema

TEXT = '{"type":"record","name":"R","fields":[]}'
BODY = json.dumps({"schema": TEXT}).encode()
SOON = Patience(connect=2.0, read=0.4, pause=0.0, whole=0.8, rounds=2)

Act = Callable[[socket.socket], None]


def answer(body: bytes, status: str = "200 OK", *more: str) -> Act:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more))
    return lambda connection: connection.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)


def nothing(connection: socket.socket) -> None:
    """Say nothing until the client is gone."""
    connection.recv(1)


def drip(connection: socket.socket) -> None:
    """Send a body byte by byte, each in time, and for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def spelled(connection: socket.socket) -> None:
    """Send the header letter by letter, each in time; an answer after five times the time for the whole."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-More: ")
    for _ in range(80):
        connection.sendall(b"y")
        time.sleep(0.05)
    connection.sendall(b"\r\nContent-Length: 0\r\n\r\n")


def flood(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"[" * 65_536 + b"\r\n")


def headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: " + b"y" * 1_000 + b"\r\n")


def cut(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + BODY)


def babble(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.example ESMTP\r\n")


def bomb(connection: socket.socket) -> None:
    answer(b"\x1f\x8b" + b"\x00" * 100, "200 OK", "Content-Encoding: gzip")(connection)


@contextmanager
def serving(*acts: Act, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """A port where the next act meets each connection, the last one again and again; and what was asked."""
    asked: list[bytes] = []
    left = list(acts)

    def meet(raw: socket.socket) -> None:
        try:
            with raw if tls is None else tls.wrap_socket(raw, server_side=True) as connection:
                asked.append(connection.recv(65_536))
                (left.pop(0) if len(left) > 1 else left[0])(connection)
        except OSError:
            raw.close()  # the client went away, as it should

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connection.settimeout(5)
            threads.append(threading.Thread(target=meet, args=(connection,)))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        try:
            yield server.getsockname()[1], asked
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for each in threads:
                each.join(10)


@contextmanager
def registry(url: str, **access: object) -> Iterator[RemoteRegistry]:
    given = Access((url,), **access)  # type: ignore[arg-type]  # a test's own short way to the fields
    opened = RemoteRegistry(given, ticks=time.monotonic, pause=time.sleep, patience=SOON)
    try:
        yield opened
    finally:
        opened.close()


def ask(*acts: Act) -> tuple[RemoteError | None, list[bytes]]:
    with serving(*acts) as (port, asked), registry(f"http://127.0.0.1:{port}", token="geheim") as far:
        failure: RemoteError | None = None
        try:
            found = far.by_id(7)
        except RemoteError as error:
            failure = error
        else:
            assert found == parse_schema(TEXT)
    assert "geheim" not in str(failure)
    return failure, asked


@pytest.mark.parametrize("act", [nothing, drip, spelled, headers, cut, babble])
def test_what_never_comes_to_an_answer_is_away(act: Act) -> None:
    error, _ = ask(act)
    assert isinstance(error, RemoteAwayError)


@pytest.mark.parametrize("act", [flood, bomb, answer(b"x" * 1_048_577), answer(b"[" * 1_000_000)])
def test_what_is_too_much_is_no_answer(act: Act) -> None:
    error, asked = ask(act)
    assert isinstance(error, RemoteAnswerError)
    assert len(asked) == 1


def test_a_redirect_is_not_followed_with_our_credentials() -> None:
    with serving(answer(BODY)) as (elsewhere, stolen):
        error, _ = ask(answer(b"", "307 Temporary Redirect", f"Location: http://127.0.0.1:{elsewhere}/x"))
    assert isinstance(error, RemoteAnswerError)
    assert stolen == []


def test_a_registry_that_stumbles_once_is_believed_the_second_time() -> None:
    error, asked = ask(answer(b"", "500 Oops"), answer(BODY))
    assert (error, len(asked)) == (None, 2)


def test_one_that_hangs_up_once_is_asked_again() -> None:
    error, asked = ask(lambda connection: connection.shutdown(socket.SHUT_RDWR), answer(BODY))
    assert (error, len(asked)) == (None, 2)


def test_refused_credentials_are_not_tried_again() -> None:
    error, asked = ask(answer(b"", "401 Unauthorized"))
    assert isinstance(error, RemoteRefusedError)
    assert len(asked) == 1


def test_nobody_listening_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with registry(f"http://127.0.0.1:{port}") as far, pytest.raises(RemoteAwayError):
        far.by_id(7)


def test_a_private_authority_is_trusted_where_it_is_named_and_only_there(tmp_path: Path) -> None:
    certificate, key = make_dev_certificate(tmp_path / "tls", now=clock(), entropy=entropy)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with serving(answer(BODY), tls=tls) as (port, _):
        url = f"https://localhost:{port}"
        with registry(url, tls=trusting) as far:
            assert far.by_id(7) == parse_schema(TEXT)
        with registry(url) as far, pytest.raises(RemoteAwayError, match="CERTIFICATE_VERIFY_FAILED"):
            far.by_id(7)
    with (
        serving(spelled, tls=tls) as (port, _),
        registry(f"https://localhost:{port}", tls=trusting) as far,
        pytest.raises(RemoteAwayError),
    ):
        far.by_id(7)


def test_a_connection_is_used_again_and_no_deadline_of_another_question_holds_on_it() -> None:
    def twice(connection: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        connection.sendall(head + BODY)
        assert connection.recv(65_536)
        connection.sendall(head + BODY)

    with serving(twice) as (port, asked), registry(f"http://127.0.0.1:{port}") as far:
        with far.within(30):
            far.by_id(7)
        with far.within(0), pytest.raises(RemoteAwayError, match="no time"):
            far.by_id(9)
        assert far.by_id(8) == parse_schema(TEXT)
    assert len(asked) == 1
