"""One POST of one delivery: sign exactly what is sent, send it, decide what follows."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from audit.ref import format_ref
from gateway.egress.delivery import Attempt, Decision, Delivered, Delivery, Held, RetryAt, Sender
from gateway.egress.lane import Lane
from gateway.egress.retry import decide
from gateway.egress.webhook import Signers, make_outgoing
from partners.endpoint import Endpoint, key_place

_ID_BYTES: Final = 15
_ROLL_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Chance:
    """Where time and randomness come from: Unix milliseconds; so many random bytes."""

    clock: Callable[[], int]
    entropy: Callable[[int], bytes]


class Poster:
    """Makes attempts. `unseal` opens an endpoint's secret for its place; opened ones are kept in memory.

    `own`: signs by our Ed25519 key, beside the secrets.
    """

    def __init__(
        self,
        sender: Sender,
        unseal: Callable[[bytes, str], bytes],
        chance: Chance,
        *,
        disable_after_ms: int,
        posted: Callable[[], None],
        own: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """`posted` is called after each answer, before anything is made of it."""
        self._sender = sender
        self._unseal = unseal
        self._chance = chance
        self._disable_after = disable_after_ms
        self._posted = posted
        self._own = own
        self._secrets: dict[tuple[str, bytes], bytes] = {}

    async def post(self, lane: Lane, delivery: Delivery, body: bytes) -> Attempt:
        """POST once.

        Raises:
            SealError: a secret of the endpoint does not open; nothing was sent.
            WebhookSecretError: the endpoint has no secret; nothing was sent.
        """
        endpoint, at = lane.endpoint, self._chance.clock()
        signers = Signers(self._open(endpoint, at), self._own)
        outgoing = make_outgoing(endpoint, format_ref(delivery.ref), body, signers, now=at)
        answer = await self._sender.send(outgoing)
        self._posted()
        number = delivery.attempts + 1
        now = self._chance.clock()
        roll = int.from_bytes(self._chance.entropy(_ROLL_BYTES)) / 256**_ROLL_BYTES
        decision = decide(answer, number, endpoint.delays, now=now, roll=roll)
        return Attempt(
            id="att_" + base64.b32encode(self._chance.entropy(_ID_BYTES)).decode("ascii").lower(),
            delivery=replace(delivery, body=body),
            url=endpoint.url,
            number=number,
            at=at,
            content_sha256=hashlib.sha256(outgoing.body).digest(),
            content_length=len(outgoing.body),
            answer=answer,
            decision=self._judge(lane, endpoint.url, decision, now),
        )

    def _judge(self, lane: Lane, url: str, decision: Decision, now: int) -> Decision:
        """An endpoint that fails for too long is disabled: its deliveries wait instead of being parked.

        A failure at a URL that is the endpoint's no longer says nothing: the new one is tried at once.
        """
        if url != lane.endpoint.url and not isinstance(decision, Delivered):
            return RetryAt(now)
        since = lane.breaker.failing_since
        if isinstance(decision, Delivered | Held) or since is None or now - since < self._disable_after:
            return decision
        return Held("failing")

    def _open(self, endpoint: Endpoint, now: int) -> list[bytes]:
        opened = []
        for sealed in endpoint.keys_at(now):
            key = (endpoint.id, sealed)
            if key not in self._secrets:
                self._secrets[key] = self._unseal(sealed, key_place(endpoint.id))
            opened.append(self._secrets[key])
        return opened
