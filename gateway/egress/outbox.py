"""What a shard decided and has not written yet."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from audit.store import Pending
from gateway.announcements import Announcement
from gateway.egress.backlog import Span
from gateway.egress.breaker import Breaker
from gateway.egress.delivery import Delivery
from gateway.egress.replay import Step
from gateway.egress.ticks import Saved, Tick
from gateway.egress.traces import Excerpt
from gateway.leases import Lease
from gateway.positions import Move

LIMIT: Final = 500
"""Decisions that may wait for the database before the shard stops reading and posting."""


class Outbox:
    """Gathers; `make_tick` empties it."""

    def __init__(self) -> None:
        self._evidence: list[Pending] = []
        self._saved: dict[tuple[str, bytes], Saved] = {}
        self._writing: dict[tuple[str, bytes], Saved] = {}
        self._finished: list[tuple[str, bytes]] = []
        self._disabled: list[tuple[str, str, str]] = []
        self._rows: set[tuple[str, bytes]] = set()
        self._excerpts: list[Excerpt] = []
        self._heard: list[tuple[str, bytes, int]] = []
        self._told: list[Announcement] = []

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be decided before a tick is written."""
        return len(self._evidence) + len(self._saved) >= LIMIT

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self._evidence or self._saved or self._finished or self._disabled or self._heard)

    def add(self, *evidence: Pending) -> None:
        """Evidence of decisions."""
        self._evidence += evidence

    def tell(self, told: Iterable[Announcement]) -> None:
        """Events of the gateway's own, to be published once the tick is written."""
        self._told += told

    def disable(self, partner: str, endpoint: str, url: str) -> None:
        """The endpoint is to be disabled, if this is still its URL."""
        self._disabled.append((partner, endpoint, url))

    def keep_excerpt(self, excerpt: Excerpt) -> None:
        """What an attempt was answered with."""
        self._excerpts.append(excerpt)

    def hear(self, endpoint: str, ref: bytes, asked_at: int) -> None:
        """What was asked of a row at this time is done."""
        self._heard.append((endpoint, ref, asked_at))

    def has_row(self, endpoint: str, ref: bytes) -> bool:
        """Whether the delivery has a row, or gets one with the next tick."""
        return (endpoint, ref) in self._rows

    def note_row(self, endpoint: str, ref: bytes) -> None:
        """A row that was found in the database."""
        self._rows.add((endpoint, ref))

    def note_rows(self, endpoint: str, refs: Iterable[bytes]) -> None:
        """Rows of one endpoint that were found there."""
        self._rows.update((endpoint, ref) for ref in refs)

    def save(self, saved: Saved) -> None:
        """The delivery gets a row, or its row changes; `is_new` is worked out here."""
        key = (saved.delivery.endpoint, saved.delivery.ref)
        waiting = self._saved.get(key)
        is_new = key not in self._rows if waiting is None else waiting.is_new
        self._saved[key] = replace(saved, is_new=is_new)
        if saved.state == "parked":
            self._writing.pop(key, None)
            self._rows.discard(key)
        else:
            self._rows.add(key)

    def decided(self, endpoint: str, ref: bytes) -> Saved | None:
        """What a row is to be with this tick, or the one that is being written; None: neither says so."""
        key = (endpoint, ref)
        return self._saved.get(key) or self._writing.get(key)

    def is_written(self, endpoint: str, ref: bytes) -> bool:
        """Whether no tick is to change the delivery's row."""
        return self.decided(endpoint, ref) is None

    def revive(self, delivery: Delivery) -> None:
        """A row that was found in the database is to wait again, whatever this tick was to make of it."""
        key = (delivery.endpoint, delivery.ref)
        if (waiting := self._saved.get(key)) is not None:
            again = replace(delivery, body=waiting.delivery.body)
            self._saved[key] = replace(waiting, delivery=again, state="pending", reason=None)
        self._rows.add(key)

    def finish(self, endpoint: str, ref: bytes) -> None:
        """The delivery waits no longer: its row goes."""
        key = (endpoint, ref)
        waiting = self._saved.pop(key, None)
        self._writing.pop(key, None)
        if key in self._rows and not (waiting is not None and waiting.is_new):
            self._finished.append(key)
        self._rows.discard(key)

    def forget(self, endpoint: str, ref: bytes) -> None:
        """The delivery waits no longer, and its row is as somebody else left it, if it is there."""
        self._saved.pop((endpoint, ref), None)
        self._writing.pop((endpoint, ref), None)
        self._rows.discard((endpoint, ref))

    def make_tick(
        self,
        lease: Lease,
        *,
        spans: list[Span],
        drained: list[tuple[str, str, int]],
        moves: list[Move],
        breakers: tuple[tuple[str, Breaker], ...] = (),
        steps: tuple[Step, ...] = (),
    ) -> Tick:
        """Everything gathered, with what else changed; the outbox is empty afterwards."""
        tick = Tick(
            lease=lease,
            evidence=tuple(self._evidence),
            saved=tuple(self._saved.values()),
            finished=tuple(self._finished),
            spans=tuple(spans),
            drained=tuple(drained),
            moves=tuple(moves),
            disabled=tuple(self._disabled),
            excerpts=tuple(self._excerpts),
            breakers=breakers,
            heard=tuple(self._heard),
            steps=steps,
            told=tuple(self._told),
        )
        self._excerpts, self._heard, self._told = [], [], []
        self._writing = self._saved
        self._evidence, self._saved, self._finished, self._disabled = [], {}, [], []
        return tick

    def written(self) -> list[tuple[str, bytes]]:
        """The tick is written: whose rows are there now, of those that have not ended since, and wait.

        A delivery of the same event that began meanwhile has no row by that.
        """
        waiting = [key for key, saved in self._writing.items() if saved.state != "parked"]
        self._writing = {}
        return waiting
