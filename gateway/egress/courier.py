"""Sends what the lanes of a shard have to send; as many tasks as the lanes allow."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.database import Database
from gateway.egress.bodies import Bodies
from gateway.egress.delivery import Attempt, Delivery
from gateway.egress.posting import Poster
from gateway.egress.reading_on import ReadingOn
from gateway.egress.shard import Shard
from gateway.egress.turnstile import Turnstile
from gateway.errors import AwayError, SealError
from gateway.leases import Lease
from gateway.logs import logger
from gateway.standard_webhooks import WebhookSecretError

_AGAIN_MS: Final = 200
_IDLE_MS: Final = 30_000
"""Lanes that have nothing are asked again when their shard is stirred; and so seldom, whatever happens."""

_SOON_MS: Final = 1_000
_LATER_MS: Final = 60_000
_LOOK_SECONDS: Final = 0.02
_END_SECONDS: Final = 3.0

_log = logger(__name__)


@dataclass(eq=False, slots=True)
class Work:
    """A shard at work: `wake` says that its lanes should be asked again; `posts` are under way.

    `stirred` is called whenever the shard may have decided something. `granted`: retries that may be taken.
    """

    shard: Shard
    stirred: Callable[[], None] = lambda: None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    posts: int = 0
    granted: int = 0

    def stir(self) -> None:
        """Something is different: lanes may have something to send, and decisions may be there to write."""
        self.wake.set()
        self.stirred()


class Courier:
    """Asks lanes, posts, settles.

    `retried` is called after each POST of a delivery that came from a row, before anything is made of it;
    `observe` gets each attempt. `may_send`: whether our leases still stand at this moment.
    """

    def __init__(
        self,
        database: Database,
        poster: Poster,
        clock: Callable[[], int],
        *,
        retried: Callable[[], None],
        observe: Callable[[Attempt], None],
        may_send: Callable[[int], bool],
    ) -> None:
        self._bodies = Bodies(database)
        self._reading_on = ReadingOn(database, clock)
        self._poster = poster
        self._clock = clock
        self._retried = retried
        self._observe = observe
        self._may_send = may_send
        self._left: dict[int, int] = {}
        self._inherited: dict[int, int] = {}
        self.turnstile = Turnstile()

    async def attend(self) -> None:
        """Read rows and bodies, and let retries begin, until cancelled; beside `run` of any shard."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._bodies.run())
            group.create_task(self._reading_on.run())
            group.create_task(self.turnstile.run())

    async def run(self, work: Work) -> None:
        """Until cancelled, which cancels the POSTs under way."""
        async with asyncio.TaskGroup() as posts:
            while True:
                work.wake.clear()
                now = self._clock()
                wake_at = now + _AGAIN_MS
                if self._may_send(now):
                    granted, work.granted = work.granted, 0
                    taken, asked = work.shard.take(now, retries=granted)
                    wake_at = min(now + _IDLE_MS, asked)
                    self.turnstile.note_ahead(sum(one.attempts > 0 for one in taken) - granted)
                    if work.shard.is_withholding:
                        self.turnstile.join(work)
                    if work.shard.is_lacking:
                        self._reading_on.join(work)
                    self._begin(posts, work, taken, granted)
                try:
                    async with asyncio.timeout(max(1, wake_at - now) / 1000):
                        await work.wake.wait()
                except TimeoutError:
                    continue

    def leave(self, work: Work) -> None:
        """Begin nothing more for a shard, and give up the POSTs under way; these may land all the same."""
        if work.posts:
            self._note_landing(work.shard.lease.shard)
        if work.task is not None:
            work.task.cancel()

    def quiet_until(self, lease: Lease) -> int:
        """Until when POSTs of before may still land, a former owner's or ours: what keeps its order waits."""
        if lease.is_inherited and self._inherited.get(lease.shard) != lease.epoch:
            # Once: it stays inherited for as long as it is ours.
            self._inherited[lease.shard] = lease.epoch
            self._note_landing(lease.shard)
        return self._left.get(lease.shard, 0)

    @property
    def landing(self) -> frozenset[int]:
        """Shards of which a POST of before may still land: whoever has one next is to know that."""
        now = self._clock()
        self._left = {shard: until for shard, until in self._left.items() if now < until}
        return frozenset(self._left)

    def _note_landing(self, shard: int) -> None:
        self._left[shard] = self._clock() + self._poster.deadline_ms

    async def rest(self, works: Iterable[Work], seconds: float) -> None:
        """Wait for the POSTs under way, but not longer."""
        waiting = list(works)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    if not any(work.posts for work in waiting):
                        return
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            _log.warning("relay.posts_cancelled", posts=sum(work.posts for work in waiting))

    async def give_up(self, works: Iterable[Work]) -> None:
        """Leave all of these, and wait until nothing is under way: what was heard by then is written."""
        waiting = list(works)
        for work in waiting:
            self.leave(work)
        if tasks := [work.task for work in waiting if work.task is not None]:
            await asyncio.wait(tasks, timeout=_END_SECONDS)

    def _begin(self, posts: asyncio.TaskGroup, work: Work, taken: Sequence[Delivery], granted: int) -> None:
        """Send; the first retries, as many as were granted, one by one."""
        work.posts += len(taken)
        evenly: list[Delivery] = []
        at_once: list[Delivery] = []
        for delivery in taken:
            is_granted = delivery.attempts > 0 and len(evenly) < granted
            (evenly if is_granted else at_once).append(delivery)
        if any(one.body is not None for one in at_once):
            self.turnstile.note_new()
        for some, is_evenly in ((at_once, False), (evenly, True)):
            for delivery in some:
                if delivery.body is not None:
                    posts.create_task(self._post(work, delivery, delivery.body, evenly=is_evenly))
            if saved := [one for one in some if one.body is None]:
                posts.create_task(self._post_saved(posts, work, saved, evenly=is_evenly))

    async def _post_saved(
        self, posts: asyncio.TaskGroup, work: Work, saved: Sequence[Delivery], *, evenly: bool
    ) -> None:
        """Post what lies in rows."""
        try:
            with self.turnstile.loading(len(saved) if evenly else 0):
                bodies = await self._bodies.of([(one.endpoint, one.ref) for one in saved])
        except AwayError:
            for one in saved:
                work.shard.lanes[one.endpoint].give_back(one, self._clock() + _SOON_MS)
            work.posts -= len(saved)
            work.stir()
            return
        for one in saved:
            body = bodies.get((one.endpoint, one.ref))
            posts.create_task(self._post(work, one, body, evenly=evenly))

    async def _post(self, work: Work, delivery: Delivery, body: bytes | None, *, evenly: bool) -> None:
        shard = work.shard
        lane = shard.lanes[delivery.endpoint]
        try:
            if evenly:
                await self.turnstile.pass_through()
            skip = lane.skip_of(delivery)
            if self._poster.is_erased(delivery):
                shard.forget(delivery)
                return
            if skip is not None:
                shard.give_up(delivery, skip, self._clock())
                return
            if body is None:
                shard.forget(delivery)
                return
            now = self._clock()
            # Its body, or its turn, may have taken longer than our lease lasts, or its endpoint takes none.
            if not self._may_send(now) or (evenly and not lane.may_begin(now)):
                lane.give_back(delivery, self._clock() + _SOON_MS)
                return
            attempt = await self._poster.post(lane, delivery, body)
            if delivery.body is None:
                self._retried()
            shard.settle(attempt, self._clock())
            self._observe(attempt)
        except (SealError, WebhookSecretError) as error:
            _log.error("relay.secret_unusable", endpoint=delivery.endpoint, code=error.code)
            lane.give_back(delivery, self._clock() + _LATER_MS)
        finally:
            work.posts -= 1
            work.stir()
