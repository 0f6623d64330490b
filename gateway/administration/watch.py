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
from gateway.rows import UsageRow
from gateway.waits import rest
from partners.credential import Credential
from partners.directory import Directory

DAYS_BEFORE: Final = (14, 1)
"""How long before its end a credential's partner is told, each once."""

NEAR: Final = 0.8
"""The part of a daily limit from which on its partner is told."""

LATE_MS: Final = 60_000
"""A checkpoint that lacks entries for so long is late."""

_ROUND_SECONDS: Final = 15.0
_DAY_MS: Final = 86_400_000
_AT_ONCE: Final = 100


@dataclass(slots=True, kw_only=True, eq=False)
class Watch:
    """A role of whoever takes events. `clock`: Unix milliseconds."""

    database: Database
    catalog: Catalog
    clock: Callable[[], int]
    _told: set[tuple[str, str]] = field(default_factory=set, init=False, repr=False)
    _behind: dict[tuple[str, int], int] = field(default_factory=dict, init=False, repr=False)

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
        usage, heads = await self.database.read(lambda session: (_usage(session, now), _heads(session)))
        found = [
            *_expiring(directory, now),
            *_near(directory, usage, now),
            *self._late(directory, heads, now),
        ]
        new = {(one.partner, one.id): one for one in found if (one.partner, one.id) not in self._told}
        # What is seen no more need not be remembered: it is in the claims.
        self._told &= {(one.partner, one.id) for one in found}
        names = sorted(new)
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            await self.database.write(partial(_announce, told=[new[name] for name in some]))
            self._told.update(some)

    def _late(
        self, directory: Directory, heads: Mapping[str, tuple[int, int]], now: int
    ) -> Iterator[Announcement]:
        """Logs whose published checkpoint is the same, and behind, for too long."""
        behind = {(origin, shown): size for origin, (size, shown) in heads.items() if size != shown}
        self._behind = {place: self._behind.get(place, now) for place in behind}
        partners = {one.log: one.slug for one in directory.partners() if one.state != "closed"}
        for (origin, shown), since in self._behind.items():
            partner = partners.get(origin.split("/")[-2])
            if partner is not None and now - since >= LATE_MS:
                size = behind[origin, shown]
                yield happenings.log_checkpoint_late(
                    partner, origin=origin, size=size, published=shown, since=since, now=now
                )


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
