"""Works erasures off, and takes evidence away that is past its time: one step a transaction.

A process that dies loses the step that it was at, and nothing else: see `gateway.erasing.steps`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sqlmodel import Session

from audit import expiry
from audit.evidence import Kind
from gateway.administration.evidence import Author, Scribe
from gateway.catalog import Catalog
from gateway.database import Database
from gateway.erasing import store
from gateway.erasing.job import Means
from gateway.erasing.steps import work_off
from gateway.errors import AwayError
from gateway.logs import logger
from gateway.waits import rest
from partners.contract import Keep
from partners.keeping import agreed

DAY_MS: Final = 86_400_000
OURSELVES: Final = Author("gateway", None)

_ENTRIES: Final = 500
"""Entries that one step looks at for what is past its time."""

_LOOK_SECONDS: Final = 1.0
_EXPIRY_SECONDS: Final = 60.0


@dataclass(slots=True, kw_only=True, eq=False)
class Eraser:
    """See the module. `claims_ms`: how long repeats are recognised: as long, receipts hold their evidence."""

    database: Database
    catalog: Catalog
    scribe: Scribe
    means: Means
    clock: Callable[[], int]
    claims_ms: int
    _not_before: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`."""
        loop = asyncio.get_running_loop()
        expire_at = loop.time()
        while not stop.is_set():
            is_more = await self._tried(self.step, loop.time())
            if loop.time() >= expire_at:
                is_due = await self._tried(self.expire, loop.time())
                expire_at = loop.time() + (0 if is_due else _EXPIRY_SECONDS)
                is_more |= is_due
            await rest(stop, 0.01 if is_more else _LOOK_SECONDS)

    async def _tried(self, work: Callable[[], Awaitable[bool]], now: float) -> bool:
        """Do some of one kind of work. A mistake of ours ends neither the program nor the other kind."""
        if now < self._not_before.get(work.__name__, 0.0):
            return False
        try:
            return await work()
        except AwayError:
            return False
        except Exception:  # noqa: BLE001 - whatever it was, it is tried again, and said each time
            logger("gateway.erasing").exception("erasing failed", work=work.__name__)
            self._not_before[work.__name__] = now + _EXPIRY_SECONDS
            return False

    async def step(self) -> bool:
        """Do a step of an erasure; whether there may be more.

        Raises:
            AwayError: the database is away.
        """
        now = self.clock()
        if not await self.database.read(lambda session: store.is_due(session, now=now)):
            return False
        return await self.database.write(lambda session: self._step(session, now))

    def _step(self, session: Session, now: int) -> bool:
        is_done = work_off(session, self.scribe, self.means, now=now)
        self.means.step("erasure.1.erased")
        return is_done

    async def expire(self) -> bool:
        """Take some evidence away that is past its time; whether there may be more.

        Raises:
            AwayError: the database is away.
        """
        now = self.clock()
        terms = self._terms()
        before = {log: self._before(kept, now) for log, (_, kept) in terms.items()}
        for log in await self.database.read(lambda session: expiry.due_logs(session, before)):
            if await self.database.write(partial(self._expire, log=log, slug=terms[log][0], now=now)):
                return True
        return False

    def _before(self, kept_days: int, now: int) -> int:
        return now - max(kept_days * DAY_MS, self.claims_ms)

    def _expire(self, session: Session, *, log: str, slug: str, now: int) -> bool:
        """One step in one log; False: somebody else is at it. What is agreed at this moment decides."""
        keep = agreed(session, [slug]).get(slug)
        if keep is None:
            return False
        kept = _kept_days(keep)
        before = self._before(kept, now)
        done = expiry.step(session, log, before=before, now=now, limit=_ENTRIES)
        if done is not None and done.ranges:
            members = {
                "partner": slug,
                "origin": done.origin,
                "ranges": [{"from": first, "to": end} for first, end in done.ranges],
                "entries": done.entries,
                "before": before,
                "keep_days": kept,
            }
            self.scribe.say(session, log, Kind.EXPIRED, members, OURSELVES, now=now)
        return done is not None

    def _terms(self) -> Mapping[str, tuple[str, int]]:
        """Of each partner's log: whose it is, and for how many days evidence is kept, at least as content."""
        directory = self.catalog.current.directory
        return {
            f"{self.means.log_host}/log/{partner.log}": (
                partner.slug,
                _kept_days(contract.keep),
            )
            for partner in directory.partners()
            if (contract := directory.contract(partner.slug)) is not None
        }


def _kept_days(keep: Keep) -> int:
    """Evidence is kept at least as long as content."""
    return max(keep.evidence_days, keep.content_days)
