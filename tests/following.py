"""A client of server-sent events, for tests: reads what comes, as the standard says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from gateway.http.app import make_apps
from gateway.http.server import Server
from gateway.units import Address
from tests.builders import House
from tests.serving import serving

EVENTS = {"Accept": "text/event-stream"}
PATIENCE_SECONDS = 60.0

T = TypeVar("T")


@dataclass
class Follower:
    """One open stream. `last_id`: where to go on."""

    answer: httpx.Response
    lines: AsyncIterator[str]
    last_id: str = ""
    beats: int = 0

    async def events(self, count: int) -> list[dict[str, Any]]:
        """The next so many events."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found) < count:
                block = await self.block()
                if "data" in block:
                    found.append(json.loads(block["data"]))
        return found

    async def ids(self, count: int) -> list[str]:
        return [one["id"] for one in await self.events(count)]

    async def block(self) -> dict[str, str]:
        """The fields of the next block; of a comment none."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for line in self.lines:
                if not line:
                    self.last_id = fields.get("id", self.last_id)
                    return fields
                name, _, text = line.partition(":")
                if name:
                    fields[name] = text.removeprefix(" ")
                else:
                    self.beats += 1
        raise EOFError

    async def rest(self) -> list[dict[str, Any]]:
        """What comes until it ends by itself."""
        found: list[dict[str, Any]] = []
        try:
            while True:
                block = await self.block()
                found += [json.loads(block["data"])] if "data" in block else []
        except EOFError:
            return found


async def until(look: Callable[[], Awaitable[T | None]]) -> T:
    """The first answer that is not empty."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await look()
            if found:
                return found
            await asyncio.sleep(0.02)


@dataclass
class Site:
    """A house that listens. `url`: where."""

    house: House
    url: str

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"Authorization": f"Bearer {self.house.keys[name]}"}
        async with httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False
        ) as client:
            yield client

    @asynccontextmanager
    async def follow(self, name: str, path: str = "/v1/stream", last_id: str = "") -> AsyncIterator[Follower]:
        """A stream that has begun."""
        resumed = {"Last-Event-ID": last_id} if last_id else {}
        async with (
            self.client(name) as client,
            client.stream("GET", path, headers=EVENTS | resumed) as answer,
        ):
            assert answer.status_code == 200, await answer.aread()
            follower = Follower(answer, answer.aiter_lines())
            assert "retry" in await follower.block()
            yield follower


@asynccontextmanager
async def listening(house: House) -> AsyncIterator[Site]:
    """A house at a port of this machine, until the block ends."""
    server = Server(make_apps(house.doors)[1], Address("127.0.0.1", 0))
    async with serving(server) as port:
        try:
            yield Site(house, f"http://127.0.0.1:{port}")
        finally:
            house.doors.stop.set()
