# ruff: noqa: INP001 - a program by itself, in no package
"""Real prices to many readers: one program sends them, and many streams show them as they come.

Each reader follows `GET /v1/stream` as server-sent events, and counts for each share how many prices it saw
and whether they came in the order of their days. Once in a while a reader is cut off, and goes on behind what
it saw last. Python's standard library alone.

    python examples/stream_prices.py --readers 50 --days 20 --operator-key-file gateway-data/operator.key
"""

import argparse
import asyncio
import csv
import json
import ssl
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
SENDER_PATH = "/v1/partners/ticker/events/price.daily"
CUT_EACH, CUT_AFTER = 10, 25
"""One reader in so many loses its connection after so many prices, to show that it misses nothing."""


@dataclass(frozen=True)
class Gateway:
    """Where it is. `ca`: whose certificates to trust; None: those that the system trusts."""

    url: str
    ca: Path | None = None

    def context(self) -> ssl.SSLContext | None:
        """TLS, where the address wants it."""
        if urlsplit(self.url).scheme != "https":
            return None
        return ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))

    def ask(self, method: str, path: str, key: str, body: bytes = b"", kind: str = "application/json") -> Any:
        """One request, and the JSON that it is answered with."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
        request = urllib.request.Request(self.url + path, body or None, headers, method=method)  # noqa: S310 - what the command line names
        handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context())]
        with urllib.request.build_opener(*handlers).open(request, timeout=60) as answer:
            return json.load(answer)


@dataclass
class Reader:
    """One screen. `newest`: the last day of each share; `seen`: all prices by share and day."""

    gateway: Gateway
    key: str = field(repr=False)
    is_cut: bool = False
    last_id: str = ""
    newest: dict[str, str] = field(default_factory=dict)
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    cuts: int = 0
    disordered: int = 0

    async def follow(self, wanted: int, ready: asyncio.Event | None = None) -> None:
        """Read until so many prices were seen, however often the stream is cut."""
        while len(self.seen) < wanted:
            async with self._opened() as lines:
                if ready is not None:
                    ready.set()
                await self._read(lines, wanted)

    async def _read(self, lines: AsyncIterator[str], wanted: int) -> None:
        cursor = ""
        async for line in lines:
            name, _, text = line.partition(": ")
            if name == "id":
                cursor = text
            elif name == "data":
                self._take(json.loads(text)["data"])
                self.last_id = cursor
            if len(self.seen) >= wanted:
                return
            if self.is_cut and not self.cuts and len(self.seen) >= CUT_AFTER:
                self.cuts += 1
                return

    def _take(self, price: dict[str, Any]) -> None:
        symbol, day = price["symbol"], price["date"]
        self.disordered += day < self.newest.get(symbol, "")
        self.newest[symbol] = day
        self.seen[symbol, day] += 1

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[AsyncIterator[str]]:
        place = urlsplit(self.gateway.url)
        port = place.port or (443 if place.scheme == "https" else 80)
        words = [
            "GET /v1/stream?from=now HTTP/1.1",
            f"Host: {place.netloc}",
            f"Authorization: Bearer {self.key}",
            "Accept: text/event-stream",
            *([f"Last-Event-ID: {self.last_id}"] if self.last_id else []),
        ]
        source, sink = await asyncio.open_connection(
            place.hostname, port, ssl=self.gateway.context(), limit=2**21
        )
        try:
            sink.write(("\r\n".join(words) + "\r\n\r\n").encode())
            head = await source.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.partition(b"\r\n")[0]:
                raise ConnectionError(head.decode("latin-1"))
            lines = _lines(source)
            async for line in lines:  # the first block: how long to wait, and where the stream begins
                if line.startswith("id: "):
                    self.last_id = self.last_id or line[4:]
                    break
            yield lines
        finally:
            sink.close()


async def _lines(source: asyncio.StreamReader) -> AsyncIterator[str]:
    """The lines in a body of chunks (RFC 9112, section 7.1)."""
    begun = b""
    while length := int((await source.readuntil(b"\r\n")).split(b";")[0], 16):
        *whole, begun = (begun + (await source.readexactly(length + 2))[:-2]).split(b"\n")
        for line in whole:
            yield line.decode()


def prices(days: int) -> list[dict[str, str]]:
    """The newest so many days, a row a share and day, in the order of the days."""
    with (HERE / "data/stock-prices.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    newest = sorted({row["date"] for row in rows})[-days:]
    return [row for row in rows if row["date"] in newest]


def send(gateway: Gateway, key: str, rows: Sequence[dict[str, str]]) -> None:
    """One batch: all that is known of one day."""
    lines = [json.dumps({**row, "volume": int(row["volume"])}) for row in rows]
    answer = gateway.ask("POST", SENDER_PATH, key, "\n".join(lines).encode(), "application/x-ndjson")
    if answer["refused"]:
        raise ValueError(json.dumps(answer)[:2_000])


async def show(gateway: Gateway, operator: str, readers: int, days: int, pause: float) -> list[Reader]:
    """Open the streams, send the prices day by day, and wait until all readers have seen all of them."""
    rows = prices(days)
    made = gateway.ask("POST", "/v1/partners/ticker/credentials", operator, b'{"role":"partner"}')
    screens = [Reader(gateway, made["secret"], is_cut=number % CUT_EACH == 0) for number in range(readers)]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.TaskGroup() as tasks:
            for screen in screens:
                ready = asyncio.Event()
                tasks.create_task(screen.follow(len(rows), ready))
                await ready.wait()
            for day in sorted({row["date"] for row in rows}):
                some = [row for row in rows if row["date"] == day]
                await loop.run_in_executor(None, send, gateway, operator, some)
                await asyncio.sleep(pause)
    finally:
        gateway.ask("DELETE", f"/v1/partners/ticker/credentials/{made['id']}", operator)
    return screens


def main() -> int:
    """Read the command line, show the prices, and count."""
    parser = argparse.ArgumentParser(description="Real prices, streamed to many readers.")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--cacert", type=Path, help="certificate authority of the gateway")
    parser.add_argument("--operator-key-file", type=Path, default=Path("gateway-data/operator.key"))
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two days")
    given = parser.parse_args()
    gateway = Gateway(given.url, given.cacert)
    operator = given.operator_key_file.read_text().strip()
    screens = asyncio.run(show(gateway, operator, given.readers, given.days, given.pause))
    wanted = len(prices(given.days))
    told = {
        "readers": len(screens),
        "prices": wanted,
        "complete": sum(len(one.seen) == wanted for one in screens),
        "doubled": sum(max(one.seen.values(), default=0) > 1 for one in screens),
        "disordered": sum(one.disordered > 0 for one in screens),
        "cut_and_resumed": sum(one.cuts for one in screens),
    }
    print(json.dumps(told))  # noqa: T201 - what it is for
    return 0 if told["complete"] == told["readers"] and not told["doubled"] + told["disordered"] else 1


if __name__ == "__main__":
    sys.exit(main())
