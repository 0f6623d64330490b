"""An erasure as a value: which events, for which reason, and how far it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.administration.evidence import Author

State = Literal["waiting", "held", "done"]
STATES: Final[tuple[State, ...]] = ("waiting", "held", "done")
"""`waiting`: it is worked on. `held`: all is erased that no hold is on; the rest follows after its lift."""

MOST_REFS: Final = 1_000
MOST_OPEN: Final = 20
"""Erasures of one partner that are worked on at the same time."""

AT_ONCE: Final = 20
"""Events that one transaction erases; so few are erased before the request for them is answered."""

SOON_MS: Final = 1_000
AGAIN_MS: Final = 120_000
"""What was under way when an event was erased, such as an attempt to deliver it, has ended by then."""

Place = tuple[int, ...]
"""Of a list: how many refs are done. Of a time: time, epoch and index of the last entry looked at."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: `refs`, or without any the events of a time, `until` excluded.

    `may_wait`: what is held is erased once its hold is lifted; else one that is held refuses all.
    """

    partner: str
    refs: tuple[bytes, ...]
    since: int | None
    until: int | None
    basis: str
    by: Author
    may_wait: bool = True


@dataclass(frozen=True, slots=True)
class Counts:
    """How many events: in all, looked at, erased, under a hold, not there, on their way into the log."""

    total: int = 0
    done: int = 0
    erased: int = 0
    held: int = 0
    absent: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure. `place`: how far this walk is; None: at its start."""

    id: str
    wish: Wish
    state: State
    counts: Counts
    place: Place | None
    created_at: int
    ended_at: int | None = None
    again_at: int | None = None


@dataclass(frozen=True, slots=True)
class Means:
    """What an erasure is made with. `log_host`: what names of logs begin with; `step`: for crash tests."""

    log_host: str
    step: Callable[[str], None] = field(default=lambda _: None)
