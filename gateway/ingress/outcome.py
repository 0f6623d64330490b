"""What became of one event that was sent to us."""

from dataclasses import dataclass

from gateway.broker.port import Position
from gateway.event import EventKey
from schemas.fault import Fault


@dataclass(frozen=True, slots=True)
class Accepted:
    """Durable in the broker, or accepted before and repeated now (`duplicate`).

    `position` is None where the offset is not known yet; `receipt` is the first one, byte for byte.
    """

    ref: bytes
    key: EventKey
    type: str
    at: int
    receipt: str
    duplicate: bool
    schema: tuple[str, int, int]
    contract: int
    topic: str
    partition: int
    position: Position | None


@dataclass(frozen=True, slots=True)
class First:
    """The event that holds an id already: what a conflict may say of it."""

    ref: bytes
    at: int
    event_sha256: bytes
    content_sha256: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """Not accepted, and why: a code of the catalogue (docs/errors.md) and its details.

    `detail` and `hint` are texts for the sender; they never hold values of the event. `key`: the event's
    identity, as far as it could be told. `place`: where a text breaks, as (byte from 0, line from 1).
    """

    code: str
    detail: str
    faults: tuple[Fault, ...] = ()
    faults_total: int = 0
    schema: tuple[str, int, int] | None = None
    hint: str | None = None
    first: First | None = None
    key: EventKey | None = None
    place: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Neither accepted nor refused: something that we need is away. The sender repeats the same request.

    `code`: one of `gateway.errors.AWAY_CODES`.
    """

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Valid:
    """A dry run's answer: it would be accepted now, as a new event (or as a twin within its batch)."""

    ref: bytes
    key: EventKey
    type: str
    duplicate: bool
    schema: tuple[str, int, int]


Outcome = Accepted | Refused | Failed | Valid
