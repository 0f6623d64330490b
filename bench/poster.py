"""The baseline of deliveries, a process: an aiohttp loop that POSTs bodies of the same size, no more.

No topic is read, no schema checked, nothing signed (the headers are there, with fixed values), no outcome
stored. With a rate, each body begins with the time when it was due.

`python -m bench.poster JSON`: one line of JSON with the CPU seconds that it used.
"""

import asyncio
import json
import resource
import sys
from typing import Any, Final

import aiohttp
import uvloop

from bench.evenly import Busy, cpu_used, due_name, evenly

_HEADERS: Final = {
    "Content-Type": "application/cloudevents+json",
    "webhook-id": "evt_" + "a" * 52,
    "webhook-timestamp": "1700000000",
    "webhook-signature": "v1," + "a" * 44,
}


async def post(words: dict[str, Any]) -> dict[str, Any]:
    """POST so many, so many at once: as fast as they are answered, or evenly with a rate."""
    connector = aiohttp.TCPConnector(limit=words["concurrency"])
    async with aiohttp.ClientSession(connector=connector) as session:
        used, busy = cpu_used(), Busy()
        await (_paced if "rate" in words else _flat_out)(session, words)
        share = busy.share()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"cpu": cpu_used() - used, "peak": peak, "busy": share}


async def _flat_out(session: aiohttp.ClientSession, words: dict[str, Any]) -> None:
    body, left = b"x" * words["bytes"], iter(range(words["posts"]))

    async def work() -> None:
        for _ in left:
            await _post(session, words["url"], body)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(words["concurrency"]):
            tasks.create_task(work())


async def _paced(session: aiohttp.ClientSession, words: dict[str, Any]) -> None:
    async with asyncio.TaskGroup() as tasks:

        def each(due: float) -> None:
            body = f"{due_name(due)} ".encode().ljust(words["bytes"], b"x")
            tasks.create_task(_post(session, words["url"], body))

        await evenly(words["rate"], words["seconds"], each)


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> None:
    async with session.post(url, data=body, headers=_HEADERS) as response:
        await response.read()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(post(json.loads(sys.argv[1])))) + "\n")
