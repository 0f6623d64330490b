"""Keeps partners to what was agreed: events a second, and bytes a day, over all processes.

Requests are judged by what this process knows; nothing is asked on their path. Once a second each process
tells the others, in SQL, what it was asked to take of each partner, and takes its part of the rate by its
part of the demand. So a partner whose connections all lead to one process has the whole rate there, and a
second after the demand has moved, the parts have followed; where few events come, some seconds after. What
a batch overdrew is demand too, and a process that nobody asks keeps a small part for a beginning: all parts
together are a quarter more than the rate at most, and each process may be one event ahead of its own. Bytes
are added up the same way: what others took in the last second is not counted yet.

A credential may have a rate of its own beneath its partner's, kept and shared out in the same way. It is
asked first: what it refuses uses up nothing of what was agreed with the partner.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self

from gateway.database import Database
from gateway.database import clock as database_clock
from gateway.errors import AwayError, QuotaExceededError
from gateway.ingress.quota import (
    DAY_MS,
    Bucket,
    Limit,
    byte_limit,
    demand_of,
    event_limit,
    nearest,
    pace_after,
    rate_headers,
    share_of,
)
from gateway.ingress.quota_shares import Heard, SharedClock, Told, exchange_now, sweep_now
from gateway.waits import rest
from partners.contract import Limits

_ROUND_SECONDS: Final = 1.0
_SWEEP_ROUNDS: Final = 3_600
_IDLE_MS: Final = 10_000
"""After which a partner that sends nothing, and owes nothing, is told of no more."""


Rates = Sequence[tuple[str, int]]
"""Of credentials that have a rate of their own: the id, and events a second."""

_NO_LIMITS: Final = Limits()


@dataclass(slots=True)
class _Account:
    """What this process knows today of a partner, or of a credential with a rate of its own.

    `most`: the rate that was agreed, events a second; `share`: its part of that. `open`: requests that are
    being read. `wanted`: events since it told last; `pace`: those of a second, then. `taken`: bytes not
    told yet; `used`: bytes of all processes, as heard last. `day`: of UTC, of both. `seen_at`: ticks.
    """

    bucket: Bucket
    day: int
    share: float = 1.0
    wanted: int = 0
    pace: float = 0.0
    taken: int = 0
    used: int = 0
    seen_at: int = 0
    most: float = 0.0
    open: int = 0

    @property
    def rate(self) -> float:
        """Events a second that this process takes."""
        return self.most * self.share

    @property
    def room(self) -> float:
        """How many events its bucket holds: a second's worth, and one more where others share the rate.

        A part may be less than one event a second: half an event lets nobody in, and of what comes in for the
        next one nothing is to be lost while there is one already.
        """
        return self.rate if self.share == 1 else self.rate + 1

    def fill(self, ticks: int) -> None:
        """Add what came in since the last look."""
        self.bucket.fill(self.rate, ticks, most=self.room)

    def demand(self, ticks: int) -> float:
        """Events a second that it needs a part of the rate for."""
        self.fill(ticks)
        return demand_of(pace_after(self.pace, self.wanted), self.bucket.level, self.most)

    def owes_nothing(self, ticks: int, day: int) -> bool:
        """Whether one made anew would be as this one is: its bucket full, nothing used of the day."""
        self.fill(ticks)
        is_used = bool(self.taken or self.used) and self.day == day
        is_full = not self.most or self.bucket.level >= self.room
        return is_full and not is_used and not self.open


@dataclass(slots=True)
class Entry:
    """A request that is in until the block ends. `held`: events held back until it says what it brought.

    `arrived`: bytes of its body so far; one that ends badly costs as many. `own`: what it holds of the rates
    of its credentials.
    """

    account: _Account | None
    held: float
    arrived: int = 0
    own: tuple["Entry", ...] = ()

    @classmethod
    def of(cls, account: _Account, most: float) -> "Entry":
        """One that holds `most` events, or as many as there are."""
        held = max(1.0, min(most, account.bucket.level))
        account.bucket.level -= held
        account.open += 1
        return cls(account, held)

    def receive(self, piece: bytes) -> None:
        """Take note of a piece of the body."""
        self.arrived += len(piece)

    def spend(self, events: int, size: int) -> None:
        """Count what it brought, once it is read; once only. `size`: bytes."""
        account, self.account = self.account, None
        if account is not None:
            account.open -= 1
            account.bucket.level += self.held - events
            account.wanted += events - 1
            account.taken += size
        own, self.own = self.own, ()
        for one in own:
            one.spend(events, 0)

    def __enter__(self) -> Self:
        """It is let in."""
        return self

    def __exit__(self, *_: object) -> None:
        """One that has not said what it brought could not be read."""
        self.spend(1, self.arrived)


@dataclass(slots=True, kw_only=True, eq=False)
class Quotas:
    """See the module. `owner`: this process, for the others.

    `clock`: Unix milliseconds, for the day; `ticks`: milliseconds of a clock that nobody sets, for the rate.
    `shared_clock`: what processes tell each other is dated by the database's.
    """

    database: Database
    clock: Callable[[], int]
    ticks: Callable[[], int]
    owner: str
    shared_clock: SharedClock = database_clock
    _accounts: dict[str, _Account] = field(default_factory=dict, init=False)

    def enter(self, partner: str, limits: Limits | None, *, most: int = 1, rates: Rates = ()) -> Entry:
        """Let one more request of a partner in, until the block ends; it says there what it brought.

        `most`: events that it may bring. So many are held back meanwhile, as far as there are any: requests
        that are read at the same time cannot all overdraw. One that never says what it brought, since it
        could not be read, costs one event and the bytes that had arrived. `limits` None: nothing was agreed;
        `rates`: of the credentials of the request.

        Raises:
            QuotaExceededError: with the header fields and how long to wait.
        """
        agreed = self._agreed(partner, limits or _NO_LIMITS)
        if rates:
            self._verify_rates(rates, agreed)
        account = self._accounts.get(partner) if agreed else None
        if account is None:
            entry = Entry(None, 0.0)
        else:
            account.wanted += 1
            used_up = next((one for one in agreed if one.is_used_up), None)
            if used_up is not None:
                raise _refusal(partner, used_up, agreed)
            entry = Entry.of(account, most)
        if rates:
            entry.own = tuple([Entry.of(self._accounts[name], most) for name, _ in rates])
        return entry

    def headers(self, partner: str, limits: Limits | None, rates: Rates = ()) -> dict[str, str]:
        """The header fields that tell a sender how it stands now."""
        return rate_headers(self.standing(partner, limits, rates))

    def standing(self, partner: str, limits: Limits | None, rates: Rates = ()) -> tuple[Limit, ...]:
        """How a sender stands now: each of its limits, of several rates the one that is met first."""
        agreed = self._agreed(partner, limits or _NO_LIMITS)
        if not rates:
            return agreed
        events = [one for one in agreed if one.name == "events"]
        events += [self._rated(name, rate) for name, rate in rates]
        return (nearest(events), *_but_events(agreed))

    def _verify_rates(self, rates: Rates, agreed: tuple[Limit, ...]) -> None:
        """Refuse what is beyond the own rate of a credential, before its partner hears of it."""
        found = {name: self._rated(name, rate) for name, rate in rates}
        for name in found:
            self._accounts[name].wanted += 1
        used_up = {name: one for name, one in found.items() if one.is_used_up}
        if used_up:
            limit = nearest(list(used_up.values()))
            who = next(name for name, one in used_up.items() if one is limit)
            raise _own_refusal(who, limit, (limit, *_but_events(agreed)))

    def _rated(self, name: str, rate: int) -> Limit:
        """How a credential stands with its own rate. No slug is spelt like an id: both lie together."""
        return self._agreed(name, Limits(events_per_second=rate))[0]

    async def run(self, stop: asyncio.Event) -> None:
        """Tell and hear once a second until `stop`, and tell a last time."""
        rounds = 0
        while not stop.is_set():
            await rest(stop, _ROUND_SECONDS)
            with suppress(AwayError):
                await self.exchange()
                if rounds % _SWEEP_ROUNDS == 0:
                    await self.database.write(partial(sweep_now, clock=self.shared_clock))
                rounds += 1

    async def exchange(self) -> None:
        """Tell the others, and hear from them. Nothing is asked where nobody sends.

        Raises:
            StoreError: the database is away; what was to be told is told with the next round.
        """
        ticks, today = self.ticks(), self.clock() // DAY_MS
        for partner, account in list(self._accounts.items()):
            if ticks - account.seen_at > _IDLE_MS and account.owes_nothing(ticks, today):
                del self._accounts[partner]
        if not self._accounts:
            return
        seen = {partner: one.wanted for partner, one in self._accounts.items()}
        told = Told(
            {partner: one.demand(ticks) for partner, one in self._accounts.items()},
            {partner: one.taken for partner, one in self._accounts.items()},
        )
        days = {partner: one.day for partner, one in self._accounts.items()}
        tell = partial(exchange_now, owner=self.owner, told=told, clock=self.shared_clock)
        heard, day = await self.database.write(tell)
        for partner, count in seen.items():
            account = self._accounts[partner]
            account.pace, account.wanted = pace_after(account.pace, count), account.wanted - count
        self._learn(told, days, heard, day)

    def _learn(self, told: Told, days: Mapping[str, int], heard: Heard, day: int) -> None:
        """`days`: of the accounts when they were told; `day`: that they were counted for, and heard of."""
        for partner, taken in told.taken.items():
            account = self._accounts[partner]
            # By the part that was in force while it came in: whoever asks seldom has the least when he asks.
            account.fill(self.ticks())
            account.share = share_of(told.wanted[partner], *heard.others.get(partner, (0.0, 0)))
            if account.day == days[partner]:
                account.taken -= taken
            if account.day == day:
                account.used = heard.used.get(partner, 0)

    def _agreed(self, partner: str, limits: Limits) -> tuple[Limit, ...]:
        """How a partner stands now: each of its limits."""
        most, size = limits.events_per_second, limits.bytes_per_day
        if most is None and size is None:
            return ()
        now, ticks = self.clock(), self.ticks()
        account = self._accounts.get(partner)
        if account is None:
            account = self._accounts[partner] = _Account(Bucket(float(most or 0), ticks), now // DAY_MS)
        if account.day != now // DAY_MS:
            account.day, account.taken, account.used = now // DAY_MS, 0, 0
        account.seen_at = ticks
        found = []
        if most is not None:
            account.most = float(most)
            account.fill(ticks)
            found.append(event_limit(account.bucket, most, account.rate))
        if size is not None:
            found.append(byte_limit(size, account.used + account.taken, now))
        return tuple(found)


def _but_events(limits: tuple[Limit, ...]) -> list[Limit]:
    return [one for one in limits if one.name != "events"]


def _own_refusal(credential: str, limit: Limit, standing: tuple[Limit, ...]) -> QuotaExceededError:
    text = f"The rate of this credential itself is {limit.most} events a second; wait {limit.reset} s."
    return QuotaExceededError(text, who=credential, headers=_told(limit, standing))


def _refusal(partner: str, limit: Limit, standing: tuple[Limit, ...]) -> QuotaExceededError:
    window = "a second" if limit.window == 1 else "a day"
    text = f"The contract allows {limit.most} {limit.name} {window}; wait {limit.reset} s."
    return QuotaExceededError(text, who=partner, headers=_told(limit, standing))


def _told(limit: Limit, standing: tuple[Limit, ...]) -> dict[str, str]:
    return {**rate_headers(standing), "Retry-After": str(limit.reset)}
