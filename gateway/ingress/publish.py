"""Claims onto topics.

Produce what is ours, confirm what is stored, give back what was refused for certain. Who appends is the first
to see that a topic is not what it was: the catalog hears of it, and the operator.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.broker.port import Broker, Position, Record, Refused, Stored, Unknown
from gateway.catalog import Catalog
from gateway.errors import BugError, GatewayError
from gateway.group_commit import GroupCommit
from gateway.ingress import outcome
from gateway.ingress.claims import Abandon, Answer, Claim, Confirm, GiveBack, Write
from gateway.ingress.outcome import Failed
from gateway.ingress.prepare import make_record
from gateway.ingress.topic_trouble import TopicTrouble
from gateway.ingress.turns import take_turns

Fate = Position | Failed | outcome.Refused
"""Where a claim's record is, or why we cannot say that it is anywhere."""

Spawn = Callable[[Coroutine[None, None, None]], object]

_Answer = Stored | Refused | Unknown

_BEGIN_BY: Final = 0.5
"""Of a lease: no append begins later, so that none is under way when another may take the claim over."""

_SORTING_SECONDS: Final = 1.0
"""For finding out which of many records is too large."""

_GATHERING_SECONDS: Final = 0.05
"""Between two writes of confirmations of single events: two statements for one cost more than its claim."""

_FEW: Final = 50
"""Confirmations of one request; more of them are worth statements of their own, at once."""


@dataclass(slots=True, kw_only=True, eq=False)
class Publisher:
    """Publishes claimed events; an append goes on to its end even when nobody waits for it any more.

    `spawn` is set while the owner runs: background work belongs to its task group. `trouble`: what an
    operator has to know of the topics. `lease_seconds`: how long a claim is its attempt's, now.
    """

    broker: Broker
    catalog: Catalog
    writes: GroupCommit[Write, Answer]
    origin: str
    lease_seconds: Callable[[], float]
    step: Callable[[str], None]
    spawn: Spawn | None = field(default=None, init=False)
    trouble: TopicTrouble = field(init=False)
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _stored: list[tuple[bytes, str, Position]] = field(default_factory=list, init=False)
    _unconfirmed: dict[bytes, tuple[str, Position]] = field(default_factory=dict, init=False, repr=False)
    _is_gathering: bool = field(default=False, init=False)
    _confirmed_at: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        """Begin without trouble."""
        self.trouble = TopicTrouble(self.broker.max_record_bytes)

    async def publish(
        self, claims: Sequence[Claim], deadline: float, *, since: float, own_until: int | None = None
    ) -> Mapping[bytes, Fate]:
        """Produce the claims' records; by ref, where each is. Answers by `deadline` (the loop's clock).

        `since`: before their leases began (the loop's clock). What was held up since then, by a process that
        stood still or a host that is overloaded, is not produced: somebody else may be producing it.

        `own_until`: this attempt made the claims, with leases until then (the database's clock), so that one
        whose record is refused for certain is deleted. None: they were taken over. The first attempt of such
        a claim may still appear on the topic: it stays, and the next repeat may take it over at once.
        """
        if not claims:
            return {}
        if self.spawn is None:
            unknown = Failed("overloaded", "The gateway is stopping; repeat the same request.")
            return {claim.ref: unknown for claim in claims}
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Mapping[bytes, Fate]] = loop.create_future()
        self.spawn(self._append(claims, answer, since=since, own_until=own_until))
        try:
            # Whoever gives up cancels the answer, never the append.
            async with asyncio.timeout_at(deadline):
                return await answer
        except TimeoutError:
            late = Failed(
                "outcome_unknown",
                "The broker has not answered in time; repeat the same request: same id, same receipt.",
            )
            return {claim.ref: late for claim in claims}

    def place_of(self, claim: Claim) -> Position | None:
        """Where its record is, while only this process knows: what it stored is confirmed a moment later."""
        receipt, position = self._unconfirmed.get(claim.ref, ("", None))
        return position if receipt == claim.receipt else None

    async def _append(
        self,
        claims: Sequence[Claim],
        answer: asyncio.Future[Mapping[bytes, Fate]],
        *,
        since: float,
        own_until: int | None,
    ) -> None:
        try:
            fates = await self._produce(claims, since)
        except Exception as error:  # noqa: BLE001 - told to whoever waits, or to the loop
            if not answer.cancelled():
                answer.set_exception(error)
            elif not isinstance(error, GatewayError):
                # Nobody waits for it any more, and it must not end the appends of others.
                told = {"message": "an append failed after its caller had gone", "exception": error}
                asyncio.get_running_loop().call_exception_handler(told)
            return
        if not answer.cancelled():
            answer.set_result(fates)
        await self._settle(claims, fates, own_until)

    async def _produce(self, claims: Sequence[Claim], since: float) -> dict[bytes, Fate]:
        records, ready = [], []
        fates: dict[bytes, Fate] = {}
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for claim in claims:
            try:
                version = await self.catalog.version(claim.schema_id)
            except BugError as error:
                # Nothing of it can be produced; it must not hold up the others.
                fates[claim.ref] = Failed(
                    "registry_unavailable", f"The event's schema is gone: {error.text}."
                )
                continue
            ready.append(claim)
            records.append(make_record(claim, version, self.origin))
            begun = await take_turns(begun)
        if not ready:
            return fates
        begin_by = since + self.lease_seconds() * _BEGIN_BY
        if loop.time() >= begin_by:
            late = Failed("overloaded", "The gateway was held up for too long; repeat the same request.")
            return {claim.ref: late for claim in claims}
        known = self.catalog.current.topic_ids
        results = await self._sort_out(records, await self.broker.append(records), begin_by)
        self._learn(records, results, known)
        self.step("inbound.3.produced")
        return fates | {claim.ref: _fate(result) for claim, result in zip(ready, results, strict=True)}

    async def _sort_out(
        self, records: Sequence[Record], results: Sequence[_Answer], begin_by: float
    ) -> list[_Answer]:
        """Find out which records are too large: Kafka refuses those sent beside one as if all of them were.

        The refusals are certain, so that all can be sent again: in halves, the smallest a single record, and
        never beside those of others. What this takes too long for is refused for now: no append begins
        later than `begin_by` (the loop's clock).
        """
        sorted_out = list(results)
        large = [number for number, one in enumerate(results) if _is_too_large(one)]
        if not large:
            return sorted_out
        loop = asyncio.get_running_loop()
        until = min(loop.time() + _SORTING_SECONDS, begin_by)
        async with self._alone:
            waiting = _halves(large)
            while waiting and loop.time() < until:
                some = waiting.pop()
                answers = await self.broker.append([records[number] for number in some])
                for number, answer in zip(some, answers, strict=True):
                    sorted_out[number] = answer
                again = [number for number in some if _is_too_large(sorted_out[number])]
                waiting += _halves(again) if len(some) > 1 else []
        for number in (number for some in waiting for number in some):
            sorted_out[number] = Refused("unavailable", "too many records were refused beside one too large")
        return sorted_out

    def _learn(self, records: Sequence[Record], results: Sequence[_Answer], known: Mapping[str, str]) -> None:
        """`known`: the topics as they were when the records were sent; a later word counts more."""
        for record, result in zip(records, results, strict=True):
            was = known.get(record.topic)
            if isinstance(result, Stored):
                topic_id = result.position.topic_id
                if self.trouble.is_other(record.topic, topic_id, known):
                    self.catalog.topic_changed(record.topic, topic_id, was=was)
            elif isinstance(result, Refused) and result.code == "unknown_topic":
                # The catalog's next look makes it again.
                self.catalog.topic_changed(record.topic, None, was=was)
        self.trouble.note(records, results)

    async def _settle(
        self, claims: Sequence[Claim], fates: Mapping[bytes, Fate], own_until: int | None
    ) -> None:
        stored = []
        refused = []
        for claim in claims:
            fate = fates[claim.ref]
            if isinstance(fate, Position):
                stored.append((claim.ref, claim.receipt, fate))
            elif fate.code != "outcome_unknown":
                lease = claim.lease_until if own_until is None else own_until
                refused.append((claim.ref, claim.receipt, lease))
        try:
            if refused:
                back = GiveBack if own_until is None else Abandon
                await self.writes.submit(back(tuple(refused)))
            self._unconfirmed |= {ref: (receipt, position) for ref, receipt, position in stored}
            # Of one that was taken over, others wait for this word.
            if stored and (own_until is None or len(stored) > _FEW):
                await self._confirm(stored)
            elif stored:
                await self._gather(stored)
        except GatewayError:
            # Nothing is lost: the sequencer confirms from the topic, a repeat takes an abandoned claim over.
            return

    async def _gather(self, stored: Sequence[tuple[bytes, str, Position]]) -> None:
        """Confirm at once, or a moment after the last ones were, with all that is stored until then."""
        self._stored += stored
        if self._is_gathering:
            return
        self._is_gathering = True
        ticks = asyncio.get_running_loop().time
        try:
            if (left := self._confirmed_at + _GATHERING_SECONDS - ticks()) > 0:
                await asyncio.sleep(left)
        except asyncio.CancelledError:
            self._forget(self._stored)
            self._stored = []
            raise
        finally:
            self._is_gathering = False
        gathered, self._stored = self._stored, []
        self._confirmed_at = ticks()
        await self._confirm(gathered)

    def _forget(self, stored: Sequence[tuple[bytes, str, Position]]) -> None:
        for ref, _, _ in stored:
            self._unconfirmed.pop(ref, None)

    async def _confirm(self, stored: Sequence[tuple[bytes, str, Position]]) -> None:
        try:
            await self.writes.submit(Confirm(tuple(stored)))
        finally:
            self._forget(stored)
        self.step("inbound.4.confirmed")


def _halves(numbers: Sequence[int]) -> list[Sequence[int]]:
    middle = len(numbers) // 2
    return [half for half in (numbers[middle:], numbers[:middle]) if half]


def _is_too_large(result: _Answer) -> bool:
    return isinstance(result, Refused) and result.code == "too_large"


def _fate(result: _Answer) -> Fate:
    match result:
        case Stored(position):
            return position
        case Unknown():
            return Failed(
                "outcome_unknown",
                "The broker's answer got lost; repeat the same request: same id, same receipt.",
            )
        case Refused("too_large", reason):
            return outcome.Refused(
                "event_too_large",
                f"The broker takes no record of this size: {reason}.",
                hint="Send it smaller, or once more when the operator has widened the topic's limit.",
            )
        case Refused("clock", _):
            return Failed(
                "clock_untrusted",
                "The broker finds the time of the event too far from its own; repeat the same request later.",
            )
        case Refused("unknown_topic", _):
            return Failed(
                "broker_unavailable", "The topic is not there, and is made again; repeat the same request."
            )
        case Refused("storage_full", _):
            return Failed("storage_full", "The broker has no room for new events; try again later.")
        case Refused(_, reason):
            return Failed("broker_unavailable", f"The broker did not take the event: {reason}.")
