"""Publishes what is decided and still to be told, through the same steps as any event.

Crash order: the row stands since the decision; our schema is registered; the event is claimed, published and
confirmed as any other; the row is deleted. Killed anywhere, the next round finds the row, and the claim makes
one event of both.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sqlmodel import Session

from gateway import announcements, operational
from gateway.announcements import Announcement
from gateway.broker.port import BrokerError
from gateway.catalog import Catalog
from gateway.channels import Channel
from gateway.database import Database
from gateway.errors import AwayError, CallerError
from gateway.event import Content
from gateway.external_registry import ExternalRegistry
from gateway.ingress.accept import Ingress, Submission
from gateway.ingress.draft import Draft
from gateway.ingress.outcome import Failed, Outcome, Refused
from gateway.instants import format_instant
from gateway.logs import logger
from gateway.operational import Kind, Registration
from gateway.waits import rest
from schemas import registry
from schemas.copying import keep_copy
from schemas.refusal import RegistryError
from schemas.remote_answers import Agreed, RemoteRefusedError

METHOD: Final = "gateway"
"""How the sender was proven, in evidence: it is us."""

LEASE_MS: Final = 30_000
SOON_MS: Final = 2_000
LATER_MS: Final = 60_000
"""What somebody has to mend first is not tried, and not logged, every other second."""

_IDLE_SECONDS: Final = 0.25


@dataclass(slots=True, kw_only=True, eq=False)
class Announcer:
    """A role of whoever takes events. `outside`: where schemas are registered; None: here."""

    database: Database
    catalog: Catalog
    ingress: Ingress
    clock: Callable[[], int]
    outside: ExternalRegistry | None = None
    _registered: dict[str, Registration] = field(default_factory=dict, init=False, repr=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Publish what waits, until `stop`."""
        while not stop.is_set():
            is_moved = False
            with suppress(AwayError, BrokerError):
                is_moved = await self.turn()
            if not is_moved:
                await rest(stop, _IDLE_SECONDS)

    async def turn(self) -> bool:
        """Publish the oldest of each partner; whether there was one that is settled now.

        Raises:
            AwayError: the database is away; what was taken comes back by itself.
        """
        if not await self.database.read(announcements.is_any):
            return False
        taken = await self.database.write(partial(announcements.take, lease_ms=LEASE_MS))
        is_moved = False
        for number, one in taken.items():
            wait_ms = await self._publish(one)
            if wait_ms is None:
                await self.database.write(partial(announcements.settle, number=number))
                is_moved = True
            else:
                await self.database.write(partial(announcements.give_back, number=number, wait_ms=wait_ms))
        return is_moved

    async def _publish(self, one: Announcement) -> int | None:
        """None: it is published, or never will be; else how long to wait before the next try."""
        kind = operational.kind_of(one.type)
        account = self.catalog.current.directory.account(one.partner)
        if account is None:
            return SOON_MS  # this process has not heard of the partner yet
        if account.partner.state == "closed":
            return None
        if kind is None:
            return LATER_MS  # made by a newer program, which is to publish it
        topic = account.partner.topics.outbound
        try:
            found = self._registered.get(operational.subject_of(kind, topic))
            found = found or await self._register(kind, topic)
        except CallerError as error:
            logger(__name__).warning("an event of ours has to wait", type=one.type, reason=str(error))
            return LATER_MS
        channel = operational.channel(account, kind, found)
        if channel is None:
            return SOON_MS
        self._registered[channel.line.subject] = found
        (outcome,) = await self.ingress.accept(_submission(one, channel))
        return None if _is_final(one, outcome) else SOON_MS

    async def _register(self, kind: Kind, topic: str) -> Registration:
        """Make our schema a version of the partner's subject; the same again changes nothing.

        Raises:
            AwayError: `registry_unavailable`, or the database is away.
            CallerError: the registry does not take it.
        """
        subject, schema, now = operational.subject_of(kind, topic), kind.schema, self.clock()
        try:
            if self.outside is None:
                work = partial(registry.register, subject=subject, text=schema.text, now=now)
                made = await self.database.write(work)
                return Registration(schema, made.id, made.version)
            agreed = await self.outside.ask(lambda remote: remote.register(subject, schema))
            return await self.database.write(partial(_copy, subject=subject, agreed=agreed, now=now))
        except RemoteRefusedError as error:
            text = f"the schema registry does not take {subject}: {error.number}: {error.text}"
            raise CallerError("schema_invalid", text) from error
        except RegistryError as error:
            raise CallerError("state_conflict", error.text) from error


def _copy(session: Session, *, subject: str, agreed: Agreed, now: int) -> Registration:
    kept = keep_copy(session, subject, agreed.schema, schema_id=agreed.id, number=agreed.number, now=now)
    return Registration(agreed.schema, kept.id, kept.version)


def _submission(one: Announcement, channel: Channel) -> Submission:
    raw = one.data.encode()
    attributes = {"time": format_instant(one.at)}
    draft = Draft(one.type, one.id, None, attributes, raw, Content(raw, "application/json"))
    return Submission(
        partner=one.partner,
        direction="outbound",
        items=(draft,),
        strict=True,
        dry_run=False,
        method=METHOD,
        credential=None,
        idempotency_key=None,
        channel=channel,
    )


def _is_final(one: Announcement, outcome: Outcome) -> bool:
    if isinstance(outcome, Failed):
        return False
    if isinstance(outcome, Refused):
        # Repeated for ever it would stand before all that come later.
        logger(__name__).error(
            "an event of ours is refused and dropped",
            partner=one.partner,
            type=one.type,
            reason=f"{outcome.code}: {outcome.detail}",
        )
    return True
