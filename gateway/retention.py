"""Nothing grows for ever: claims and content are dropped once their time is over.

A claim goes only when it is confirmed and sequenced: until then it is what makes one event one event. It
also stays as long as the content as received, which it holds and its receipt promises to keep. Parked
deliveries go with the content they hold, nonces with the signatures that bore them, requests under a key
after a day. Topics are cut by the broker itself; log entries stay, and their evidence goes with its own time
(`gateway.erasing.worker`). What a legal hold is on stays, however old it is.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlmodel import Session, col

from audit.holds import free_spans, guard, in_force, is_named
from gateway.acknowledging import drop_acknowledged
from gateway.administration.looks import drop_looks
from gateway.administration.repeats import drop_repeats
from gateway.auth.nonces import drop_nonces
from gateway.catalog import Catalog
from gateway.database import Database
from gateway.egress.deliveries import purge
from gateway.egress.health import drop_hours
from gateway.errors import AwayError
from gateway.rows import ClaimRow
from gateway.waits import rest

DAY_MS = 86_400_000
_LIMIT = 500
"""Rows a transaction: the writer is never held for long."""


@dataclass(frozen=True, slots=True)
class Kept:
    """For how many days the content of a partner is kept; and its log, which knows what is held."""

    log: str
    days: int


@dataclass(slots=True, kw_only=True, eq=False)
class Retention:
    """Drops what is past its time.

    `claims_ms`: how long repeats are recognised; `parked_ms`: how long parked deliveries are kept.
    `log_host`: what names of logs begin with.
    """

    database: Database
    catalog: Catalog
    clock: Callable[[], int]
    claims_ms: int
    parked_ms: int
    log_host: str
    pause_seconds: float = 60.0

    async def run(self, stop: asyncio.Event) -> None:
        """Work in small transactions until `stop`."""
        while not stop.is_set():
            is_more = False
            with suppress(AwayError):
                is_more = await self.round()
            await rest(stop, 0.01 if is_more else self.pause_seconds)

    async def round(self) -> bool:
        """Drop some; whether there may be more.

        Raises:
            AwayError: the database is away.
        """
        now = self.clock()
        directory = self.catalog.current.directory
        days = {
            partner.slug: Kept(f"{self.log_host}/log/{partner.log}", contract.keep.content_days)
            for partner in directory.partners()
            if (contract := directory.contract(partner.slug)) is not None
        }

        def work(session: Session) -> int:
            drop_hours(session, now=now)
            dropped = purge(session, before=now - self.parked_ms)
            dropped += drop_nonces(session, now=now, limit=_LIMIT)
            dropped += drop_looks(session, now=now, limit=_LIMIT)
            dropped += drop_repeats(session, now=now, limit=_LIMIT)
            dropped += drop_acknowledged(session, before=now - self.claims_ms, limit=_LIMIT)
            dropped += drop_content(session, days, now=now)
            return dropped + drop_claims(session, days, now=now, claims_ms=self.claims_ms)

        return await self.database.write(work) > 0


def drop_claims(session: Session, terms: Mapping[str, Kept], *, now: int, claims_ms: int) -> int:
    """Delete sequenced claims older than `claims_ms`, and than their partner's content is kept; how many."""
    dropped = 0
    for partner, kept in sorted(terms.items()):
        before = now - max(claims_ms, kept.days * DAY_MS)
        is_logged = col(ClaimRow.leaf_index).is_not(None)
        if refs := _old(session, partner, kept.log, before, is_logged):
            session.execute(delete(ClaimRow).where(col(ClaimRow.ref).in_(refs)))
            dropped += len(refs)
    return dropped


def drop_content(session: Session, terms: Mapping[str, Kept], *, now: int) -> int:
    """Forget content as received that is older than its partner's contract keeps it; of how many claims."""
    dropped = 0
    for partner, kept in sorted(terms.items()):
        is_there = and_(col(ClaimRow.content).is_not(None), col(ClaimRow.state) == "confirmed")
        if refs := _old(session, partner, kept.log, now - kept.days * DAY_MS, is_there):
            session.execute(update(ClaimRow).where(col(ClaimRow.ref).in_(refs)).values(content=None))
            dropped += len(refs)
    return dropped


def _old(
    session: Session, partner: str, log: str, before: int, wanted: ColumnElement[bool]
) -> Sequence[bytes]:
    """Some claims of before a time that no hold is on; where there are any, none is set until we are done."""
    if not _free(session, partner, log, before, wanted):
        return []
    guard(session, [log])
    return _free(session, partner, log, before, wanted)


def _free(
    session: Session, partner: str, log: str, before: int, wanted: ColumnElement[bool]
) -> Sequence[bytes]:
    """Of times that are held no claim is looked at."""
    found: list[bytes] = []
    for since, until in free_spans(in_force(session, log), before):
        at = col(ClaimRow.at)
        mine = col(ClaimRow.partner) == partner, at >= since, at < until, wanted
        query = select(col(ClaimRow.ref)).where(*mine, ~is_named(col(ClaimRow.ref), log)).order_by(at)
        found += session.execute(query.limit(_LIMIT - len(found))).scalars()
        if len(found) >= _LIMIT:
            break
    return found
