"""How a running program is asked to end, and that it does: in order within a time, or at once.

The first signal asks; the second ends the process as if nobody had listened. Whatever hangs, a database that
does not answer or a disk that does not write, `STOP_SECONDS` after the first the process ends by force: what
was acknowledged is durable, and the rest is taken up as after a kill.
"""

import asyncio
import os
import signal
from typing import Final

from gateway.logs import logger

STOP_SECONDS: Final = 18
"""From the first signal to the end by force; below the 20 s that supervisors are told to wait."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def listen_for_the_end(stop: asyncio.Event, *, parent: int | None = None) -> None:
    """Set `stop` at the first signal, and see to it that the process ends. Call it from the loop.

    `parent`: a worker's; readable once the parent is gone. A worker hears SIGTERM as often as it likes: its
    parent, and whoever stops all processes at once, may both send it, and the parent alone knows of a second.
    """
    loop = asyncio.get_running_loop()

    def begin() -> None:
        if not stop.is_set():
            stop.set()
            signal.signal(signal.SIGALRM, _force)
            signal.setitimer(signal.ITIMER_REAL, STOP_SECONDS)

    def asked(number: int) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        begin()

    if parent is None:
        for number in _SIGNALS:
            loop.add_signal_handler(number, asked, number)
        return

    def orphaned() -> None:
        loop.remove_reader(parent)
        begin()

    loop.add_signal_handler(signal.SIGTERM, begin)
    loop.add_reader(parent, orphaned)


def ended() -> None:
    """The end came by itself: nothing is left to force."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _force(_number: int, _frame: object) -> None:
    logger("gateway").error("did not end in time; ends by force", seconds=STOP_SECONDS)
    os._exit(1)
