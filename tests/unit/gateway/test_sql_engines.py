import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gateway.sql_engines import FRESH_SECONDS, is_fresh


@dataclass
class Line:
    """A connection as the pool has it: its socket, and when it was used."""

    ours: socket.socket
    server: socket.socket
    closed: bool = False
    used_at: float = 100.0

    def fileno(self) -> int:
        return self.ours.fileno()


@pytest.fixture
def line() -> Iterator[Line]:
    ours, server = socket.socketpair()
    with ours, server:
        yield Line(ours, server)


def test_a_connection_that_was_used_just_now_is_not_asked_whether_it_stands(line: Line) -> None:
    assert is_fresh(line, 100.0)
    assert is_fresh(line, 100.0 + FRESH_SECONDS / 2)


def test_one_that_lay_idle_is_asked(line: Line) -> None:
    assert not is_fresh(line, 100.0 + FRESH_SECONDS)


def test_one_whose_server_has_said_something_meanwhile_is_asked(line: Line) -> None:
    line.server.send(b"terminating connection")
    assert not is_fresh(line, 100.0)


def test_one_whose_server_has_hung_up_is_asked(line: Line) -> None:
    line.server.close()
    assert not is_fresh(line, 100.0)


def test_one_that_is_closed_is_not_looked_at(line: Line) -> None:
    line.closed = True
    line.ours.close()
    assert not is_fresh(line, 100.0)
