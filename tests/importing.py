"""Imports in a world: the role that works them off, and shorthands for what tests ask of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from gateway.imports.worker import Importer

NDJSON = {"Content-Type": "application/x-ndjson"}
CONTAINER = {"Content-Type": "application/vnd.apache.avro"}


class KilledError(BaseException):
    """The process ends here, as far as the role is concerned."""


@asynccontextmanager
async def working(importer: Importer) -> AsyncIterator[Importer]:
    """The role, until the block ends."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(importer.run(stop))
        try:
            yield importer
        finally:
            stop.set()


def lines(numbers: Sequence[int], prefix: str = "I") -> bytes:
    """Orders, a line each."""
    orders = [{"order_id": f"{prefix}-{one}", "qty": one} for one in numbers]
    return b"".join(json.dumps(one).encode() + b"\n" for one in orders)


async def ended(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """The import at a path, once it has ended."""
    return await until(client, path, lambda one: one["ended_at"] is not None)


async def until(
    client: httpx.AsyncClient, path: str, is_so: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The import at a path, once something is so of it."""
    for _ in range(1_500):
        found: dict[str, Any] = (await client.get(path)).json()
        if is_so(found):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


async def all_results(client: httpx.AsyncClient, path: str, **query: str | int) -> list[dict[str, Any]]:
    """Every result of the import at a path, page after page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        params = {**query, **({} if cursor is None else {"cursor": cursor})}
        page = (await client.get(f"{path}/results", params=params)).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found
