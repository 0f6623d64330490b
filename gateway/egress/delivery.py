"""A delivery is one event for one endpoint, an attempt one try at it, a decision what follows from the try.

Values only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from audit.ref import format_ref, parse_ref
from gateway.broker.port import Position
from gateway.dialler import Answer, Fetched, Outgoing
from gateway.origin_evidence import Origin

_STEERING: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

HoldReason = Literal["gone", "failing", "paused", "disabled", "unverified"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """By what an event goes out, as it was when the event was read: for the evidence of attempts.

    `contract`: its revision. `schema`: what the data was checked against, as evidence names it. `sha256` of
    the data as the record holds it.
    """

    contract: int
    schema: Mapping[str, str | int]
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint.

    `position` is the record's, for order and for what a restart reads again. `group`: deliveries of one group
    go out one at a time and in order; None: no order asked. `body` is exactly what is sent; None: it lies in
    the delivery's row. `attempts` already made. `due_at`: not before; `wanted_at`: when a retry, a replay or
    its row last wanted it, whatever was given up before (0: never; both Unix milliseconds). `search`: what
    the event is found by. `provenance`: None where the delivery was taken up again from its row, which has
    none.
    """

    endpoint: str
    ref: bytes
    partner: str
    source: str
    event_id: str
    event_type: str
    topic: str
    position: Position
    schema_id: int
    group: str | None
    body: bytes | None = field(repr=False)
    attempts: int = 0
    due_at: int = 0
    wanted_at: int = field(default=0, compare=False)
    search: bytes | None = field(default=None, repr=False)
    provenance: Provenance | None = field(default=None, repr=False, compare=False)


_ID: Final = re.compile(r"dlv_([a-z0-9]{1,64})_([a-z2-7]{52})", re.ASCII)


def format_delivery(endpoint: str, ref: bytes) -> str:
    """The id of a delivery as users see it: the same wherever it is made, and safe in a URL."""
    return f"dlv_{endpoint.removeprefix('ep_')}_{format_ref(ref).removeprefix('evt_')}"


def parse_delivery(text: str) -> tuple[str, bytes] | None:
    """The endpoint and the ref that an id stands for; None where it can be none."""
    found = _ID.fullmatch(text)
    ref = None if found is None else parse_ref(f"evt_{found[2]}")
    return None if found is None or ref is None else (f"ep_{found[1]}", ref)


@dataclass(frozen=True, slots=True)
class Delivered:
    """Answered by a 2xx."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again, not before `at`."""

    at: int


@dataclass(frozen=True, slots=True)
class Parked:
    """The schedule is used up."""

    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """The endpoint is to be disabled; the delivery waits for it."""

    reason: HoldReason


Decision = Delivered | RetryAt | Parked | Held


@dataclass(frozen=True, slots=True)
class Attempt:
    """One real POST, to be recorded: what was sent where, what came back, what follows.

    `id` is random: two POSTs are two entries. `number` counts from 1; `at` is when it began. `delivery` holds
    the body, and the attempts made before this one. `acknowledgement`: the receiver's own signature over its
    answer, verified.
    """

    id: str
    delivery: Delivery
    url: str
    number: int
    at: int
    content_sha256: bytes
    content_length: int
    answer: Answer
    decision: Decision
    acknowledgement: Origin | None = None

    @property
    def excerpt(self) -> str:
        """The first 1 KiB of the answer, as text that can be shown; empty without an answer."""
        return safe_text(self.answer.excerpt)


def safe_text(raw: bytes) -> str:
    """Bytes of a stranger as text: whatever is no UTF-8, or steers a terminal, is U+FFFD."""
    return _STEERING.sub("\ufffd", raw.decode("utf-8", "replace"))


class Sender(Protocol):
    """Sends one POST; `gateway.dialler.Dialler` fits."""

    @property
    def deadline_ms(self) -> int:
        """The longest that one send takes."""
        ...

    async def send(self, outgoing: Outgoing) -> Answer:
        """POST once; never raises for what the other side does."""
        ...

    async def ask(self, outgoing: Outgoing, *, most: int) -> Fetched:
        """POST once, for an answer that is wanted whole."""
        ...
