import asyncio
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.http.joined import TAKEN_BYTES, TAKING_SECONDS, JoinedWrites


class Line(asyncio.Transport):
    """Keeps what was sent, and in which pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.is_closed = self.is_aborted = False
        self.left = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closed
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def resume_reading(self) -> None:
        self.sent.append(b"<reads>")

    def get_write_buffer_size(self) -> int:
        return self.left

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.sent.append(b"<end>")


async def turn() -> None:
    """Let the loop's turn end."""
    await asyncio.sleep(0)


async def test_what_is_written_in_one_turn_goes_out_together_and_in_order() -> None:
    line = Line()
    joined = JoinedWrites(line, asyncio.get_running_loop())
    joined.write(b"head ")
    joined.write(bytearray(b"body"))
    assert line.sent == []
    await turn()
    assert line.sent == [b"head body"]
    joined.write(b"next")
    await turn()
    assert line.sent == [b"head body", b"next"]


async def test_a_flush_waits_for_no_turn_to_end() -> None:
    line = Line()
    joined = JoinedWrites(line, asyncio.get_running_loop())
    joined.write(b"head ")
    joined.write(b"body")
    joined.flush()
    assert line.sent == [b"head body"]
    await turn()
    assert line.sent == [b"head body"]


async def test_nothing_that_was_written_is_lost_by_a_close() -> None:
    line = Line()
    joined = JoinedWrites(line, asyncio.get_running_loop())
    joined.write(b"last words")
    joined.close()
    assert (line.sent, line.is_closed, joined.is_closing()) == ([b"last words"], True, True)
    await turn()
    assert line.sent == [b"last words"]


async def test_nothing_is_written_to_a_line_that_the_peer_has_closed() -> None:
    line = Line()
    joined = JoinedWrites(line, asyncio.get_running_loop())
    joined.write(b"too late")
    line.close()
    await turn()
    joined.close()
    assert line.sent == []


async def test_a_peer_that_is_still_sending_can_read_its_answer() -> None:
    line = Line()
    joined = JoinedWrites(line, asyncio.get_running_loop())
    joined.lingers = True
    joined.write(b"refused")
    joined.close()
    assert (line.sent, line.is_closed) == ([b"refused", b"<reads>", b"<end>"], False)
    assert joined.is_closing(), "what it sends is for nobody"
    joined.close()
    assert line.is_closed, "who closes again means it"


class Waiting:
    """A loop whose time a test makes pass: it keeps what is to be called."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[[], object]]] = []

    def call_soon(self, call: Callable[[], object]) -> None:
        call()

    def call_later(self, seconds: float, call: Callable[..., object], *given: object) -> Any:
        kept = (seconds, partial(call, *given))
        self.calls.append(kept)
        return SimpleNamespace(cancel=lambda: self.calls.remove(kept))

    def pass_by(self) -> float:
        """Let the time of the next call come; how long that was."""
        seconds, call = self.calls.pop(0)
        call()
        return seconds


def waited_for() -> tuple[Line, Waiting, JoinedWrites]:
    """A line whose peer takes nothing: writers wait."""
    line, loop = Line(), Waiting()
    joined = JoinedWrites(line, cast("Any", loop))
    line.left = 100_000
    joined.watch()
    joined.watch()
    assert len(loop.calls) == 1
    return line, loop, joined


def test_a_peer_that_takes_nothing_of_its_answer_is_given_up() -> None:
    line, loop, _ = waited_for()
    assert loop.pass_by() == TAKING_SECONDS
    assert (line.is_aborted, loop.calls) == (True, [])


def test_a_peer_that_takes_some_of_it_is_waited_for_until_it_stops() -> None:
    line, loop, _ = waited_for()
    for _ in range(3):
        line.left -= TAKEN_BYTES
        loop.pass_by()
        assert not line.is_aborted
    line.left -= TAKEN_BYTES - 1
    loop.pass_by()
    assert line.is_aborted


@pytest.mark.parametrize("is_lost", [False, True])
def test_nobody_is_looked_at_once_writers_go_on_or_the_peer_is_gone(*, is_lost: bool) -> None:
    _, loop, joined = waited_for()
    if is_lost:
        joined.lost()
    else:
        joined.unwatch()
    assert loop.calls == []


def test_a_connection_that_ends_waits_no_longer_for_what_its_peer_does_not_take() -> None:
    line, loop = Line(), Waiting()
    joined = JoinedWrites(line, cast("Any", loop))
    joined.write(b"last words")
    line.left = 10
    joined.close()
    joined.unwatch()
    assert (line.is_aborted, len(loop.calls)) == (False, 1), "what is little is to be sent, too"
    loop.pass_by()
    assert line.is_aborted


def test_whoever_has_rules_of_its_own_goes_by_them_until_the_program_ends() -> None:
    line, loop, joined = waited_for()
    joined.is_judged_elsewhere = True
    for _ in range(3):
        loop.pass_by()
    assert not line.is_aborted
    joined.hurry(2.0)
    assert loop.pass_by() == 2.0
    assert line.is_aborted
