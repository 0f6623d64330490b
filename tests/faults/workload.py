"""A sender that only knows what it was answered: it repeats blindly whatever was not a 2xx."""

import asyncio
import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpx

from tests.acceptance.running import Gateway, orders

AGAIN_SECONDS = 0.1


@dataclass(frozen=True)
class Request:
    """One request, to be sent again byte for byte. `events`: how many valid events it holds."""

    path: str
    body: bytes
    media_type: str
    prefer: str
    events: int


@dataclass
class Sender:
    """Two callers' requests, and every receipt that they were given, by ref."""

    gateway: Gateway
    partner_key: str
    requests: list[Request] = field(default_factory=list)
    unanswered: list[Request] = field(default_factory=list)
    receipts: dict[str, set[str]] = field(default_factory=dict)
    outbound: set[str] = field(default_factory=set)
    made: int = 0

    def wave(self) -> list[Request]:
        """New requests: single events, a strict batch, a lenient batch with a bad event, outbound events."""
        bodies = [json.dumps(one).encode() for one in orders(self.made, 15)]
        self.made += 15
        bad = b'{"order_id":"bad","qty":"many"}'
        inbound, outbound = "/v1/events/order.placed", "/v1/partners/acme/events/order.accepted"
        new = [Request(inbound, body, "application/json", "", 1) for body in bodies[:3]]
        new += [Request(outbound, body, "application/json", "", 1) for body in bodies[3:6]]
        new.append(_batch(inbound, bodies[6:10], strict=True))
        new.append(_batch(inbound, [bodies[10], bad, *bodies[11:13]], strict=False, bad=1))
        new.append(_batch(outbound, bodies[13:15], strict=True))
        self.requests += new
        return new

    async def send_new(self) -> None:
        """A wave, together with what was not answered before, all at once."""
        await self._send([*self.unanswered, *self.wave()])

    async def finish(self, seconds: float) -> None:
        """Repeat what was not answered until all is."""
        async with asyncio.timeout(seconds):
            while self.unanswered:
                await self._send(self.unanswered)
                await asyncio.sleep(AGAIN_SECONDS)

    async def send_all_again(self) -> None:
        """Repeat everything that was ever sent."""
        for start in range(0, len(self.requests), 40):
            await self._send(self.requests[start : start + 40])
            assert not self.unanswered

    async def _send(self, requests: Iterable[Request]) -> None:
        keys = {True: self.gateway.operator_key(), False: self.partner_key}
        async with self.gateway.async_client() as client, asyncio.TaskGroup() as tasks:
            running = [
                (one, tasks.create_task(_post(client, one, keys["/partners/" in one.path])))
                for one in requests
            ]
        self.unanswered = [one for one, task in running if not self._note(one, task.result())]

    def _note(self, request: Request, answer: httpx.Response | None) -> bool:
        if answer is None or answer.status_code == 503:
            return False
        assert answer.status_code in {200, 201, 207}, f"{request}: {answer.status_code} {answer.text}"
        body = answer.json()
        taken = [one for one in body.get("results", [body]) if "receipt" in one]
        assert len(taken) == request.events
        for one in taken:
            self.receipts.setdefault(one["ref"], set()).add(one["receipt"])
            if "/partners/" in request.path:
                self.outbound.add(one["ref"])
        return True


async def _post(client: httpx.AsyncClient, request: Request, key: str) -> httpx.Response | None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": request.media_type}
    if request.prefer:
        headers["Prefer"] = request.prefer
    try:
        return await client.post(request.path, content=request.body, headers=headers)
    except httpx.TransportError:
        return None


def _batch(path: str, bodies: list[bytes], *, strict: bool, bad: int = 0) -> Request:
    prefer = "" if strict else "handling=lenient"
    return Request(path, b"\n".join(bodies) + b"\n", "application/x-ndjson", prefer, len(bodies) - bad)


def payload_of(receipt: str) -> bytes:
    """The evidence in a receipt."""
    text = receipt.split(".")[1]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
