"""What the routes need, as one value: made by the composition root, changed by nobody."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.administration.consumers import Consumers
from gateway.administration.desk import Administration
from gateway.administration.looks import Looks
from gateway.administration.repeats import Repeats
from gateway.administration.signing_keys import SigningKeys
from gateway.auth.identify import Identifier
from gateway.auth.proxy import Proxies
from gateway.broker.port import Broker
from gateway.catalog import Catalog, Snapshot
from gateway.credential_uses import CredentialUses
from gateway.database import Database
from gateway.egress.tails import Tails
from gateway.exports.desk import Exports
from gateway.http.arriving import Arriving
from gateway.http.brake import Brake
from gateway.http.crowd import Crowd
from gateway.http.inflating import GATEWAY
from gateway.http.paces import Paces
from gateway.http.probing import Probing
from gateway.http.rejection import Reject
from gateway.http.turns import Turns
from gateway.imports.intake import Intake
from gateway.ingress.accept import Submission
from gateway.ingress.content import Reading, Received
from gateway.ingress.outcome import Outcome, Refused
from gateway.ingress.quotas import Quotas
from gateway.ingress.refusals import Early
from gateway.keys import KeyRing
from gateway.shown import Shown

Clock = Callable[[], int]
Entropy = Callable[[int], bytes]
Listener = Literal["only", "public", "private"]


class Accepts(Protocol):
    """Who takes events: `gateway.ingress.accept.Ingress`."""

    async def read(self, received: Received) -> Reading | Refused:
        """The events of a request, in order."""
        ...

    async def accept(self, submission: Submission) -> Sequence[Outcome]:
        """What became of each item, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Values:
    """Settings and secrets of the routes. Sizes in bytes, times in seconds.

    `house_log`: the random name of our own log. `external_registry`: its URL; empty where the registry is our
    own. `beat_seconds`: how long a stream is silent at most, since proxies close what is silent for longer
    than some 30 to 60 s; `stall_seconds`: how long one waits for a client that takes nothing.
    `merge_delay_seconds`: within which an entry is promised. `listener`: which of two these are the doors of;
    `only`: there is one, which serves every route.
    """

    origin: str
    log_host: str
    house_log: str
    cursor_key: bytes = field(repr=False)
    body_bytes: int = 1_048_576
    batch_bytes: int = 8_388_608
    batch_events: int = 1_000
    body_seconds: float = 30.0
    strict_logical_types: bool = True
    external_registry: str = ""
    beat_seconds: float = 15.0
    stall_seconds: float = 30.0
    merge_delay_seconds: int = 60
    listener: Listener = "only"


@dataclass(frozen=True, slots=True)
class Cap:
    """How many bytes a body may have, and whose limit that is."""

    size: int
    whose: str = GATEWAY


def event_cap(values: Values, snapshot: Snapshot, partner: str | None, *, is_batch: bool) -> Cap:
    """How large a body of a partner's events may be: what the contract allows an event, if that is more."""
    usual = values.batch_bytes if is_batch else values.body_bytes
    contract = None if partner is None else snapshot.directory.contract(partner)
    agreed = 0 if contract is None else contract.limits.event_bytes or 0
    return Cap(agreed, "the contract") if agreed > usual else Cap(usual)


async def _nothing() -> None:
    """Nothing is measured."""


async def _unnoted(_: Early) -> None:
    """Nobody takes note."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Everything behind the routes.

    `honest`: as `clock`, for what becomes evidence: raises where our clock is not to be trusted. `shown`: the
    checkpoints of logs as they are served.
    `callers`: finds out who calls; `proxies`: whom to believe about that; `uses`: with which credentials,
    when last. `keys`: our signing keys as of now; `signing`: changes them. `ready`: what is not ready yet,
    in words; empty when all is. `observe`: told route, method, status, code and seconds of each request;
    `reject`: of each that was refused, for the log; `shaken`: reason, detail and address of
    each handshake of TLS that came to nothing; `notice`: of each that failed by an error. `stop`:
    set when the program ends, so that nobody waits longer. `tails`: follows the live ends of topics.
    `stream_turns`: how many streams may be read at once, and by one caller.
    `refused`: told of requests with events that were refused unread, for the log.
    `crowd`: those whose events are under way; `arriving`: those whose bodies still arrive.
    `brake`: slows down who goes on beyond its quota.
    `looks`: tells partners who reads their content; `repeats`: what was carried out under which key;
    `paces`: how fast a credential may read and manage; `probing`: tries endpoints. `consumers`: named places
    in streams. `exports`: makes the files of exports.
    """

    catalog: Catalog
    ingress: Accepts
    quotas: Quotas
    intake: Intake
    administration: Administration
    database: Database
    broker: Broker
    clock: Clock
    honest: Clock
    entropy: Entropy
    values: Values
    callers: Identifier
    uses: CredentialUses
    keys: Callable[[], KeyRing]
    signing: SigningKeys
    metrics: Callable[[], bytes]
    status: Callable[[], Awaitable[Mapping[str, object]]]
    ready: Callable[[], Awaitable[Sequence[str]]]
    stop: asyncio.Event = field(repr=False)
    looks: Looks
    repeats: Repeats
    paces: Paces
    tails: Tails
    consumers: Consumers
    exports: Exports
    probing: Probing
    shown: Shown
    proxies: Proxies = field(default_factory=Proxies)
    version: str = ""
    observe: Callable[[str, str, int, str, float], None] = lambda *_: None
    reject: Reject = lambda _: None
    shaken: Callable[[str, str, str], None] = lambda *_: None
    notice: Callable[[str, Exception], None] = lambda *_: None
    measure: Callable[[], Awaitable[None]] = _nothing
    refused: Callable[[Early], Awaitable[None]] = _unnoted
    stream_turns: Turns = field(default_factory=Turns, repr=False)
    arriving: Arriving = field(default_factory=Arriving, repr=False)
    crowd: Crowd = field(default_factory=Crowd, repr=False)
    brake: Brake = field(default_factory=Brake, repr=False)
