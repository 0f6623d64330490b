"""The receiver of webhooks: `receiver.c`, compiled when needed; without a C compiler, the same in Python."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import httpx
import uvloop

from bench.evenly import percentile
from bench.peer import Peer
from bench.programs import ROOT

_DUE: Final = re.compile(rb"due@([0-9]+)")
_MOST_LATENCIES: Final = 1 << 20
_SOURCE: Final = Path(__file__).with_name("receiver.c")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running receiver. `language`: what it is written in."""

    language: str
    port: int
    pid: int
    client: httpx.Client

    @property
    def url(self) -> str:
        """Where webhooks go."""
        return f"http://127.0.0.1:{self.port}/hook"

    def seen(self, *, reset: bool = False) -> dict[str, Any]:
        """Number of POSTs, seconds from the first to the last, bytes of bodies; `reset`: and begin anew."""
        found: dict[str, Any] = self.client.get("/reset" if reset else "/seen").json()
        return found

    def latencies(self) -> dict[str, float]:
        """Count, and p50_us to max_us, since the last reset, of the events that say when they were due."""
        found: dict[str, float] = self.client.get("/latencies").json()
        return found


@contextmanager
def receiving(folder: Path) -> Iterator[Receiver]:
    """A receiver that listens until the block ends."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    order = [sys.executable, "-m", "bench.receiver"]
    if compiler is not None:
        program = folder / "receiver"
        subprocess.run([compiler, "-O2", "-o", program, _SOURCE], check=True)  # noqa: S603 - this machine's compiler
        order = [str(program)]
    with subprocess.Popen(order, cwd=ROOT, stdout=subprocess.PIPE) as running:  # noqa: S603 - as above
        try:
            if running.stdout is None:
                raise RuntimeError("the receiver has no output")
            port = json.loads(running.stdout.readline())["port"]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                yield Receiver("C" if compiler else "Python", port, running.pid, client)
        finally:
            running.terminate()


class _Peer(Peer):
    """What `receiver.c` does, for machines without a compiler."""

    posts = 0
    length = 0
    first = 0.0
    last = 0.0
    late: ClassVar[list[float]] = []

    def request(self, head: bytes, body: bytes) -> None:
        self._transport.write(self._get(head) if head.startswith(b"GET ") else self._post(body))

    @classmethod
    def _post(cls, body: bytes) -> bytes:
        cls.last = time.monotonic()
        cls.first = cls.first if cls.posts else cls.last
        cls.posts += 1
        cls.length += len(body)
        if (due := _DUE.search(body)) and len(cls.late) < _MOST_LATENCIES:
            cls.late.append(max(0.0, cls.last * 1e6 - int(due[1])))
        return b"HTTP/1.1 204 No Content\r\n\r\n"

    @classmethod
    def _get(cls, head: bytes) -> bytes:
        latencies = head.startswith(b"GET /latencies")
        body = json.dumps(cls._latencies() if latencies else cls._seen()).encode()
        if head.startswith(b"GET /reset"):
            cls.posts = cls.length = 0
            cls.late = []
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
            len(body),
            body,
        )

    @classmethod
    def _seen(cls) -> dict[str, float]:
        return {"posts": cls.posts, "seconds": cls.last - cls.first, "bytes": cls.length}

    @classmethod
    def _latencies(cls) -> dict[str, float]:
        cls.late.sort()
        shown = {"p50_us": 50, "p95_us": 95, "p99_us": 99, "max_us": 100}
        ranks = {name: percentile(cls.late, rank) for name, rank in shown.items()} if cls.late else {}
        return {"count": len(cls.late), **{name: round(ranks.get(name, 0)) for name in shown}}


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Peer, "127.0.0.1", 0)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
