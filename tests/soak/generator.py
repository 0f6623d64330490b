"""Events without end in sight: callers that send, are cut off, and repeat blindly until they hear a 2xx."""

import asyncio
import json
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import aiohttp

from tests.acceptance.running import orders
from tests.faults.acknowledged import Acknowledged
from tests.faults.workload import NO_ANSWER, Request, batch

CALLERS = 12
BATCH = 10
KEPT_TO_REPEAT = 1_000
REPEATED = 0.1
"""The share of requests that is sent again after its 2xx."""

AGAIN_SECONDS = 0.3
ANSWER_SECONDS = 15.0


@dataclass
class Generator:
    """Twelve callers of several partners and of an operator, at any of the doors.

    `doors`: their URLs. `faults`: answers that no caller should have had. `slowest`: seconds until a 2xx.
    """

    doors: Sequence[str]
    keys: Mapping[str, str]
    operator_key: str
    events: int
    chance: Random
    told: Acknowledged = field(default_factory=Acknowledged)
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    requests: int = 0
    blind_repeats: int = 0
    made: int = 0
    slowest: float = 0.0
    _old: deque[Request] = field(default_factory=lambda: deque(maxlen=KEPT_TO_REPEAT))

    async def run(self) -> None:
        """Send all events, each until it is acknowledged."""
        wanted = self._requests()
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(self._call(session, wanted))

    async def _call(self, session: aiohttp.ClientSession, wanted: Iterator[Request]) -> None:
        for request in wanted:
            await self._send(session, request)
            self._old.append(request)
            if self.chance.random() < REPEATED:
                self.blind_repeats += 1
                await self._send(session, self.chance.choice(self._old))

    async def _send(self, session: aiohttp.ClientSession, request: Request) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not await self._post(session, request):
            self.blind_repeats += 1
            await asyncio.sleep(AGAIN_SECONDS)
        self.slowest = max(self.slowest, loop.time() - begun)

    async def _post(self, session: aiohttp.ClientSession, request: Request) -> bool:
        """Whether it is done with: acknowledged, or refused where it must not be."""
        self.requests += 1
        is_partner = request.direction == "inbound"
        key = self.keys[request.partner] if is_partner else self.operator_key
        headers = {"Authorization": f"Bearer {key}", "Content-Type": request.media_type}
        if request.prefer:
            headers["Prefer"] = request.prefer
        url = self.chance.choice(self.doors) + request.path
        try:
            async with session.post(url, data=request.body, headers=headers) as answer:
                status, text = answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            self.answers[NO_ANSWER] += 1
            return False
        return self._note(request, status, text)

    def _note(self, request: Request, status: int, text: str) -> bool:
        body = json.loads(text)
        self.answers[f"{status}" if status < 300 else f"{status} {body['code']}"] += 1
        if status == 503:
            return False
        taken = [one for one in body.get("results", [body]) if "receipt" in one]
        if status not in {200, 201, 207} or len(taken) != request.events:
            self.faults.append(f"{request.path}: {status} {text[:300]}")
            sys.stderr.write(f"an answer that should not be: {self.faults[-1]}\n")
            return True
        for one in taken:
            self.told.note(one["ref"], one["receipt"], partner=request.partner, direction=request.direction)
        return True

    def _requests(self) -> Iterator[Request]:
        partners = sorted(self.keys)
        bad = b'{"order_id":"bad","qty":"many"}'
        while self.made < self.events:
            partner, chance = self.chance.choice(partners), self.chance.random()
            inbound, outbound = "/v1/events/order.placed", f"/v1/partners/{partner}/events/order.accepted"
            count = 1 if chance < 0.6 else min(BATCH, self.events - self.made)
            bodies = [json.dumps(one).encode() for one in orders(self.made, count, "S")]
            self.made += count
            if chance < 0.6:
                path = inbound if chance < 0.35 else outbound
                yield Request(path, bodies[0], "application/json", "", 1, partner)
            elif chance < 0.75:
                yield batch(inbound, bodies, partner, is_strict=True)
            elif chance < 0.82:
                yield batch(inbound, [bad, *bodies], partner, is_strict=False, bad=1)
            else:
                yield batch(outbound, bodies, partner, is_strict=True)
