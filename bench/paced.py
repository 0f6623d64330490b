"""An open-loop generator, a process: so many requests a second, answered or not.

wrk sends the next request once the last is answered: it waits together with a server that is slow, and sees
less of the waiting than a partner would. Here the time of each request is fixed beforehand, and latency
counts from that time: waiting for a free connection is latency. Python is fast enough for half a load; the
process says how busy it was. The id of each event says when it was due.

With the path of a checkpoint it also sees how long events take until a published checkpoint covers them: from
the answer to the k-th accepted event until the checkpoint covers k entries more than at the start. So nothing
else may write to that log meanwhile.

`python -m bench.paced JSON`: one line of JSON with what it saw. `certificate`, where named: files of a client
certificate and its key; `signing`: file of an Ed25519 key and the id of its credential, by which each request
is signed, in place of a key in its head.
"""

import asyncio
import gc
import json
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import uvloop
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.evenly import Busy, due_name, evenly, summary, waits
from bench.orders import order_json
from bench.watching import Watch, open_watch
from gateway.bootstrap.ground import clock, entropy
from tests.signing import Draft

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
        self.seconds: float = words["seconds"]
        self._idle: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._number = 0
        self.keys = Path(words["key_file"]).read_text().splitlines()
        self._signer = _signer(words)
        self._heads = self._make_heads()
        self.latencies: list[float] = []
        self.taken: list[float] = []
        self.accepted_at: list[float] = []
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
        now = time.monotonic()
        self.latencies.append(now - due)
        if status >= 400:  # noqa: PLR2004 - what HTTP calls an error
            self.refused += 1
        else:
            self.taken.append(now - due)
            self.accepted_at += [now] * self._words["events"]
        self._look()

    async def run(self) -> None:
        self._total = await evenly(self._words["rate"], self.seconds, self._fall_due)
        self._look()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LATE_SECONDS):
                await self._done.wait()

    def is_covered(self, entries: int) -> bool:
        """Whether so many entries are all that will have been accepted."""
        return self._done.is_set() and entries >= len(self.accepted_at)

    def _fall_due(self, due: float) -> None:
        if self._idle:
            self._send(self._idle.popleft(), due)
        else:
            self._due.append(due)

    def _look(self) -> None:
        if len(self.latencies) == self._total:
            self._done.set()

    def _send(self, connection: _Connection, due: float) -> None:
        events = self._words["events"]
        first = self._number
        self._number += events
        lines = [order_json(due_name(due), number) for number in range(first, self._number)]
        body = b"\n".join(lines)
        head = self._heads[self._number // events % len(self._heads)]
        if self._signer is not None:
            head = self._signer(body) + head
        connection.send(head + b"%d\r\n\r\n" % len(body) + body, due)

    def _make_heads(self) -> list[bytes]:
        kind = "application/x-ndjson" if self._words["events"] > 1 else "application/json"
        host = urlsplit(self._words["url"]).netloc
        line = f"POST {self._words['path']} HTTP/1.1\r\nHost: {host}\r\n"
        rest = f"Content-Type: {kind}\r\nContent-Length: "
        if self._signer is not None:
            return [rest.encode()]
        if self._words.get("certificate"):
            return [f"{line}{rest}".encode()]
        return [f"{line}Authorization: {key}\r\n{rest}".encode() for key in self.keys]


def _signer(words: dict[str, Any]) -> Callable[[bytes], bytes] | None:
    """Begins a request with its line and the headers that sign it."""
    if not words.get("signing"):
        return None
    file, keyid = words["signing"]
    key = load_pem_private_key(Path(file).read_bytes(), None)
    host, path = urlsplit(words["url"]).netloc, words["path"]

    def begin(body: bytes) -> bytes:
        nonce = f';nonce="{entropy(16).hex()}"'
        draft = Draft("POST", host, path, body=body, created=clock() // 1000, parameters=nonce)
        signed = draft.signed(key, keyid)
        del signed["content-type"]  # which every head has
        lines = "".join(f"{name}: {text}\r\n" for name, text in signed.items())
        return f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{lines}".encode()

    return begin


async def pace(words: dict[str, Any]) -> dict[str, Any]:
    """Do it; what was seen."""
    loop = asyncio.get_running_loop()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    if words.get("certificate"):
        tls.load_cert_chain(*words["certificate"])
    place = urlsplit(words["url"])
    pacer = _Pacer(words)
    for _ in range(words["connections"]):
        await loop.create_connection(lambda: _Connection(pacer), place.hostname, place.port, ssl=tls)
    gc.disable()
    if not words["checkpoint"]:
        return await _load(pacer)
    watch = await open_watch(words["url"], words["checkpoint"], pacer.keys[0], tls)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(_follow(watch, pacer))
        found = await _load(pacer)
        await following
    return found | {"proof": summary(list(waits(pacer.accepted_at, watch.sightings)))}


async def _load(pacer: _Pacer) -> dict[str, Any]:
    busy = Busy()
    await pacer.run()
    return {
        "answered": len(pacer.latencies),
        "refused": pacer.refused,
        "lost": pacer.lost,
        "busy": busy.share(),
        "taken": summary(pacer.taken) | {"count": len(pacer.taken)},
        **summary(pacer.latencies),
    }


async def _follow(watch: Watch, pacer: _Pacer) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(pacer.seconds + 2 * _LATE_SECONDS):
            await watch.follow(pacer.is_covered)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(pace(json.loads(sys.argv[1])))) + "\n")
