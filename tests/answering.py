"""An HTTP receiver on loopback, in the loop of its test, whose answers have bodies."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Came:
    """One POST: headers by lower-case name, and the body."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Answering:
    """`url`: without a path; `came`: what was posted, in order; `reply`: to status and body."""

    url: str = ""
    came: list[Came] = field(default_factory=list)
    reply: Callable[[Came], tuple[int, bytes]] = lambda _: (200, b"")


@asynccontextmanager
async def answering() -> AsyncIterator[Answering]:
    """Answer on a free port until the block ends; one request a connection."""
    made = Answering()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
        headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in head)}
        came = Came(headers, await reader.readexactly(int(headers["content-length"])))
        made.came.append(came)
        status, body = made.reply(came)
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        )
        writer.write(body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made
