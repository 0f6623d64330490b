"""A replay as a value: which events are handed to their lanes once more, and how far that is.

A job over ranges of a topic, an endpoint and a partition each: it costs rows by ranges, never by events.
"""

from dataclasses import dataclass
from typing import Final, Literal

Which = Literal["undelivered", "failed", "all"]
WHICH: Final[tuple[Which, ...]] = ("undelivered", "failed", "all")
"""`undelivered`: never answered by a 2xx; `failed`: of these, those whose schedule was used up."""

State = Literal["waiting", "running", "done", "cancelled"]
OPEN: Final[tuple[State, ...]] = ("waiting", "running")
"""States of a replay that has not ended."""

MOST_OPEN: Final = 3
"""Replays of one owner of endpoints that have not ended."""

MOST_RATE: Final = 10_000

Word = Literal["handed", "delivered", "waiting", "cancelled", "passed", "lost"]


@dataclass(frozen=True, slots=True)
class Counts:
    """What was found of pairs of an event and an endpoint that listens to it.

    `handed`: given to the lane (in a dry run: would be); `delivered`: had been, and were not asked for;
    `waiting`: wait for the endpoint anyway; `cancelled`: given up for good; `passed`: not of the kind asked
    for. `lost`: records that the topic has no more; of another partner's, one for any number in a row.
    """

    handed: int = 0
    delivered: int = 0
    waiting: int = 0
    cancelled: int = 0
    passed: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for. `endpoint` None: all of the owner's. `types` empty: all. Times in Unix milliseconds.

    `owner`: whose endpoints (`Endpoint.owner`), a partner's or the house's in the exchange with it.

    `rate`: events a second and endpoint at most; None: as fast as the endpoint takes them.
    """

    owner: str
    endpoint: str | None
    which: Which
    types: tuple[str, ...]
    since: int
    until: int
    rate: int | None
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """One endpoint's part of a replay in one partition: offsets from `start` up to, not with, `end`."""

    endpoint: str
    topic: str
    topic_id: str
    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay as it stands. `total`: offsets to be read, over all endpoints; `done`: of these.

    In topics of other partners, which forward events, only what was counted counts, in both.
    """

    id: str
    wish: Wish
    state: State
    total: int
    done: int
    counts: Counts
    created_at: int
    ended_at: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of an open replay, and how far it is: what a relay takes up. `counts` up to `next`."""

    replay: str
    wish: Wish
    stretch: Stretch
    next: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Step:
    """A part's progress: all before `next` is done with."""

    replay: str
    stretch: Stretch
    next: int
    counts: Counts
