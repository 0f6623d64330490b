"""Nothing grows for ever: claims and content are dropped once their time is over.

A claim goes only when it is confirmed and sequenced: until then it is what makes one event one event. It
also stays as long as the content as received, which it holds and its receipt promises to keep. Parked
deliveries go with the content they hold, nonces with the signatures that bore them, requests under a key
after a day. What is left of an erased event, its tombstone, stays as long as a contract ever had topics keep
their records. Topics are cut by the broker itself; log entries stay, and their evidence goes with its own
time (`gateway.erasing.worker`). What a legal hold is on stays, however old it is.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlmodel import Session, col

from audit.holds import free_spans, guard, in_force, is_named
from gateway import facts
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
from partners.holding import longest_seconds
from partners.keeping import agreed

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
            # As an erasure goes: logs and claims, then deliveries and what was answered, then requests.
            # Those of contracts that were applied by a former program, too.
            held = facts.raise_to(session, facts.LONGEST_HOLD, longest_seconds(directory))
            dropped = drop_claims(session, days, now=now, claims_ms=self.claims_ms, held_ms=held * 1_000)
            dropped += purge(session, before=now - self.parked_ms)
            drop_hours(session, now=now)
            dropped += drop_nonces(session, now=now, limit=_LIMIT)
            dropped += drop_looks(session, now=now, limit=_LIMIT)
            dropped += drop_repeats(session, now=now, limit=_LIMIT)
            return dropped + drop_acknowledged(session, before=now - self.claims_ms, limit=_LIMIT)

        return await self.database.write(work) > 0


def agreed_days(session: Session, slugs: Collection[str]) -> Mapping[str, int]:
    """For how many days these partners' content is kept, as their contracts in force say."""
    return {slug: keep.content_days for slug, keep in agreed(session, slugs).items()}


def drop_claims(
    session: Session,
    terms: Mapping[str, Kept],
    *,
    now: int,
    claims_ms: int,
    held_ms: int = 0,
    days_of: Callable[[Session, Collection[str]], Mapping[str, int]] = agreed_days,
) -> int:
    """Drop claims and content that are past their time; of how many claims.

    `terms`: as they were a moment ago, to find what there may be; `days_of`: what is agreed now decides.
    `held_ms`: the claim of an erased event is its tombstone, and stays at least so long.

    Content that is older than its partner's contract keeps it is forgotten, a sequenced claim that is older
    than `claims_ms` too is deleted. The logs are guarded all at once, in their order, so that no hold is set
    until this is done; claims that somebody else works on are left for another round: so nobody waits here
    for what an erasure has, that waits for what is here.
    """
    wishes = [
        replace(one, tombstones_before=now - held_ms)
        for partner, kept in sorted(terms.items())
        for one in _wishes(partner, kept, now, claims_ms)
    ]
    found = [one for one in wishes if _free(session, one)]
    guard(session, [one.log for one in found])
    days = days_of(session, {one.partner for one in found})
    dropped = 0
    for one in (one.agreed(days, now, claims_ms) for one in found if one.partner in days):
        refs = _locked(session, _free(session, one))
        mine = col(ClaimRow.ref).in_(refs)
        session.execute(
            update(ClaimRow).where(mine).values(content=None)
            if one.is_content
            else delete(ClaimRow).where(mine)
        )
        dropped += len(refs)
    return dropped


@dataclass(frozen=True, slots=True)
class _Wish:
    """Claims of a partner of before a time: their content is to go, or they themselves.

    `tombstones_before`: those of erased events only where they are older than this, too.
    """

    partner: str
    log: str
    before: int
    is_content: bool
    tombstones_before: int = 0

    def agreed(self, days: Mapping[str, int], now: int, claims_ms: int) -> "_Wish":
        """The same, by what is agreed now."""
        content, whole = _wishes(self.partner, Kept(self.log, days[self.partner]), now, claims_ms)
        return replace(content if self.is_content else whole, tombstones_before=self.tombstones_before)

    @property
    def wanted(self) -> ColumnElement[bool]:
        """Those that there is something to do about."""
        if self.is_content:
            return and_(col(ClaimRow.content).is_not(None), col(ClaimRow.state) == "confirmed")
        is_over = or_(col(ClaimRow.state) != "erased", col(ClaimRow.at) < self.tombstones_before)
        return and_(col(ClaimRow.leaf_index).is_not(None), is_over)


def _wishes(partner: str, kept: Kept, now: int, claims_ms: int) -> tuple[_Wish, _Wish]:
    content_ms = kept.days * DAY_MS
    return (
        _Wish(partner, kept.log, now - content_ms, is_content=True),
        _Wish(partner, kept.log, now - max(claims_ms, content_ms), is_content=False),
    )


def _locked(session: Session, refs: Sequence[bytes]) -> Sequence[bytes]:
    """Those of these claims that nobody else works on now; nobody does until the transaction ends."""
    query = select(col(ClaimRow.ref)).where(col(ClaimRow.ref).in_(refs)).order_by(col(ClaimRow.ref))
    return session.execute(query.with_for_update(skip_locked=True)).scalars().all() if refs else []


def _free(session: Session, wish: _Wish) -> Sequence[bytes]:
    """Some of them that no hold is on; of times that are held no claim is looked at."""
    found: list[bytes] = []
    for since, until in free_spans(in_force(session, wish.log), wish.before):
        at = col(ClaimRow.at)
        mine = col(ClaimRow.partner) == wish.partner, at >= since, at < until, wish.wanted
        query = select(col(ClaimRow.ref)).where(*mine, ~is_named(col(ClaimRow.ref), wish.log)).order_by(at)
        found += session.execute(query.limit(_LIMIT - len(found))).scalars()
        if len(found) >= _LIMIT:
            break
    return found
