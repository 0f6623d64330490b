"""An open-loop generator, a process: so many requests a second, answered or not.

wrk sends the next request once the last is answered: it waits together with a server that is slow, and sees
less of the waiting than a partner would. Here the time of each request is fixed beforehand, and latency
counts from that time: waiting for a free connection is latency. Python is fast enough for half a load; the
process says how busy it was.

`python -m bench.paced JSON`: one line of JSON with what it saw.
"""

import asyncio
import gc
import json
import math
import resource
import ssl
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import uvloop

from bench.orders import order_json

_LATE_SECONDS: Final = 20.0


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, pacer: "_Pacer") -> None:
        self._pacer = pacer
        self._buffer = b""
        self._due = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._pacer.free(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._pacer.lost += self._due > 0

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        if self._transport is not None:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, body = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._buffer = b""
        self._pacer.answered(int(head[9:12]), self._due)
        self._due = 0.0
        self._pacer.free(self)


class _Pacer:
    """Gives each request its time."""

    def __init__(self, words: dict[str, Any]) -> None:
        self._words = words
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._number = 0
        self._heads = self._make_heads()
        self.latencies: list[float] = []
        self._total = -1
        self._done = asyncio.Event()
        self.refused = 0
        self.lost = 0

    def free(self, connection: _Connection) -> None:
        if self._due:
            self._send(connection, self._due.popleft())
        else:
            self._idle.append(connection)

    def answered(self, status: int, due: float) -> None:
        self.latencies.append(time.monotonic() - due)
        self.refused += status >= 400  # noqa: PLR2004 - what HTTP calls an error
        self._look()

    async def run(self) -> None:
        rate, total = self._words["rate"], int(self._words["rate"] * self._words["seconds"])
        began = time.monotonic() + 0.05
        made = 0
        while made < total:
            now = time.monotonic()
            while made < total and began + made / rate <= now:
                due = began + made / rate
                made += 1
                if self._idle:
                    self._send(self._idle.popleft(), due)
                else:
                    self._due.append(due)
            await asyncio.sleep(max(0.0, began + made / rate - time.monotonic()))
        self._total = total
        self._look()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LATE_SECONDS):
                await self._done.wait()

    def _look(self) -> None:
        if len(self.latencies) == self._total:
            self._done.set()

    def _send(self, connection: _Connection, due: float) -> None:
        events = self._words["events"]
        first = self._number
        self._number += events
        lines = [order_json(self._words["run"], number) for number in range(first, self._number)]
        body = b"\n".join(lines)
        head = self._heads[self._number // events % len(self._heads)]
        connection.send(head + b"%d\r\n\r\n" % len(body) + body, due)

    def _make_heads(self) -> list[bytes]:
        kind = "application/x-ndjson" if self._words["events"] > 1 else "application/json"
        host = urlsplit(self._words["url"]).netloc
        return [
            f"POST {self._words['path']} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {key}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: ".encode()
            for key in Path(self._words["key_file"]).read_text().splitlines()
        ]


async def pace(words: dict[str, Any]) -> dict[str, Any]:
    """Do it; what was seen."""
    loop = asyncio.get_running_loop()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    place = urlsplit(words["url"])
    pacer = _Pacer(words)
    for _ in range(words["connections"]):
        await loop.create_connection(lambda: _Connection(pacer), place.hostname, place.port, ssl=tls)
    gc.disable()
    used, begun = _used(), time.monotonic()
    await pacer.run()
    seen = sorted(pacer.latencies)
    return {
        "answered": len(seen),
        "refused": pacer.refused,
        "lost": pacer.lost,
        "busy": (_used() - used) / (time.monotonic() - begun),
        "p50_ms": _percentile(seen, 50),
        "p99_ms": _percentile(seen, 99),
        "max_ms": _percentile(seen, 100),
    }


def _percentile(ordered: list[float], percent: int) -> float:
    at = max(0, math.ceil(len(ordered) * percent / 100) - 1)
    return ordered[at] * 1000 if ordered else math.inf


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(pace(json.loads(sys.argv[1])))) + "\n")
