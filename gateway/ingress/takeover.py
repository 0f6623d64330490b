"""Claims of others that are not confirmed: wait for the one that is fresh, take over the one that is not.

A claim is published again only after its lease has run out, it was taken over by compare-and-swap, the
partition's end was taken, the sequencer has read that far, and the claim is still unconfirmed. Where it does
not come to that, the lease is given back; once publishing has begun it never is.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from sqlmodel import Session

from gateway.broker.port import Broker, BrokerError
from gateway.database import Database
from gateway.errors import GatewayError
from gateway.group_commit import GroupCommit
from gateway.ingress.claims import Answer, Claim, Found, GiveBack, TakeOver, Write, read
from gateway.ingress.outcome import Failed
from gateway.ingress.publish import Fate, Publisher
from gateway.positions import load

SEQUENCE_ROLE = "sequence"
_LOOK_AGAIN_SECONDS = 0.05

_Place = tuple[str, int]
"""Topic and partition."""


@dataclass(slots=True, kw_only=True, eq=False)
class TakeOvers:
    """Settles unconfirmed claims that this attempt did not make.

    `wait_seconds`: how long a repeat waits for the first attempt to end.
    """

    database: Database
    writes: GroupCommit[Write, Answer]
    broker: Broker
    publisher: Publisher
    wait_seconds: float
    step: Callable[[str], None]

    async def settle(self, found: Sequence[Found], deadline: float) -> Mapping[bytes, Fate]:
        """By ref, where each claim's record is, or why that is not known yet.

        Raises:
            StoreError: the database is away.
            OverloadedError: too many writes wait.
        """
        since = asyncio.get_running_loop().time()
        places = {one.claim.ref: self.publisher.place_of(one.claim) for one in found}
        known = {ref: place for ref, place in places.items() if place is not None}
        found = [one for one in found if one.claim.ref not in known]
        ours = await self._take([one for one in found if one.claim.lease_until < one.now])
        fates = await self._publish_again(ours, since, deadline)
        held = {claim.ref for claim in ours}
        waiting = {one.claim.ref: one.claim.receipt for one in found if one.claim.ref not in held}
        return {**known, **fates, **await self._wait(waiting, deadline)}

    async def _take(self, late: Sequence[Found]) -> list[Claim]:
        """Those that are ours now, with the lease that we set."""
        if not late:
            return []
        seen = tuple((one.claim.ref, one.claim.lease_until) for one in late)
        answer = await self.writes.submit(TakeOver(seen))
        if not isinstance(answer, dict):
            raise TypeError("a take-over answers the leases that are ours")
        if answer:
            self.step("inbound.3.taken_over")
        claims = [one.claim for one in late if one.claim.ref in answer]
        return [replace(claim, lease_until=answer[claim.ref]) for claim in claims]

    async def _publish_again(self, ours: Sequence[Claim], since: float, deadline: float) -> dict[bytes, Fate]:
        if not ours:
            return {}
        refs = [claim.ref for claim in ours]
        now: Mapping[bytes, Claim] | Failed = _in_flight()
        try:
            now = await self._look(ours, deadline)
        finally:
            # Also where the database failed, or the caller has gone: until here nothing was produced.
            if isinstance(now, Failed):
                self._give_back(ours)
        if isinstance(now, Failed):
            return dict.fromkeys(refs, now)
        fates: dict[bytes, Fate] = {
            ref: claim.position for ref, claim in now.items() if claim.position is not None
        }
        # Who stood still may find another's lease: that claim is not ours to publish, nor to give back.
        leases = {claim.ref: claim.lease_until for claim in ours}
        missing = [
            claim for ref, claim in now.items() if ref not in fates and claim.lease_until == leases[ref]
        ]
        kept = {*fates, *(claim.ref for claim in missing)}
        fates |= {ref: _in_flight() for ref in refs if ref not in kept}
        # Those of partitions that were not looked at; what is another's, or gone, is left as it is.
        self._give_back([claim for claim in ours if claim.ref not in kept])
        return {**fates, **await self.publisher.publish(missing, deadline, since=since)}

    async def _look(self, ours: Sequence[Claim], deadline: float) -> Mapping[bytes, Claim] | Failed:
        """The claims as they are once the sequencer has read all that was on their partitions.

        Without those of partitions that it has not, or that cannot be asked for: these hold up no others.
        """
        ends: dict[_Place, tuple[str, int]] = {}
        failed = _in_flight()
        for topic, partition in sorted({(claim.topic, claim.partition) for claim in ours}):
            try:
                async with asyncio.timeout_at(deadline):
                    ((_, end),) = await self.broker.bounds([(topic, partition)])
                    # Asked after the end, and of the broker: of one that was made again this process may not
                    # have heard, and how far the former one was read says nothing of it.
                    there = await self.broker.describe([topic])
            except (BrokerError, TimeoutError):
                # Whoever asked may be a partner: names of hosts and files are for the operator.
                failed = Failed("broker_unavailable", "The broker does not answer; repeat the same request.")
                continue
            if topic in there:
                ends[topic, partition] = (there[topic].id, end)
        read_up = await self._sequenced(ends, deadline)
        if not read_up:
            return failed
        refs = tuple(claim.ref for claim in ours if (claim.topic, claim.partition) in read_up)
        return await self.database.read(partial(_read_all, refs=refs))

    def _give_back(self, ours: Sequence[Claim]) -> None:
        """Let the next repeat take over at once. Nobody waits for it: a lease that is kept runs out."""
        if ours and self.publisher.spawn is not None:
            self.publisher.spawn(self._end(tuple((one.ref, one.receipt, one.lease_until) for one in ours)))

    async def _end(self, held: tuple[tuple[bytes, str, int], ...]) -> None:
        with suppress(GatewayError):
            await self.writes.submit(GiveBack(held))

    async def _sequenced(self, ends: Mapping[_Place, tuple[str, int]], deadline: float) -> frozenset[_Place]:
        """Which of these are read up to their ends; waits while none is. `ends`: topic id and end of each."""
        loop = asyncio.get_running_loop()
        while True:
            found = await self.database.read(partial(_read_up, ends=ends)) if ends else frozenset()
            if found or not ends or loop.time() + _LOOK_AGAIN_SECONDS >= deadline:
                return found
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _wait(self, receipts: Mapping[bytes, str], deadline: float) -> dict[bytes, Fate]:
        """By ref, where the claims with these receipts are: one made anew meanwhile has another receipt."""
        loop = asyncio.get_running_loop()
        until = min(deadline, loop.time() + self.wait_seconds)
        fates: dict[bytes, Fate] = {}
        waiting = list(receipts)
        while waiting:
            claims = await self.database.read(partial(_read_all, refs=tuple(waiting)))
            same = {ref: one for ref, one in claims.items() if one.receipt == receipts[ref]}
            fates.update((ref, one.position) for ref, one in same.items() if one.position is not None)
            # One that is gone was given back: its repeat makes it anew.
            waiting = [ref for ref in same if ref not in fates]
            if not waiting or loop.time() + _LOOK_AGAIN_SECONDS >= until:
                break
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return {**{ref: _in_flight() for ref in receipts}, **fates}


def _read_up(session: Session, ends: Mapping[_Place, tuple[str, int]]) -> frozenset[_Place]:
    found: set[_Place] = set()
    for place, (topic_id, end) in ends.items():
        progress = load(session, SEQUENCE_ROLE, topic_id, place[1])
        if (0 if progress is None else progress.next) >= end:
            found.add(place)
    return frozenset(found)


def _read_all(session: Session, refs: tuple[bytes, ...]) -> Mapping[bytes, Claim]:
    return read(session, refs)


def _in_flight() -> Failed:
    return Failed(
        "outcome_unknown",
        "An earlier attempt with this event is still under way; repeat the same request.",
    )
