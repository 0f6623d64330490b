"""What is asked for is made a job, and one step of a job is done: each in the caller's transaction.

A job walks over its events, `AT_ONCE` a step. What the log has not got all of makes it walk once more, soon;
what is held, once a hold is lifted. Two minutes after its end it walks a last time, for what was under way:
an event that was erased costs a look then. Killed between two steps, the next one begins where the last one
was committed.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sqlmodel import Session

from audit import erasure, holds
from gateway.administration.evidence import Scribe
from gateway.erasing import store
from gateway.erasing.event import Fate, Order, erase_events, erase_places, look
from gateway.erasing.job import (
    AGAIN_MS,
    AT_ONCE,
    MOST_OPEN,
    SOON_MS,
    Counts,
    Erasure,
    Means,
    Place,
    Wish,
)
from gateway.errors import BugError, CallerError
from gateway.ingress.unsequenced import is_any_unsequenced
from partners import store as partners
from partners.errors import NotFoundError
from partners.partner import Partner

_WINDOW: Final = 100
"""Of a time, that a last walk looks at in one step: hardly any has to be erased."""


def begin(
    session: Session, scribe: Scribe, partner: Partner, asked: tuple[str, Wish], means: Means, *, now: int
) -> Erasure:
    """Make an erasure: its id, and what it is to do. A few events are erased before it is answered.

    Raises:
        NotFoundError: none of the events is there.
        CallerError: `held`: a hold is on one of them, and it is not to wait; `limit_reached`.
    """
    erasure_id, wish = asked
    partners.lock(session)
    if store.count_open(session, partner.slug) >= MOST_OPEN:
        text = f"{MOST_OPEN} erasures of this partner are worked on, as many as there may be."
        raise CallerError("limit_reached", text, hint="Wait until one of them has ended.")
    counts = survey(session, partner, (erasure_id, wish), means)
    job = store.create(session, erasure_id, wish, counts, now=now)
    if wish.refs and len(wish.refs) <= AT_ONCE:
        return advance(session, scribe, job, partner, means, now=now)
    return replace(job, counts=counts)


def survey(session: Session, partner: Partner, asked: tuple[str, Wish], means: Means) -> Counts:
    """How many events there are, and how many of them are held. Raises as `begin`."""
    erasure_id, wish = asked
    order = _order(erasure_id, wish, partner, means)
    if not wish.refs:
        span = (wish.since or 0, wish.until or 0)
        total = erasure.count_spots(session, order.log, *span)
        return Counts(total=total, held=_count_held(session, order.log, span, total))
    fates: dict[bytes, Fate] = {}
    for start in range(0, len(wish.refs), AT_ONCE):
        fates |= look(session, order, wish.refs[start : start + AT_ONCE]).fates
    words = Counter(fate.word for fate in fates.values())
    if words["absent"] == len(fates):
        raise NotFoundError("none of these events is there")
    held = sorted({fate.hold for fate in fates.values() if fate.hold is not None})
    if held and not wish.may_wait:
        raise CallerError(
            "held",
            f"{words['held']} of {len(fates)} events are under a legal hold: {', '.join(held[:10])}. Nothing "
            "was erased.",
            hint="Lift the hold first; or say when_held: wait, and they are erased once it is lifted.",
            members={"holds": held},
        )
    return Counts(len(fates), held=words["held"], absent=words["absent"], pending=words["pending"])


def work_off(session: Session, scribe: Scribe, means: Means, *, now: int) -> bool:
    """Do one step of the job whose turn it is; whether there was one."""
    job = store.take_due(session, now=now)
    if job is None:
        return False
    account = partners.partner(session, job.wish.partner)
    if account is None:
        raise BugError(f"erasure {job.id}: partners are never deleted, and {job.wish.partner} is gone")
    advance(session, scribe, job, account[0], means, now=now)
    return True


def advance(
    session: Session, scribe: Scribe, job: Erasure, partner: Partner, means: Means, *, now: int
) -> Erasure:
    """Do one step."""
    order = _order(job.id, job.wish, partner, means)
    walk = _over_refs if job.wish.refs else _over_time
    words, place, looked_at = walk(session, scribe, order, job, now=now)
    job = replace(job, counts=_added(job, words, looked_at), place=place)
    if place is not None:
        store.save(session, job, next_at=now)
        return job
    return _end_walk(session, job, order, now=now)


def _added(job: Erasure, words: Counter[str], looked_at: int) -> Counts:
    """The counts after a step; those of the walk begin anew with it, and the last walk counts nothing."""
    before = job.counts
    if job.ended_at is not None:
        return before
    if job.place is None:
        before = replace(before, done=0, held=0, absent=0, pending=0)
    return Counts(
        total=max(before.total, before.done + looked_at),
        done=before.done + looked_at,
        erased=before.erased + words["erased"],
        held=before.held + words["held"],
        absent=before.absent + words["absent"],
        pending=before.pending + words["pending"],
    )


def _end_walk(session: Session, job: Erasure, order: Order, *, now: int) -> Erasure:
    """All was looked at: it is done, or walks again."""
    counts, is_over = job.counts, job.ended_at is not None
    if not is_over and (counts.pending or _is_early(session, job, order)):
        store.save(session, job, next_at=now + SOON_MS)
    elif is_over:
        job = replace(job, again_at=None)
        store.save(session, job, next_at=None)
    elif counts.held:
        job = replace(job, state="held")
        store.save(session, job, next_at=None)
    else:
        job = replace(job, state="done", ended_at=now, again_at=now + AGAIN_MS)
        store.save(session, job, next_at=None)
    return job


def _is_early(session: Session, job: Erasure, order: Order) -> bool:
    """Whether events of the time are accepted that the log has not got yet."""
    wish = job.wish
    span = (wish.since or 0, wish.until or 0)
    return not wish.refs and is_any_unsequenced(session, order.partner.slug, *span)


Walked = tuple[Counter[str], Place | None, int]
"""What became of how many, where to go on (None: at the end), and how many were looked at."""


def _over_refs(session: Session, scribe: Scribe, order: Order, job: Erasure, *, now: int) -> Walked:
    start = 0 if job.place is None else job.place[0]
    some = job.wish.refs[start : start + AT_ONCE]
    fates = erase_events(session, scribe, order, some, now=now)
    end = start + len(some)
    return _count(fates.values()), (end,) if end < len(job.wish.refs) else None, len(some)


def _over_time(session: Session, scribe: Scribe, order: Order, job: Erasure, *, now: int) -> Walked:
    wish, after = job.wish, job.place
    since, until = wish.since or 0, wish.until or 0
    limit = AT_ONCE if job.ended_at is None else _WINDOW
    spots = erasure.spots(session, order.log, since, until, after=after, limit=limit)
    refs = list(dict.fromkeys(ref for ref, _ in spots if ref is not None))
    fates = erase_events(session, scribe, order, refs, now=now) if refs else {}
    alone = [place for ref, place in spots if ref is None]
    others = erase_places(session, scribe, order, alone, now=now) if alone else []
    following = None if len(spots) < limit else spots[-1][1]
    return _count([*fates.values(), *others]), following, len(spots)


def _count(fates: Iterable[Fate]) -> Counter[str]:
    return Counter(fate.word for fate in fates)


def _count_held(session: Session, log: str, span: tuple[int, int], total: int) -> int:
    """Of the events of a time; what a hold names and what it covers by its time may be counted twice."""
    free = holds.free_spans(holds.in_force(session, log), span[1])
    parts = [(max(since, span[0]), until) for since, until in free if until > span[0]]
    return total - sum(erasure.count_spots(session, log, since, until) for since, until in parts)


def _order(erasure_id: str, wish: Wish, partner: Partner, means: Means) -> Order:
    return Order(erasure_id, partner, wish.basis, wish.by, means.log_host)
