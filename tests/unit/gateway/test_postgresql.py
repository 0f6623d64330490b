"""What a URL of PostgreSQL says; connections to real servers are in tests/integration."""

import os
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.errors import SetupError
from gateway.http.tls import make_dev_certificate
from gateway.postgresql import Cluster


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:geheim%zz@host/name",
        "postgresql://user:geheim@host/name?no_such_option=geheim",
        "postgresql://user:geheim@[::1/name",
        "postgresql://user:geheim@host/name?sslmode",
        "postgresql://user:geheim@one:1,two:2,three:3/name?port=4,5",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SetupError, match=r"database\.url") as caught:
        Cluster(url, pool=8)
    assert "geheim" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("sessions", ["any", "standby", "prefer-standby", "read-only", "primary"])
def test_a_url_that_asks_for_other_servers_than_those_that_take_writes_is_refused(sessions: str) -> None:
    with pytest.raises(SetupError, match=f"target_session_attrs={sessions}: take it out"):
        Cluster(f"postgresql://one,two/name?target_session_attrs={sessions}", pool=8)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgresql://one,two/name?target_session_attrs=read-write",
        "postgresql:///name",
        "postgresql://one,two,three/name",
        "postgresql://one:1,two:2/name",
        "postgresql://one,two/name?port=5",
        "postgresql://[::1]:1,two:2/name?sslmode=verify-full",
        "postgresql:///name?host=/run/postgresql",
        "postgresql://us%40er:p%2Fw@one/name?options=-c%20search_path%3Dgateway",
    ],
)
def test_every_form_of_libpq_is_read_without_connecting(url: str) -> None:
    cluster = Cluster(url, pool=8)
    assert cluster.newest.started_at_us == 0
    assert "p/w" not in repr(cluster)


def certificate(folder: Path) -> tuple[Path, Path]:
    return make_dev_certificate(folder, now=time.time_ns() // 1_000_000, entropy=os.urandom)


class Door:
    """Answers as PostgreSQL does where a client asks for TLS, and has nothing behind it."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self._listening.accept()
            except OSError:
                return
            with taken:
                taken.settimeout(60)
                self._answer(taken)

    def _answer(self, taken: socket.socket) -> None:
        if not taken.recv(8):
            return
        try:
            taken.sendall(b"N" if self._context is None else b"S")
            if self._context is not None:
                with self._context.wrap_socket(taken, server_side=True) as inside:
                    inside.recv(64)
        except OSError:
            return

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The server's, and one of somebody else."""
    ours, key = certificate(tmp_path_factory.mktemp("ours"))
    other, other_key = certificate(tmp_path_factory.mktemp("other"))
    return {"ours": ours, "key": key, "other": other, "other_key": other_key}


@pytest.fixture
def door(certificates: dict[str, Path]) -> Iterator[Door]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates["ours"], certificates["key"])
    made = Door(context)
    yield made
    made.close()


@pytest.fixture
def plain_door() -> Iterator[Door]:
    made = Door(None)
    yield made
    made.close()


def words_of(door: Door, query: str) -> str:
    with pytest.raises(psycopg.OperationalError) as told:
        Cluster(f"postgresql://u:geheim@localhost:{door.port}/name?{query}", pool=8).connect()
    words: str = told.value.words  # type: ignore[attr-defined]  # the adapter's own error has them
    assert "geheim" not in words
    return words


@pytest.mark.parametrize(
    ("query", "what", "mend"),
    [
        ("sslmode=verify-full&sslrootcert=/no/such.pem", "authority", "add sslrootcert="),
        ("sslmode=verify-full&sslrootcert={key}", "authority", "add sslrootcert="),
        ("sslmode=verify-full&sslrootcert={other}", "cannot be trusted", "sslrootcert in database.url must"),
        (
            "sslmode=verify-full&sslrootcert={ours}&host=db.example&hostaddr=127.0.0.1",
            "for another host",
            "name the server in database.url as its certificate does",
        ),
        ("sslmode=require&sslcert={ours}&sslkey=/no/key", "our own certificate", "sslcert and sslkey"),
        ("sslmode=require&sslcert={ours}&sslkey={other_key}", "our own certificate", "sslcert and sslkey"),
        ("sslmode=require&sslcert={key}&sslkey={key}", "our own certificate", "sslcert and sslkey"),
    ],
)
def test_tls_that_fails_is_told_apart_and_with_a_mend(
    door: Door, certificates: dict[str, Path], query: str, what: str, mend: str
) -> None:
    words = words_of(door, query.format_map(certificates))
    assert what in words
    assert mend in words


def test_a_server_without_tls_is_told_where_tls_is_asked_for(plain_door: Door) -> None:
    assert words_of(plain_door, "sslmode=require").startswith("the server speaks no TLS")
