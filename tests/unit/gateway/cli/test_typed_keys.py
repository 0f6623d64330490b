"""Keys that are typed: what the terminal shows of them."""

import io
import os
import pty
import termios
import threading

import pytest

from gateway.cli.errors import UsageError
from gateway.cli.typed import read_hidden


def test_a_typed_key_is_not_shown_and_the_terminal_is_as_before() -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    prompt = _Asked(ours)
    try:
        with os.fdopen(theirs, "rb", buffering=0) as terminal:
            assert read_hidden(terminal, prompt, "key: ") == "gw_typed"
            assert termios.tcgetattr(terminal.fileno()) == before
            prompt.done.wait(10)
            os.write(ours, b"\n")
            assert os.read(ours, 100).strip() == b""
    finally:
        os.close(ours)
    assert prompt.getvalue() == "key: \n"


class _Asked(io.StringIO):
    """Types a key as soon as it is asked for and the echo is off."""

    def __init__(self, terminal: int) -> None:
        super().__init__()
        self.done = threading.Event()
        self._terminal = terminal

    def flush(self) -> None:
        threading.Thread(target=self._type).start()

    def _type(self) -> None:
        while termios.tcgetattr(self._terminal)[3] & termios.ECHO:
            self.done.wait(0.001)
        os.write(self._terminal, b"gw_typed\n")
        self.done.set()


@pytest.mark.parametrize("given", [b"two words\n", b"\xff\n", b"k" * 5_000, b"a\x07b\n"])
def test_what_is_no_key_is_refused(given: bytes) -> None:
    with pytest.raises(UsageError):
        read_hidden(io.BytesIO(given), io.StringIO(), "key: ")


def test_nothing_is_nothing() -> None:
    assert read_hidden(io.BytesIO(b""), io.StringIO(), "key: ") == ""
