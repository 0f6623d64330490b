"""What a shorter `keep` takes away for good: said with the plan, in events, before anything goes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import func, select
from sqlmodel import Session, col

from audit.expiry import count_events
from gateway.rows import ClaimRow
from partners.contract import Keep
from partners.partner import Partner
from partners.plan import Difference

MOST: Final = 10_000
"""Events that are counted."""

_DAY_MS: Final = 86_400_000
_KEEP: Final = "keep"


def tell_shortened(
    session: Session,
    differences: Sequence[Difference],
    keeps: tuple[Keep, Keep],
    partner: Partner,
    host: str,
    *,
    now: int,
) -> tuple[Difference, ...]:
    """The differences, that of `keep` with how many events lose something by it within a minute or so.

    `keeps`: before and after. `host`: what names of logs begin with. `now`: Unix milliseconds. What a legal
    hold is on stays, and is counted all the same. Nothing is asked where nothing is kept for a shorter time.
    """
    return tuple(
        replace(one, words="; ".join((one.words, *_losses(session, keeps, partner, host, now))))
        if one.section == _KEEP and one.is_destructive
        else one
        for one in differences
    )


def _losses(
    session: Session, keeps: tuple[Keep, Keep], partner: Partner, host: str, now: int
) -> Iterator[str]:
    was, now_kept = keeps
    if now_kept.content_days < was.content_days:
        span = now - was.content_days * _DAY_MS, now - now_kept.content_days * _DAY_MS
        yield f"the content of {_told(_contents(session, partner.slug, *span))} goes"
    if now_kept.evidence_days < was.evidence_days:
        # Evidence is kept as long as the content that it is of, at least.
        days = [max(one.evidence_days, one.content_days) for one in (was, now_kept)]
        since, until = (now - each * _DAY_MS for each in days)
        log = f"{host}/log/{partner.log}"
        yield f"the evidence of {_told(count_events(session, log, since, until, most=MOST + 1))} goes"


def _contents(session: Session, partner: str, since: int, until: int) -> int:
    row = ClaimRow
    mine = (
        col(row.partner) == partner,
        col(row.at) >= since,
        col(row.at) < until,
        col(row.content).is_not(None),
    )
    some = select(col(row.ref)).where(*mine).limit(MOST + 1).subquery()
    return int(session.execute(select(func.count()).select_from(some)).scalar_one())


def _told(count: int) -> str:
    if count > MOST:
        return f"more than {MOST} events"
    return f"{count or 'no'} event{'' if count == 1 else 's'}"
