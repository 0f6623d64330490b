"""One POST to try an endpoint: a test, or the question whether somebody is there who owns it.

Sent by the same sender, in the same form and with the same signatures as any webhook, but outside of lanes:
it goes to endpoints in any state, is tried once, and its outcome changes nothing by itself.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from audit.ref import format_ref
from gateway.dialler import Answer
from gateway.egress.access import AccessBook
from gateway.egress.acknowledgement import digest_header
from gateway.egress.delivery import Sender
from gateway.egress.posting import NO_TOKEN, Chance
from gateway.egress.webhook import Signers, encode_body, make_outgoing
from gateway.event import EventKey, default_source
from gateway.instants import format_instant
from partners.endpoint import Endpoint, key_place

VERIFICATION: Final = "gateway.endpoint.verification"
CHALLENGE_MS: Final = 86_400_000
"""A challenge is good for so long."""

Purpose = Literal["test", "verification"]

_ID_BYTES: Final = 15
_CHALLENGE: Final = re.compile(r"ch_([0-9]{1,15})_([a-z2-7]{52})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Sample:
    """An event to send: its type, its data as JSON text, and where its schema is told (empty: nowhere)."""

    event_type: str
    data: bytes = field(repr=False)
    data_schema: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """What was sent, and what came back."""

    purpose: Purpose
    event_type: str
    webhook_id: str
    content_sha256: bytes
    content_length: int
    answer: Answer


class Prober:
    """Makes probes. `unseal` opens an endpoint's secret for its place; `own` signs by our Ed25519 keys."""

    def __init__(
        self,
        sender: Sender,
        unseal: Callable[[bytes, str], bytes],
        chance: Chance,
        own: Callable[[bytes], Sequence[bytes]],
    ) -> None:
        self._sender = sender
        self._unseal = unseal
        self._chance = chance
        self._own = own
        self._access = AccessBook(unseal, sender, chance.clock)

    async def probe(self, endpoint: Endpoint, purpose: Purpose, sample: Sample) -> Probe:
        """POST once.

        A verification is one CloudEvent in JSON whatever the endpoint's format: who sends back what it gets
        has proved nothing. Its challenge stands in the field User-Agent too, which access logs keep.

        Raises:
            SealError: a secret of the endpoint, or what it demands, does not open; nothing was sent.
            WebhookSecretError: it has none.
        """
        now = self._chance.clock()
        token = base64.b32encode(self._chance.entropy(_ID_BYTES)).decode("ascii").lower()
        key = EventKey(
            endpoint.partner, "outbound", default_source(endpoint.partner, "outbound"), f"{purpose}-{token}"
        )
        attributes = {"time": format_instant(now), "gatewayprobe": purpose}
        named = (key.id, key.source, sample.event_type)
        body = encode_body(attributes, named, data_schema=sample.data_schema, data=sample.data)
        where = replace(endpoint, format="cloudevents") if purpose == "verification" else endpoint
        secrets = [self._unseal(one, key_place(endpoint.id)) for one in endpoint.keys_at(now)]
        message_id = format_ref(key.ref())
        outgoing = make_outgoing(where, message_id, body, Signers(secrets, self._own), now=now)
        more = [digest_header(outgoing.body), *_told_to_logs(purpose, sample)]
        outgoing = replace(outgoing, headers=(*outgoing.headers, *more))
        dressed = await self._access.dress(outgoing, where)
        answer = NO_TOKEN if dressed is None else await self._sender.send(dressed)
        self._access.hear(where, dressed, answer.status)
        digest = hashlib.sha256(outgoing.body).digest()
        return Probe(purpose, sample.event_type, message_id, digest, len(outgoing.body), answer)


def _told_to_logs(purpose: Purpose, sample: Sample) -> list[tuple[str, str]]:
    if purpose != "verification":
        return []
    return [("User-Agent", f"partner-gateway {json.loads(sample.data)['challenge']}")]


@dataclass(frozen=True, slots=True)
class Challenges:
    """Texts that only who gets what is sent to an endpoint can know; none is kept. `key`: of this alone."""

    key: bytes = field(repr=False)

    def make(self, endpoint: Endpoint, now: int) -> str:
        """The challenge of an endpoint at its URL, good for a day from `now` (Unix ms)."""
        return self._text(endpoint, now + CHALLENGE_MS)

    def is_met(self, endpoint: Endpoint, text: str, now: int) -> bool:
        """Whether it is a challenge of this endpoint at this URL, and still good; in constant time."""
        found = _CHALLENGE.fullmatch(text)
        if found is None:
            return False
        until = int(found[1])
        is_same = hmac.compare_digest(text.encode(), self._text(endpoint, until).encode())
        return is_same and now < until <= now + CHALLENGE_MS

    def _text(self, endpoint: Endpoint, until: int) -> str:
        said = "\n".join(("gateway/challenge/v1", endpoint.partner, endpoint.id, str(until), endpoint.url))
        mac = hmac.new(self.key, said.encode(), hashlib.sha256).digest()
        return f"ch_{until}_{base64.b32encode(mac).decode('ascii').rstrip('=').lower()}"


def echoed(answer: Answer) -> str:
    """What a 2xx sends back as its challenge: a JSON object's member `challenge`, or the whole as text."""
    if answer.failure is not None:
        return ""
    text = answer.excerpt.decode("utf-8", "replace").strip()
    if not text.startswith("{"):
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    word = found.get("challenge") if isinstance(found, dict) else None
    return word if isinstance(word, str) else ""
