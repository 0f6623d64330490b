"""A gateway's own registry over HTTP, as the external registry of other gateways in this process."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.app import make_apps
from gateway.http.server import Server
from gateway.units import parse_address
from tests.builders import House, open_house
from tests.serving import serving


@dataclass
class Library:
    """The registry that others share. `is_away`: it answers 503, whatever is asked."""

    house: House
    app: ASGIApp
    port: int = 0
    is_away: bool = False
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """What `registry.url` is to be."""
        return f"http://127.0.0.1:{self.port}/registry"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(f"{scope['method']} {scope['raw_path'].decode().removeprefix('/registry')}")
        if self.is_away:
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, send)

    def flags(self, folder: Path, key: str = "team") -> dict[str, str]:
        """Settings of a gateway that uses it, with the key of that name."""
        file = folder / f"client-{key}.properties"
        file.parent.mkdir(parents=True, exist_ok=True)
        secret = self.house.keys.get(key, key)
        file.write_text(
            f"schema.registry.url={self.url}\n"
            "basic.auth.credentials.source=USER_INFO\n"
            f"basic.auth.user.info={secret}:\n"
        )
        return {"registry.properties_file": str(file)}

    async def ask(self, line: str, body: object = None) -> Any:
        """What the registry answers to a client of its own, which is not counted."""
        method, path = line.split(" ", 1)
        headers = {"Authorization": f"Bearer {self.house.keys['operator']}"}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://registry") as client:
            content = None if body is None else json.dumps(body).encode()
            answer = await client.request(method, f"/registry{path}", content=content, headers=headers)
        return answer.json()

    async def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """The id of a schema that somebody registers."""
        answer = await self.ask(f"POST /subjects/{subject}/versions", {"schema": json.dumps(schema)})
        return int(answer["id"])


@asynccontextmanager
async def open_library(folder: Path) -> AsyncIterator[Library]:
    """A registry on a port of its own, until the block ends."""
    async with open_house(folder, partners=()) as house:
        library = Library(house, make_apps(house.doors)[1])
        server = Server(library, parse_address("127.0.0.1:0"))
        async with serving(server) as library.port:
            yield library
