"""What operators do to endpoints while everything is killed: pauses, replays, and receivers that are gone."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx

from tests.acceptance.running import Gateway
from tests.faults.receiver import Receiver

LATER = {429, 503}
STEP_SECONDS = 0.3
PATIENCE_SECONDS = 60.0
SETTLING = 10


@dataclass
class Meddler:
    """Goes from partner to partner, and does one thing after the other. `done`: how often it did what."""

    doors: Callable[[], Sequence[Gateway]]
    key: str
    receiver: Receiver
    partners: Sequence[str]
    done: Counter[str] = field(default_factory=Counter)

    async def work(self, stop: asyncio.Event) -> None:
        """Until told to stop; then every endpoint goes on."""
        deeds = cycle((self.pause, self.leave, self.replay))
        for slug in cycle(self.partners):
            if stop.is_set():
                break
            await next(deeds)(slug)
            await asyncio.sleep(STEP_SECONDS)
        # What was answered 410 before may be written down only now.
        for _ in range(SETTLING):
            for slug in self.partners:
                await self._resume(slug)
            await asyncio.sleep(STEP_SECONDS)

    async def pause(self, slug: str) -> None:
        """Send nothing for a moment."""
        hook = await self._hook(slug)
        answer = await self._ask("POST", f"{hook}/pause")
        assert answer.status_code in {200, 409}, answer.text
        await asyncio.sleep(STEP_SECONDS)
        await self._resume(slug)
        self.done["paused"] += 1

    async def leave(self, slug: str) -> None:
        """Its receiver says 410 until the endpoint is disabled, if anything comes so soon."""
        path = f"/hook/{slug}"
        hook = await self._hook(slug)
        self.receiver.gone.add(path)
        try:
            for _ in range(10):
                await asyncio.sleep(STEP_SECONDS)
                if (await self._ask("GET", hook)).json()["state"] == "disabled":
                    self.done["disabled"] += 1
                    break
        finally:
            self.receiver.gone.discard(path)
        await self._resume(slug)

    async def replay(self, slug: str) -> None:
        """Hand over what was not delivered."""
        wanted = {"since": "1h", "which": "undelivered"}
        answer = await self._ask("POST", f"/v1/partners/{slug}/replays", wanted)
        # As many as there may be at a time are under way: a relay that is killed hands over nothing.
        assert answer.status_code in {202, 409}, answer.text
        self.done["replayed"] += answer.status_code == 202

    async def _resume(self, slug: str) -> None:
        """An endpoint that is active already is none that could go on."""
        answer = await self._ask("POST", f"{await self._hook(slug)}/resume", {"backlog": "deliver"})
        assert answer.status_code in {200, 409}, answer.text

    async def _hook(self, slug: str) -> str:
        found = await self._ask("GET", f"/v1/partners/{slug}/endpoints")
        (one,) = found.json()["items"]
        return f"/v1/partners/{slug}/endpoints/{one['id']}"

    async def _ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Of whichever door is there; again where none is."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            for door in cycle(self.doors()):
                with suppress(httpx.TransportError):
                    async with door.async_client(self.key) as client:
                        answer = await client.request(method, path, json=body)
                    if answer.status_code not in LATER:
                        return answer
                await asyncio.sleep(0.05)
        raise AssertionError("no door answers")
