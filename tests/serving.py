"""A server on a port of this machine, inside the test that asks it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.http.server import Server


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[int]:
    """It listens and serves until the block ends; its port."""
    await server.listen()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run(stop))
        try:
            yield server.port
        finally:
            stop.set()
