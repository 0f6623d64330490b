"""The baseline of deliveries, a process: an aiohttp loop that POSTs bodies of the same size, no more.

No topic is read, no schema checked, nothing signed (the headers are there, with fixed values), no outcome
stored. `python -m bench.poster JSON`: one line of JSON with the CPU seconds that it used.
"""

import asyncio
import json
import resource
import sys
from typing import Any, Final

import aiohttp
import uvloop

_HEADERS: Final = {
    "Content-Type": "application/cloudevents+json",
    "webhook-id": "evt_" + "a" * 52,
    "webhook-timestamp": "1700000000",
    "webhook-signature": "v1," + "a" * 44,
}


async def post(words: dict[str, Any]) -> dict[str, Any]:
    """POST so many, so many at once."""
    body, left = b"x" * words["bytes"], iter(range(words["posts"]))
    connector = aiohttp.TCPConnector(limit=words["concurrency"])
    async with aiohttp.ClientSession(connector=connector) as session:

        async def work() -> None:
            for _ in left:
                async with session.post(words["url"], data=body, headers=_HEADERS) as response:
                    await response.read()

        used = _used()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(words["concurrency"]):
                tasks.create_task(work())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"cpu": _used() - used, "peak": peak}


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(post(json.loads(sys.argv[1])))) + "\n")
