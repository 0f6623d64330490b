"""The listeners' certificate, read again when its files change: a renewal needs no restart.

Connections that stand keep what they began with. A pair that does not fit, as while one of two files is
written already, leaves the last good one in use.
"""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.errors import SetupError
from gateway.http.tls import load_files, server_context
from gateway.logs import logger

LOOK_SECONDS: Final = 2.0

_Seen = tuple[tuple[int, ...], ...]


class Certificates:
    """A role, and the context that all listeners share."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Load both.

        Raises:
            SetupError: a file is missing, unreadable, or they do not fit together.
        """
        self._files = (certificate, key)
        self._seen = self._look()
        self.context: ssl.SSLContext = server_context(certificate, key)

    async def run(self, stop: asyncio.Event) -> None:
        """Look now and then, until `stop`."""
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
            self.follow()

    def follow(self) -> None:
        """Load the files where they have changed and fit."""
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        problem = self._load()
        if problem:
            logger("gateway.http").error("certificate not renewed; the last one stays", reason=problem)
        else:
            logger("gateway.http").info("certificate renewed")

    def _load(self) -> str:
        """What is wrong with the files, in words; else they are in use now."""
        try:
            server_context(*self._files)  # a context of its own: a misfit would spoil the one in use
            load_files(self.context, *self._files)
        except SetupError as error:
            return str(error)
        return ""

    def _look(self) -> _Seen:
        found: list[tuple[int, ...]] = []
        for path in self._files:
            try:
                what = path.stat()
            except OSError:
                found.append(())
            else:
                # The last one changes with owner and rights too: a key that could not be read is tried again.
                found.append((what.st_mtime_ns, what.st_size, what.st_ino, what.st_ctime_ns))
        return tuple(found)
