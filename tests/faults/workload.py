"""A sender that only knows what it was answered: it repeats blindly whatever was not a 2xx."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random

import httpx

from tests.acceptance.running import Gateway, orders
from tests.faults.acknowledged import Acknowledged, payload_of

__all__ = ["payload_of"]

AGAIN_SECONDS = 0.1
MOST_UNANSWERED = 60
"""With so many requests to repeat, no new ones are made."""

FEW = 18
"""Of a sender with a pace, so many requests are repeated in one wave."""

EVENTS_PER_WAVE = 15
NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Request:
    """One request, to be sent again byte for byte. `events`: how many valid events it holds."""

    path: str
    body: bytes
    media_type: str
    prefer: str
    events: int
    partner: str = "acme"

    @property
    def direction(self) -> str:
        return "outbound" if "/partners/" in self.path else "inbound"


@dataclass
class Sender:
    """Callers' requests, sent to any of the doors, and all that they were answered.

    `keys`: API key of each partner. `answers`: how often each status and code was met. `wave_seconds`: from
    one wave to the next at least; what is not answered is repeated no sooner.
    """

    doors: Sequence[Gateway]
    keys: Mapping[str, str]
    operator_key: str
    chance: Random = field(default_factory=lambda: Random(1))  # noqa: S311 - the same in every run
    told: Acknowledged = field(default_factory=Acknowledged)
    answers: Counter[str] = field(default_factory=Counter)
    requests: list[Request] = field(default_factory=list)
    unanswered: list[Request] = field(default_factory=list)
    made: int = 0
    wave_seconds: float = 0.0
    _next_wave: float = 0.0
    _clients: list[httpx.AsyncClient] = field(default_factory=list)

    @classmethod
    def to(cls, gateway: Gateway) -> "Sender":
        """For one gateway with one partner, acme."""
        return cls([gateway], {"acme": gateway.partner_key()}, gateway.operator_key())

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Sender"]:
        """Keep connections until the block ends."""
        self._clients = [door.async_client() for door in self.doors]
        try:
            yield self
        finally:
            for one in self._clients:
                await one.aclose()

    @property
    def events(self) -> int:
        """How many valid events all requests hold together."""
        return sum(one.events for one in self.requests)

    def wave(self) -> list[Request]:
        """New requests: single events, a strict batch, a lenient batch with a bad event, outbound events."""
        partner = sorted(self.keys)[self.made // EVENTS_PER_WAVE % len(self.keys)]
        bodies = [json.dumps(one).encode() for one in orders(self.made, EVENTS_PER_WAVE)]
        self.made += EVENTS_PER_WAVE
        bad = b'{"order_id":"bad","qty":"many"}'
        inbound, outbound = "/v1/events/order.placed", f"/v1/partners/{partner}/events/order.accepted"
        new = [_single(inbound, body, partner) for body in bodies[:3]]
        new += [_single(outbound, body, partner) for body in bodies[3:6]]
        new.append(batch(inbound, bodies[6:10], partner, is_strict=True))
        new.append(batch(inbound, [bodies[10], bad, *bodies[11:13]], partner, is_strict=False, bad=1))
        new.append(batch(outbound, bodies[13:15], partner, is_strict=True))
        self.requests += new
        return new

    async def send_new(self) -> None:
        """A wave, together with what was not answered before, all at once."""
        await asyncio.sleep(self._next_wave - time.monotonic())
        self._next_wave = time.monotonic() + self.wave_seconds
        most = FEW if self.wave_seconds else MOST_UNANSWERED
        waiting, later = self.unanswered[:most], self.unanswered[most:]
        new = self.wave() if len(waiting) < most else []
        await self._send([*waiting, *new])
        self.unanswered += later
        if len(self.unanswered) >= len(waiting) + len(later) + len(new):
            await asyncio.sleep(AGAIN_SECONDS)

    async def finish(self, seconds: float) -> None:
        """Repeat what was not answered until all is."""
        try:
            async with asyncio.timeout(seconds):
                while self.unanswered:
                    await self._send(self.unanswered)
                    await asyncio.sleep(AGAIN_SECONDS)
        except TimeoutError as error:
            said = f"{len(self.unanswered)} requests get no 2xx; answers so far: {dict(self.answers)}"
            raise AssertionError(said) from error

    async def send_all_again(self) -> None:
        """Repeat everything that was ever sent."""
        for start in range(0, len(self.requests), 40):
            await self._send(self.requests[start : start + 40])
            await self.finish(60)

    async def _send(self, requests: Iterable[Request]) -> None:
        if not self._clients:
            async with self.connected():
                await self._send(requests)
            self._clients = []
            return
        async with asyncio.TaskGroup() as tasks:
            running = [(one, tasks.create_task(self._post(one))) for one in requests]
        self.unanswered = [one for one, task in running if not self.note(one, task.result())]

    def note(self, request: Request, answer: httpx.Response | None) -> bool:
        """Keep an answer; whether it was a 2xx."""
        if answer is None or answer.status_code == 503:
            return False
        assert answer.status_code in {200, 201, 207}, f"{request}: {answer.status_code} {answer.text}"
        body = answer.json()
        taken = [one for one in body.get("results", [body]) if "receipt" in one]
        assert len(taken) == request.events, f"{request}: {answer.status_code} {answer.text}"
        for one in taken:
            self.told.note(one["ref"], one["receipt"], partner=request.partner, direction=request.direction)
        return True

    async def _post(self, request: Request) -> httpx.Response | None:
        is_partner = request.direction == "inbound"
        key = self.keys[request.partner] if is_partner else self.operator_key
        headers = {"Authorization": f"Bearer {key}", "Content-Type": request.media_type}
        if request.prefer:
            headers["Prefer"] = request.prefer
        client = self.chance.choice(self._clients)
        answer = None
        with suppress(httpx.TransportError):
            answer = await client.post(request.path, content=request.body, headers=headers)
        self.answers[words_of(answer)] += 1
        return answer


def words_of(answer: httpx.Response | None) -> str:
    """An answer's status, and its code where it is no success."""
    if answer is None:
        return NO_ANSWER
    if answer.status_code < 300:
        return str(answer.status_code)
    return f"{answer.status_code} {answer.json()['code']}"


def _single(path: str, body: bytes, partner: str) -> Request:
    return Request(path, body, "application/json", "", 1, partner)


def batch(path: str, bodies: list[bytes], partner: str, *, is_strict: bool, bad: int = 0) -> Request:
    """A request of many events, `bad` of them not valid."""
    prefer = "" if is_strict else "handling=lenient"
    body = b"\n".join(bodies) + b"\n"
    return Request(path, body, "application/x-ndjson", prefer, len(bodies) - bad, partner)
