"""Workers hear of each other's changes at once: what one has answered, all of them know.

Whoever makes a key at one worker and uses it at the next must not be refused there. So a change is answered
once every fellow has followed it, or after `PATIENCE_SECONDS`: one that is just starting follows by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from gateway.bootstrap.board import Board
from gateway.catalog import Catalog
from gateway.errors import AwayError
from gateway.waits import rest

LOOK_SECONDS: Final = 0.02
PATIENCE_SECONDS: Final = 1.0


class Fellows:
    """A role of each worker."""

    def __init__(self, board: Board, number: int, catalog: Catalog) -> None:
        self._board = board
        self._number = number
        self._catalog = catalog

    async def run(self, stop: asyncio.Event) -> None:
        """Follow what others change, until `stop`."""
        heard: tuple[int, ...] = ()
        while not stop.is_set():
            told = self._board.changes()
            if told != heard:
                with suppress(AwayError):
                    await self._catalog.follow()
                    self._board.hear(self._number, told)
                    heard = told
            await rest(stop, LOOK_SECONDS)

    def telling(self, told: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """What is to be called after a change of ours: `told`, and then the others are waited for."""

        async def tell() -> None:
            number = self._board.change(self._number)
            await told()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while not self._board.is_heard(self._number, number):  # noqa: ASYNC110 - another process
                        await asyncio.sleep(LOOK_SECONDS / 4)

        return tell
