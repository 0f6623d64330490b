"""Very many readers of server-sent events, a process: it opens streams, and sees when each event arrives.

An event's order id says when it was due, on the clock that all processes of the machine share; latency counts
from that time. `python -m bench.stream_readers`, then a line of JSON for each thing to do: `open` streams
with a key, `forget` what was seen, `tell` it.
"""

import asyncio
import json
import ssl
import sys
import time
from typing import Any, Final, cast
from urllib.parse import urlsplit

import uvloop

from bench.evenly import Busy, summary

_MARK: Final = b'"order_id":"due@'
_AT_ONCE: Final = 50
_OPEN_SECONDS: Final = 60.0


class _Reader(asyncio.Protocol):
    """One open stream."""

    def __init__(self, crowd: "_Crowd", request: bytes) -> None:
        self._crowd = crowd
        self._request = request
        self._kept = b""
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if not self.begun.done() and b"retry:" in data:
            self.begun.set_result(None)
        *pieces, last = (self._kept + data).split(_MARK)
        for piece in [*pieces[1:], last] if pieces else []:
            whole, dash, _ = piece.partition(b"-")
            if dash:
                self._crowd.latencies.append(now - int(whole) / 1e6)
        # A mark that is cut in two, or its number: kept for what follows.
        cut = (_MARK + last) if pieces and b"-" not in last else last[-len(_MARK) :]
        self._kept = cut

    def connection_lost(self, _error: Exception | None) -> None:
        self._crowd.lost += 1
        if not self.begun.done():
            self.begun.set_exception(ConnectionError("closed before it began"))


class _Crowd:
    """All of them."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.lost = 0
        self._busy = Busy()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    async def open(self, words: dict[str, Any]) -> dict[str, Any]:
        place, began = urlsplit(words["url"]), time.monotonic()
        head = f"GET /v1/stream?from=now HTTP/1.1\r\nHost: {place.netloc}\r\nAccept: text/event-stream\r\n"
        request = f"{head}Authorization: {words['key']}\r\n\r\n".encode()
        turns, count = asyncio.Semaphore(_AT_ONCE), int(words["count"])

        async def one() -> None:
            async with turns, asyncio.timeout(_OPEN_SECONDS):
                _, reader = await asyncio.get_running_loop().create_connection(
                    lambda: _Reader(self, request), place.hostname, place.port, ssl=self._tls
                )
                await reader.begun

        async with asyncio.TaskGroup() as tasks:
            for _ in range(count):
                tasks.create_task(one())
        return {"opened": count, "seconds": time.monotonic() - began}

    def forget(self) -> dict[str, Any]:
        self.latencies.clear()
        self._busy = Busy()
        return {}

    def tell(self) -> dict[str, Any]:
        count = len(self.latencies)
        return {"events": count, "lost": self.lost, "busy": self._busy.share(), **summary(self.latencies)}


async def _serve() -> None:
    loop, crowd = asyncio.get_running_loop(), _Crowd()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        words = json.loads(line)
        if words["do"] == "open":
            said = await crowd.open(words)
        else:
            said = crowd.forget() if words["do"] == "forget" else crowd.tell()
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(_serve())
