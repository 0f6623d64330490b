"""One POST of one delivery: sign exactly what is sent, send it, decide what follows."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from audit.ref import format_ref
from gateway.dialler import Answer, Outgoing
from gateway.egress.access import AccessBook
from gateway.egress.acknowledgement import digest_header, verify_answer
from gateway.egress.delivery import Attempt, Decision, Delivered, Delivery, Held, RetryAt, Sender
from gateway.egress.lane import Lane
from gateway.egress.retry import decide
from gateway.egress.webhook import Signers, make_outgoing
from gateway.errors import CallerError
from gateway.logs import logger
from gateway.origin_evidence import Origin
from partners.directory import Directory
from partners.endpoint import Endpoint, key_place

NO_TOKEN: Final = Answer(0, "endpoint_auth_failed", None, b"", b"", 0)
"""Instead of an answer, where nothing was sent."""

_log = logger(__name__)
_ID_BYTES: Final = 15
_ROLL_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Chance:
    """Where time and randomness come from: Unix milliseconds; so many random bytes."""

    clock: Callable[[], int]
    entropy: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What attempts are signed with, and answers verified by.

    `unseal` opens an endpoint's secret for its place. `own`: signs by our Ed25519 keys, beside the secrets.
    `known`: where the public keys of receivers are found that sign their answers; None: none are.
    """

    unseal: Callable[[bytes, str], bytes] = field(repr=False)
    own: Callable[[bytes], Sequence[bytes]] | None = field(default=None, repr=False)
    known: Callable[[], Directory] | None = None


class Poster:
    """Makes attempts. Secrets that were opened are kept in memory."""

    def __init__(
        self,
        sender: Sender,
        secrets: Secrets,
        chance: Chance,
        *,
        disable_after_ms: int,
        posted: Callable[[], None],
        is_erased: Callable[[Delivery], bool] = lambda _: False,
    ) -> None:
        """`posted` is called after each answer, before anything is made of it.

        `is_erased`: whether the event of a delivery was erased, and is not to be sent any more.
        """
        self.is_erased = is_erased
        self._sender = sender
        self._with = secrets
        self._chance = chance
        self._disable_after = disable_after_ms
        self._posted = posted
        self._access = AccessBook(secrets.unseal, sender, chance.clock)
        self._secrets: dict[tuple[str, bytes], bytes] = {}

    @property
    def deadline_ms(self) -> int:
        """How long a POST may take."""
        return self._sender.deadline_ms

    async def post(self, lane: Lane, delivery: Delivery, body: bytes) -> Attempt:
        """POST once.

        Raises:
            SealError: a secret of the endpoint, or what it demands, does not open; nothing was sent.
            WebhookSecretError: the endpoint has no secret; nothing was sent.
        """
        endpoint, at = lane.endpoint, self._chance.clock()
        signers = Signers(self._open(endpoint, at), self._with.own)
        outgoing = make_outgoing(endpoint, format_ref(delivery.ref), body, signers, now=at)
        outgoing = replace(outgoing, headers=(*outgoing.headers, digest_header(outgoing.body)))
        dressed = await self._access.dress(outgoing, endpoint)
        answer = NO_TOKEN if dressed is None else await self._sender.send(dressed)
        self._access.hear(endpoint, dressed, answer.status)
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
            acknowledgement=self._acknowledged(outgoing, answer, endpoint, now),
        )

    def _acknowledged(
        self, outgoing: Outgoing, answer: Answer, endpoint: Endpoint, now: int
    ) -> Origin | None:
        """The receiver's signature over its answer; one that does not hold is logged, and counts nothing."""
        if self._with.known is None or not answer.headers:
            return None
        try:
            return verify_answer(outgoing, answer, self._with.known(), endpoint.partner, now=now)
        except CallerError as error:
            component = (error.members or {}).get("component")
            _log.warning(
                "relay.acknowledgement_invalid", endpoint=endpoint.id, code=error.code, component=component
            )
            return None

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
                self._secrets[key] = self._with.unseal(sealed, key_place(endpoint.id))
            opened.append(self._secrets[key])
        return opened
