"""Looks now and then for what nobody decides and partners have to know: what ends, runs out, or is late.

Each is told once (`announcements.announce_once`), by however many processes it is seen.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sqlalchemy import select
from sqlmodel import Session, col

from audit import log as audit_log
from gateway import happenings
from gateway.announcements import Announcement, announce_once
from gateway.catalog import Catalog
from gateway.database import Database
from gateway.errors import AwayError
from gateway.lateness import oldest_waiting
from gateway.rows import UsageRow
from gateway.waits import rest
from partners.credential import Credential
from partners.directory import Directory

DAYS_BEFORE: Final = (14, 1)
"""How long before its end a credential's partner is told, each once."""

NEAR: Final = 0.8
"""The part of a daily limit from which on its partner is told."""

LATE_MS: Final = 60_000
"""What waits for an entry, or a checkpoint that lacks entries, for so long is late."""

_ROUND_SECONDS: Final = 15.0
_DAY_MS: Final = 86_400_000
_AT_ONCE: Final = 100
_MOST_NAMED: Final = 50


@dataclass(slots=True, kw_only=True, eq=False)
class Watch:
    """A role of whoever takes events. `clock`: Unix milliseconds.

    `late_ms`: after which what waits for a log, or for its checkpoint, is late. `late`: which logs are, in
    words for an operator.
    """

    database: Database
    catalog: Catalog
    clock: Callable[[], int]
    late_ms: int = LATE_MS
    late: tuple[str, ...] = field(default=(), init=False)
    _told: set[tuple[str, str]] = field(default_factory=set, init=False, repr=False)
    _behind: dict[tuple[str, int], int] = field(default_factory=dict, init=False, repr=False)
    _waiting: Mapping[str, int] = field(default_factory=dict, init=False, repr=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Look, until `stop`."""
        while not stop.is_set():
            with suppress(AwayError):
                await self.round()
            await rest(stop, _ROUND_SECONDS)

    async def round(self) -> None:
        """Look once.

        Raises:
            AwayError: the database is away.
        """
        directory, now = self.catalog.current.directory, self.clock()
        usage, heads, waiting = await self.database.read(
            lambda session: (_usage(session, now), _heads(session), oldest_waiting(session))
        )
        found = [
            *_expiring(directory, now),
            *_near(directory, usage, now),
            *self._late(directory, heads, self._still(waiting), now),
        ]
        new = {(one.partner, one.id): one for one in found if (one.partner, one.id) not in self._told}
        # What is seen no more need not be remembered: it is in the claims.
        self._told &= {(one.partner, one.id) for one in found}
        names = sorted(new)
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            await self.database.write(partial(_announce, told=[new[name] for name in some]))
            self._told.update(some)

    def _still(self, waiting: Mapping[str, int]) -> Mapping[str, int]:
        """What waited at the look before already: evidence may be old when it is written."""
        before, self._waiting = self._waiting, waiting
        return {log: at for log, at in waiting.items() if before.get(log) == at}

    def _late(
        self,
        directory: Directory,
        heads: Mapping[str, tuple[int, int]],
        waiting: Mapping[str, int],
        now: int,
    ) -> Iterator[Announcement]:
        """Logs that lack entries, or whose published checkpoint is the same, and behind, for too long."""
        behind = {(origin, shown): size for origin, (size, shown) in heads.items() if size != shown}
        self._behind = {place: self._behind.get(place, now) for place in behind}
        late = {place: since for place, since in self._behind.items() if now - since >= self.late_ms}
        for log, at in waiting.items():
            if now - at >= self.late_ms:
                origin = _newest(heads, log)
                place = (origin, heads.get(origin, (0, 0))[1])
                late[place] = min(at, late.get(place, at))
        self.late = tuple(
            f"{origin}: entries wait for {(now - since) // 1_000} s: does a sequencer run, and does it reach "
            "the broker?"
            for (origin, _), since in sorted(late.items())[:_MOST_NAMED]
        )
        partners = {one.log: one.slug for one in directory.partners() if one.state != "closed"}
        for (origin, shown), since in late.items():
            partner = partners.get(origin.split("/")[-2])
            if partner is not None:
                size = heads.get(origin, (0, 0))[0]
                yield happenings.log_checkpoint_late(
                    partner, origin=origin, size=size, published=shown, since=since, now=now
                )


def _newest(heads: Mapping[str, tuple[int, int]], log: str) -> str:
    """The origin of a log in its newest epoch; of one that has none yet, in its first."""
    epochs = [int(origin.rpartition("/")[2]) for origin in heads if origin.rpartition("/")[0] == log]
    return f"{log}/{max(epochs, default=1)}"


def _expiring(directory: Directory, now: int) -> Iterator[Announcement]:
    for partner, credential in _credentials(directory):
        left = credential.not_after - now
        days = [each for each in DAYS_BEFORE if left <= each * _DAY_MS]
        if credential.is_active(now) and days:
            yield happenings.credential_expiring(partner, credential, days=min(days), now=now)


def _credentials(directory: Directory) -> Iterator[tuple[str, Credential]]:
    for credential in directory.all_credentials():
        partner = None if credential.partner is None else directory.partner(credential.partner)
        if partner is not None and partner.state != "closed":
            yield partner.slug, credential


def _near(directory: Directory, usage: Mapping[str, int], now: int) -> Iterator[Announcement]:
    for partner, used in usage.items():
        contract = directory.contract(partner)
        most = None if contract is None else contract.limits.bytes_per_day
        if most is not None and used >= NEAR * most:
            resets_at = (now // _DAY_MS + 1) * _DAY_MS
            yield happenings.quota_near(
                partner, limit="bytes_per_day", most=most, used=used, resets_at=resets_at, now=now
            )


def _usage(session: Session, now: int) -> Mapping[str, int]:
    """Bytes of today by partner."""
    rows = select(col(UsageRow.partner), col(UsageRow.bytes)).where(col(UsageRow.day) == now // _DAY_MS)
    return {partner: int(count) for partner, count in session.execute(rows)}


def _heads(session: Session) -> Mapping[str, tuple[int, int]]:
    """Size of each log, and how much of it a published checkpoint covers."""
    return {one.head.origin: (one.head.size, one.checkpoint_size) for one in audit_log.heads(session)}


def _announce(session: Session, told: list[Announcement]) -> None:
    for one in told:
        announce_once(session, one)
