import asyncio

from gateway.http.joined import JoinedWrites


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
