"""Looks at a log's published checkpoint again and again, on a connection of its own."""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_PAUSE_SECONDS: Final = 0.02
_OK: Final = b"200"


@dataclass(slots=True)
class Watch:
    """`sightings`: when a checkpoint was seen, and how many entries it covers beyond the first one seen."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: bytes
    first: int = -1
    sightings: list[tuple[float, int]] = field(default_factory=list)

    async def look(self) -> int:
        """Look once; the number of entries since the first look."""
        self.writer.write(self.request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        body = await self.reader.readexactly(length)
        if self.first < 0:
            self.first = size_of(body)
        if head.split(b" ", 2)[1] == _OK:  # anything else, a 503 under load, is no sight of a checkpoint
            self.sightings.append((time.monotonic(), size_of(body) - self.first))
        return self.sightings[-1][1]

    async def follow(self, is_enough: Callable[[int], bool]) -> None:
        """Look every 20 ms, until it is enough."""
        is_done = is_enough(await self.look())
        while not is_done:
            await asyncio.sleep(_PAUSE_SECONDS)
            is_done = is_enough(await self.look())


def size_of(checkpoint: bytes) -> int:
    """The number of entries that a checkpoint covers: its second line.

    Raises:
        ValueError: it is no checkpoint; with what it is.
    """
    lines = checkpoint.split(b"\n")
    if len(lines) < 3 or not lines[1].isdigit():  # noqa: PLR2004 - origin, size, root
        raise ValueError(f"no checkpoint: {checkpoint[:200]!r}")
    return int(lines[1])


async def open_watch(url: str, path: str, authorization: str, tls: ssl.SSLContext | None) -> Watch:
    """Connect, and look for the first time."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, ssl=tls)
    request = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: {authorization}\r\n\r\n"
    watch = Watch(reader, writer, request.encode())
    await watch.look()
    return watch
