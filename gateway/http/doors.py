"""What the routes need, as one value: made by the composition root, changed by nobody."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.administration.desk import Administration
from gateway.administration.looks import Looks
from gateway.administration.repeats import Repeats
from gateway.auth.identify import Identifier
from gateway.auth.proxy import Proxies
from gateway.broker.port import Broker
from gateway.catalog import Catalog
from gateway.credential_uses import CredentialUses
from gateway.database import Database
from gateway.http.crowd import Crowd
from gateway.http.paces import Paces
from gateway.http.probing import Probing
from gateway.http.turns import Turns
from gateway.imports.intake import Intake
from gateway.ingress.accept import Submission
from gateway.ingress.content import Reading, Received
from gateway.ingress.outcome import Outcome, Refused
from gateway.ingress.quotas import Quotas
from gateway.keys import KeyRing

Clock = Callable[[], int]
Entropy = Callable[[int], bytes]


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

    `external_registry`: its URL; empty where the registry is our own.
    """

    origin: str
    log_host: str
    cursor_key: bytes = field(repr=False)
    body_bytes: int = 1_048_576
    batch_bytes: int = 8_388_608
    batch_events: int = 1_000
    body_seconds: float = 30.0
    strict_logical_types: bool = True
    external_registry: str = ""


@dataclass(frozen=True, slots=True)
class Doors:
    """Everything behind the routes.

    `callers`: finds out who calls; `proxies`: whom to believe about that; `uses`: with which credentials,
    when last. `keys`: our signing keys as of now. `ready`: what is not ready yet, in words; empty when all
    is. `observe`: told route, method, status and seconds of each request. `stop`: set when the program ends,
    so that nobody waits longer. `stream_turns`: how many streams may be read at once, and by one caller.
    `crowd`: those whose events are under way.
    `looks`: tells partners who reads their content; `repeats`: what was carried out under which key;
    `paces`: how fast a credential may read and manage; `probing`: tries endpoints.
    """

    catalog: Catalog
    ingress: Accepts
    quotas: Quotas
    intake: Intake
    administration: Administration
    database: Database
    broker: Broker
    clock: Clock
    entropy: Entropy
    values: Values
    callers: Identifier
    uses: CredentialUses
    keys: Callable[[], KeyRing]
    metrics: Callable[[], bytes]
    status: Callable[[], Awaitable[Mapping[str, object]]]
    ready: Callable[[], Awaitable[Sequence[str]]]
    stop: asyncio.Event = field(repr=False)
    looks: Looks
    repeats: Repeats
    paces: Paces
    probing: Probing
    proxies: Proxies = field(default_factory=Proxies)
    version: str = ""
    observe: Callable[[str, str, int, float], None] = lambda *_: None
    notice: Callable[[str, Exception], None] = lambda *_: None
    stream_turns: Turns = field(default_factory=Turns, repr=False)
    crowd: Crowd = field(default_factory=Crowd, repr=False)
