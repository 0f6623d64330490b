"""What a relay is made of, and the terms it works by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.broker.port import Broker
from gateway.database import Database
from gateway.egress.delivery import Attempt, Sender
from gateway.egress.posting import Chance
from gateway.egress.reading import Today
from gateway.egress.shared import Vouching
from gateway.leases import Leases


@dataclass(frozen=True, slots=True)
class Parts:
    """What a relay is made of.

    `vouch`: when we accepted partners' records. `unseal` opens an endpoint's secret for its place, `own`
    signs by our own key; `step` hears of numbered steps, `observe` of attempts. `doubt`: why our clock is
    not to be trusted, empty where it is: nothing is read, sent or written down then.
    """

    database: Database
    leases: Leases
    broker: Broker
    catalog: Today
    sender: Sender
    unseal: Callable[[bytes, str], bytes] = field(repr=False)
    chance: Chance = field(repr=False)
    vouch: Vouching = field(repr=False)
    step: Callable[[str], None] = lambda _: None
    observe: Callable[[Attempt], None] = lambda _: None
    own: Callable[[bytes], Sequence[bytes]] | None = field(default=None, repr=False)
    doubt: Callable[[], str] = lambda: ""


@dataclass(frozen=True, slots=True)
class Terms:
    """`origin`: our URL; `log_host`: what log names begin with; `house_log`: the random name of our own log.

    `shards`: as the leases have it.
    """

    origin: str
    log_host: str
    house_log: str
    shards: int = 64
    tick_ms: int = 50
    disable_after_ms: int = 5 * 86_400_000
