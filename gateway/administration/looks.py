"""Who of our side looks at a partner's content: an entry of that partner's log, before anything is shown.

A look again at the same thing, by the same credential, within an hour has no entry of its own: the first one
says until when it speaks for others. So whoever follows a stream makes one entry an hour, and not one an
event. Where the entry cannot be written, nothing is shown.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import delete, select, text, tuple_
from sqlmodel import Session, col

from audit.ref import format_ref
from gateway.administration.evidence import Author, Scribe, Seen
from gateway.database import Database
from gateway.rows import LookRow
from partners.partner import Partner

WINDOW_MS: Final = 3_600_000
"""For so long an entry speaks for looks at the same thing by the same credential."""

_KNOWN: Final = 10_000
_TAKE: Final = text(
    "INSERT INTO gateway_look (credential, partner, subject, until)"
    " VALUES (:credential, :partner, :subject, :until)"
    " ON CONFLICT (credential, partner, subject) DO UPDATE SET until = excluded.until"
    " WHERE gateway_look.until <= :now RETURNING until"
)


@dataclass(frozen=True, slots=True)
class Look:
    """What is looked at. `route`: method and path of the route table; `ref`: None: many events."""

    route: str
    ref: bytes | None = None

    @property
    def subject(self) -> str:
        """What tells it from other looks."""
        return self.route if self.ref is None else f"{self.route} {format_ref(self.ref)}"


@dataclass(slots=True, eq=False)
class Looks:
    """See the module. `clock`: Unix milliseconds."""

    database: Database
    scribe: Scribe
    clock: Callable[[], int]
    _until: dict[tuple[str, str, str], int] = field(default_factory=dict, init=False)

    async def note(self, partner: Partner, look: Look, *, by: Author) -> None:
        """See to it that the partner's log tells of this look; to be awaited before anything is shown.

        Raises:
            StoreError, OverloadedError: the database is away or busy: show nothing.
        """
        now = self.clock()
        key = (by.credential or by.role, partner.slug, look.subject)
        if self._until.get(key, 0) > now:
            return
        until = await self.database.write(lambda session: self._enter(session, partner, look, by, now))
        if len(self._until) >= _KNOWN:
            self._until = {each: at for each, at in self._until.items() if at > now}
        if len(self._until) < _KNOWN:
            self._until[key] = until

    def _enter(self, session: Session, partner: Partner, look: Look, by: Author, now: int) -> int:
        """Until when an entry speaks: one that is made here, or another process has made."""
        until = now + WINDOW_MS
        key = {"credential": by.credential or by.role, "partner": partner.slug, "subject": look.subject}
        if session.execute(_TAKE, {**key, "until": until, "now": now}).first() is not None:
            self.scribe.look(session, partner, Seen(look.route, look.ref, until), by, now=now)
            return until
        row = session.get(LookRow, (key["credential"], key["partner"], key["subject"]))
        return now if row is None else row.until


def drop_looks(session: Session, *, now: int, limit: int) -> int:
    """Forget some of those that speak for nothing any more; how many."""
    key = (col(LookRow.credential), col(LookRow.partner), col(LookRow.subject))
    old = select(*key).where(col(LookRow.until) < now - WINDOW_MS)
    rows = session.execute(old.order_by(col(LookRow.until)).limit(limit)).all()
    if rows:
        session.execute(delete(LookRow).where(tuple_(*key).in_([tuple(row) for row in rows])))
    return len(rows)
