"""The relay: outbound topics of the leased shards to the partners' endpoints.

Crash order, each step named for the fault tests:

1. Shards are leased; their topics are read from positions kept in SQL (`outbound.1.leased`).
2. A record is matched (`outbound.2.matched`), handed to lanes or backlogs; lanes POST (`outbound.2.posted`).
3. A tick writes all of it in one transaction (`outbound.3.before`, `outbound.3.committed`).
   Killed before: that tick and the POSTs under way repeat under the same webhook ids.
4. Retries come from the shard's own rows (`outbound.4.retried`). A lost lease cancels the POSTs under way;
   late ticks fail.

Database away: outboxes fill, reading and posting stop. Broker away: saved retries go on.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from gateway.catalog import Snapshot
from gateway.egress.acquaintance import adopt, brief, bury, in_turns
from gateway.egress.courier import Courier, Work
from gateway.egress.drain import Drain
from gateway.egress.feeds import Feeds
from gateway.egress.moment import NEVER, Moment
from gateway.egress.outbound import Outbound
from gateway.egress.outbound import Terms as OutboundTerms
from gateway.egress.parties import Voices, by_shard
from gateway.egress.posting import Poster, Secrets
from gateway.egress.recaller import Recaller
from gateway.egress.relay_parts import Parts, Terms
from gateway.egress.shard import Shard
from gateway.egress.shared import is_erased
from gateway.egress.steady import Steady
from gateway.egress.writer import Keeper, Writer
from gateway.errors import AwayError, LeaseLostError
from gateway.leases import Lease
from gateway.logs import logger
from partners.partner import Partner

_AGAIN_MS: Final = 200
_LOOK_MS: Final = 500
_GRACE_SECONDS: Final = 3.0

_log = logger(__name__)


class Relay:
    """A role; run one a process."""

    def __init__(self, parts: Parts, terms: Terms) -> None:
        self._parts, self._terms, self._clock = parts, terms, parts.chance.clock
        self._works: dict[int, Work] = {}
        self._followed: Snapshot | None = None
        self._known: Snapshot | None = None
        self._owned = asyncio.Event()
        self._held_until = NEVER
        self._life: object = None
        self._is_stopping = False
        self._stirred = asyncio.Event()
        poster = Poster(
            parts.sender,
            Secrets(parts.unseal, parts.own, lambda: parts.catalog.current.directory),
            parts.chance,
            disable_after_ms=terms.disable_after_ms,
            posted=lambda: parts.step("outbound.2.posted"),
            is_erased=lambda one: is_erased(one, parts.catalog.current.erased),
        )
        self._courier = Courier(
            parts.database,
            poster,
            Steady(parts.chance.clock, parts.doubt),
            retried=lambda: parts.step("outbound.4.retried"),
            observe=parts.observe,
            may_send=self._may_send,
        )
        self._voices = Voices(terms.origin, terms.log_host, terms.house_log, parts.chance.entropy)
        self._outbound = Outbound(
            parts.broker,
            parts.catalog,
            OutboundTerms(
                url=terms.origin,
                clock=parts.chance.clock,
                matched=lambda: parts.step("outbound.2.matched"),
                doubt=parts.doubt,
                briefed=self._briefed,
                rest_ms=terms.tick_ms,
            ),
        )
        self._feeds = Feeds(parts, terms.origin, self._voices.partner, self._briefed)
        self._writer = Writer(
            parts.database,
            self._clock,
            parts.step,
            Keeper(drop=self._drop, renew=self._renew, doubt=parts.doubt),
            tick_ms=terms.tick_ms,
            also=self._stirred.set,
        )

    @property
    def problem(self) -> str:
        """What keeps it from reading a topic, in words; empty: nothing."""
        return self._outbound.problem or self._feeds.problem

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; then finish what is under way (three seconds), write it, let the leases go."""
        self._outbound.open()
        self._is_stopping = False
        parts, clock, url = self._parts, self._clock, self._terms.origin
        recaller = Recaller(parts.database, parts.catalog, clock)
        drain = Drain(parts.broker.reader(), parts.catalog, clock, url, recaller.judge, vouch=parts.vouch)
        try:
            async with asyncio.TaskGroup() as group:
                loops = [
                    group.create_task(self._hold(group)),
                    group.create_task(self._settle_in()),
                    group.create_task(self._outbound.run(self._works)),
                    group.create_task(self._feeds.run()),
                    group.create_task(drain.run(self._at_work, self._stirred)),
                    group.create_task(self._courier.attend()),
                    group.create_task(recaller.run(self._at_work)),
                ]
                writing = group.create_task(self._writer.run(self._works))
                await stop.wait()
                await self._finish(loops, writing)
        finally:
            await drain.close()
            await self._feeds.close()
            await self._outbound.close()

    async def _hold(self, group: asyncio.TaskGroup) -> None:
        leases = self._parts.leases
        renew_at = NEVER
        while True:
            begun = self._moment()
            try:
                if begun.is_past(renew_at):
                    renew_at = begun.after(leases.renew_after_ms)
                    owned = await leases.hold(landing=self._courier.landing)
                    self._held_until = begun.after(3 * leases.renew_after_ms)
                    self._own(group, owned)
            except AwayError as error:
                _log.warning("relay.database_away", code=error.code)
            # Not all at once: clocks are looked at again, one of which may be set meanwhile.
            await asyncio.sleep(max(1, min(_LOOK_MS, renew_at.ticks - self._moment().ticks)) / 1000)

    async def _settle_in(self) -> None:
        """Follow partners and leases; beside `_hold`, since loading may take longer than a lease lasts."""
        while True:
            self._owned.clear()
            try:
                await self._follow()
            except AwayError as error:
                _log.warning("relay.database_away", code=error.code)
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_MS / 1000):
                    await self._owned.wait()

    def _own(self, group: asyncio.TaskGroup, owned: frozenset[Lease]) -> None:
        epochs = {lease.shard: lease.epoch for lease in owned}
        life, self._life = self._life, self._parts.database.life
        for number, work in list(self._works.items()):
            # Another server may lack what this one has stored: all begins again from what is there.
            if life not in {None, self._life} or epochs.get(number) != work.shard.lease.epoch:
                self._drop(work)
        for lease in sorted(owned, key=lambda each: each.shard):
            if lease.shard not in self._works:
                quiet = self._courier.quiet_until(lease)
                self._works[lease.shard] = work = Work(Shard(lease, quiet_until=quiet), self._writer.stir)
                self._followed = None
                self._owned.set()
                work.task = group.create_task(self._courier.run(work))

    def _drop(self, work: Work) -> None:
        """Stop a shard and forget what it did not write; if it is still ours, it begins again from SQL.

        It may have done so before, where a tick of the old one fails late: what it reads since, it reads on.
        """
        if self._works.get(work.shard.lease.shard) is work:
            del self._works[work.shard.lease.shard]
        self._outbound.drop(work)
        self._feeds.drop(work)
        self._courier.leave(work)

    async def _follow(self) -> None:
        """Give the shards today's partners, endpoints and topics; one taken meanwhile has its turn next."""
        snapshot = self._parts.catalog.current
        if snapshot is self._followed:
            return
        everyone = by_shard(snapshot, self._terms.shards)
        shards = [work.shard for work in self._works.values()]
        for turn in await in_turns(self._parts.database, shards, everyone):
            for work in list(self._works.values()):
                await self._meet(work, turn.get(work.shard.lease.shard, []))
        here = [(work, everyone.get(work.shard.lease.shard, [])) for work in self._works.values()]
        is_done = await self._feeds.follow(here, self._parts.catalog.current, self._is_at_work)
        if is_done and not self._owned.is_set():
            self._followed = snapshot

    async def _meet(self, work: Work, partners: Sequence[Partner]) -> None:
        """By the topics of now: one may have been made again while something was loaded."""
        database, catalog = self._parts.database, self._parts.catalog
        try:
            has_new = await adopt(database, catalog, work.shard, partners)
        except LeaseLostError:
            self._drop(work)
            return
        self._brief(work, partners)
        if self._is_at_work(work):
            self._outbound.watch(work, partners)
        await bury(database, work.shard)
        if has_new:
            self._parts.step("outbound.1.leased")
        work.stir()

    def _brief(self, work: Work, partners: Sequence[Partner]) -> None:
        """By the contracts of now: never by older ones again."""
        brief(work.shard, partners, self._parts.catalog.current, self._voices)

    async def _renew(self) -> None:
        """Have the contracts of now in all shards, as far as these know the partners."""
        await self._parts.catalog.follow()
        self._brief_all()

    def _briefed(self) -> Snapshot:
        """The contracts of now, once all shards have them.

        Nothing is read by terms that a lane has not: what went to it would be given to it again, or nothing.
        """
        if self._parts.catalog.current is not self._known:
            self._brief_all()
        return self._parts.catalog.current

    def _brief_all(self) -> None:
        self._known = self._parts.catalog.current
        everyone = by_shard(self._parts.catalog.current, self._terms.shards)
        for work in self._works.values():
            partners = everyone.get(work.shard.lease.shard, [])
            self._brief(work, [each for each in partners if work.shard.knows(each.slug)])
            work.stir()

    async def _finish(self, loops: Sequence["asyncio.Task[None]"], writing: "asyncio.Task[None]") -> None:
        self._is_stopping = True
        for task in loops:
            task.cancel()
        await asyncio.wait(loops)
        await self._courier.rest(self._works.values(), _GRACE_SECONDS)
        await self._courier.give_up(self._works.values())
        for work in self._works.values():
            work.shard.keep_waiting()
        self._writer.stop()
        await asyncio.wait([writing], timeout=_GRACE_SECONDS)
        if not writing.done():
            writing.cancel()  # the database is away: what it did not take repeats after the next start
            return
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                await self._parts.leases.release(landing=self._courier.landing)
        except (TimeoutError, AwayError) as error:
            _log.warning("relay.leases_not_released", error=type(error).__name__)

    # Who is who

    def _moment(self) -> Moment:
        return Moment(self._clock(), int(asyncio.get_running_loop().time() * 1_000))

    def _may_send(self, now: int) -> bool:
        """Not after our leases must have run out: another relay may be sending by then."""
        moment = Moment(now, self._moment().ticks)
        return not (moment.is_past(self._held_until) or self._is_stopping or self._parts.doubt())

    def _is_at_work(self, work: Work) -> bool:
        return self._works.get(work.shard.lease.shard) is work

    def _at_work(self) -> list[tuple[Shard, Callable[[], None]]]:
        return [] if self._parts.doubt() else [(work.shard, work.stir) for work in self._works.values()]
