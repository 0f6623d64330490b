"""What attempts leave behind in SQL beside rows and evidence: excerpts of answers, and breakers.

Written in the relay's tick.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Exists, delete, insert, select
from sqlmodel import Session, col

from audit.bulk import insert_new_rows
from audit.holds import is_held_anywhere
from gateway.egress.breaker import Breaker
from gateway.egress.breakers import CLOSED
from gateway.egress.delivery import Attempt
from gateway.egress.rows import AttemptRow, BreakerRow

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The first bytes of an answer, of the attempt of this id; `at`: when the attempt began."""

    attempt: str
    endpoint: str
    ref: bytes
    at: int
    answer: bytes = field(repr=False)


def excerpt_of(attempt: Attempt) -> Excerpt | None:
    """What is kept of an attempt's answer; None where the body was empty, or there was no answer."""
    if not attempt.answer.excerpt:
        return None
    delivery = attempt.delivery
    return Excerpt(attempt.id, delivery.endpoint, delivery.ref, attempt.at, attempt.answer.excerpt)


def write_excerpts(session: Session, excerpts: Sequence[Excerpt]) -> None:
    """Keep excerpts."""
    rows = [
        {
            "id": one.attempt,
            "endpoint": one.endpoint,
            "ref": one.ref,
            "at": one.at,
            "excerpt": one.answer,
        }
        for one in sorted(excerpts, key=lambda one: one.attempt)
    ]
    insert_new_rows(session, AttemptRow, rows)


def load_excerpts(session: Session, endpoint: str, ref: bytes) -> Mapping[str, bytes]:
    """The excerpts of one delivery's attempts, by their ids."""
    query = select(col(AttemptRow.id), col(AttemptRow.excerpt)).where(
        col(AttemptRow.ref) == ref, col(AttemptRow.endpoint) == endpoint
    )
    return {found.id: found.excerpt for found in session.execute(query)}


def purge_excerpts(session: Session, *, before: int) -> int:
    """Forget some excerpts of attempts before this time, that no legal hold is on; how many."""
    old = select(col(AttemptRow.id)).where(col(AttemptRow.at) < before, ~_is_held()).limit(_CHUNK)
    # What an erasure works on stays for another round; nobody is waited for.
    ids = session.execute(old.with_for_update(skip_locked=True)).scalars().all()
    if ids:
        session.execute(delete(AttemptRow).where(col(AttemptRow.id).in_(ids)))
    return len(ids)


def _is_held() -> Exists:
    """An excerpt does not say whose it is: it is kept for any hold on its time."""
    return is_held_anywhere(col(AttemptRow.ref), col(AttemptRow.at)).correlate(AttemptRow)


def write_breakers(session: Session, breakers: Sequence[tuple[str, Breaker]]) -> None:
    """Keep breakers as they are now; one that is closed has no row."""
    forget_breakers(session, [endpoint for endpoint, _ in breakers])
    rows = [
        {
            "endpoint": endpoint,
            "failures": one.failures,
            "probe_at": one.probe_at,
            "failing_since": one.failing_since,
        }
        for endpoint, one in breakers
        if one != CLOSED
    ]
    if rows:
        session.execute(insert(BreakerRow), rows)


def forget_breakers(session: Session, endpoints: Iterable[str]) -> None:
    """Nothing is known of these endpoints any more."""
    wanted = list(endpoints)
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        session.execute(delete(BreakerRow).where(col(BreakerRow.endpoint).in_(some)))


def load_failing(session: Session, among: Sequence[str] | None = None) -> dict[str, int]:
    """The endpoints of which no attempt succeeds, each with since when, in Unix milliseconds.

    `among`: ids, at most a page of them; None: of all endpoints.
    """
    since = col(BreakerRow.failing_since)
    query = select(col(BreakerRow.endpoint), since).where(since.is_not(None))
    if among is not None:
        query = query.where(col(BreakerRow.endpoint).in_(among))
    return {found[0]: int(found[1]) for found in session.execute(query)}


def load_breakers(session: Session) -> dict[str, Breaker]:
    """Of all endpoints whose last answer was no 2xx."""
    columns = (
        col(BreakerRow.endpoint),
        col(BreakerRow.failures),
        col(BreakerRow.probe_at),
        col(BreakerRow.failing_since),
    )
    return {found[0]: Breaker(*found[1:]) for found in session.execute(select(*columns))}
