"""A whole gateway in one process for tests: a real database, a real broker, real keys; no HTTP."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlmodel import Session

from audit import log as audit_log
from audit.checkpoint import split_origin
from gateway.administration.desk import ContractText, Wish
from gateway.administration.evidence import Author
from gateway.bootstrap.ground import open_broker, prepare
from gateway.bootstrap.parts import Parts, Step, wire
from gateway.broker.port import Broker
from gateway.event import Content, Direction
from gateway.ingress.accept import Submission
from gateway.ingress.draft import Draft
from gateway.ingress.outcome import Outcome
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.settings_sources import load
from gateway.sql_engines import sqlite_file
from tests.migrated import lay_migrated
from tests.waiting import until

OPERATOR = Author("operator", None)

ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "namespace": "com.acme",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "customer", "type": ["null", "string"], "default": None},
        {"name": "qty", "type": "int"},
    ],
}
CONTRACT = """\
gateway: v1
partner: acme
name: Acme GmbH
sends:
  order.placed: {schema: order.avsc, id: /order_id, key: /customer}
receives:
  order.accepted: {schema: order.avsc, id: /order_id}
"""


def nothing(_: str) -> None:
    """Do nothing at a step."""


Flags = Mapping[str, str | int | bool]


def make_settings(folder: Path, flags: Flags | None = None, url: str | None = None) -> Settings:
    given = {"data": str(folder), "audit.tick": "20ms", **(flags or {})}
    environ = {} if url is None else {"GATEWAY_DATABASE__URL": url}
    return load(flags=given, environ=environ, file=None).settings


ANSWER_SECONDS: Final = 30.0
SETTLED_SECONDS: Final = 60.0
"""A Kafka that was silent is asked again by its readers some seconds later."""

BARE: Final = 6
"""Entries of a new world: five keys, the operator's credential."""

FIRST: Final = BARE + 1
"""The same, and one contract."""


@dataclass
class World:
    """Parts that run, and shorthands for what tests do with them."""

    parts: Parts
    counts: dict[str, int]

    async def apply(
        self,
        contract: str = CONTRACT,
        files: Mapping[str, str] | None = None,
        slug: str = "acme",
        allow: frozenset[str] = frozenset(),
    ) -> None:
        sent = ContractText(contract, "contract.yaml", files or {"order.avsc": json.dumps(ORDER)})
        await self.parts.administration.put_contract(slug, sent, Wish(allow=allow), by=OPERATOR)

    async def send(
        self, *bodies: object, strict: bool = True, dry_run: bool = False, direction: Direction = "inbound"
    ) -> list[Outcome]:
        drafts = tuple(
            draft(body, "order.placed" if direction == "inbound" else "order.accepted") for body in bodies
        )
        return await self.submit(drafts, strict=strict, dry_run=dry_run, direction=direction)

    async def submit(
        self,
        drafts: Sequence[Draft],
        *,
        strict: bool = True,
        dry_run: bool = False,
        direction: Direction = "inbound",
    ) -> list[Outcome]:
        return await self.parts.ingress.accept(
            Submission("acme", direction, tuple(drafts), strict, dry_run, "api_key", "crd_1", None)
        )

    async def settled(self, entries: int) -> None:
        """Wait until the sequencer has made so many entries since this world began."""
        deadline = time.monotonic() + SETTLED_SECONDS
        while self.counts.get("entry", 0) < entries:
            said = f"{self.counts}, {entries} entries wanted; {self.parts.sequencer.problem}"
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.02)

    async def published(self) -> None:
        """Wait until the newest head of every log is published."""
        left: list[str] = []

        def look(session: Session) -> bool:
            newest = {split_origin(one.head.origin)[0]: one for one in audit_log.heads(session)}
            left[:] = [name for name, one in newest.items() if one.head.size != one.checkpoint_size]
            return not left

        await until(
            lambda: self.parts.ground.database.read(look),
            lambda: f"not published: {left}; {self.parts.sequencer.problem}",
        )


def draft(body: object, event_type: str = "order.placed", **attributes: str) -> Draft:
    """A draft of an event whose data is `body` (bytes as they are, else as JSON)."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    event_id, source = attributes.pop("id", None), attributes.pop("source", None)
    return Draft(event_type, event_id, source, attributes, raw, Content(raw, "application/json"))


@asynccontextmanager
async def running(
    folder: Path,
    *,
    step: Step = nothing,
    broker: Broker | None = None,
    flags: Flags | None = None,
    url: str | None = None,
) -> AsyncIterator[World]:
    """A gateway whose ingress, catalog, recovery, sequencer and outside run until the block ends.

    `url`: of its database; without one, SQLite in the folder.
    """
    settings = make_settings(folder, flags, url)
    if (file := sqlite_file(settings.database.url)) is not None:
        lay_migrated(file)
    ground = prepare(settings, "up")
    used = broker or open_broker(settings)
    counts: dict[str, int] = {}

    def report(word: str, count: int) -> None:
        counts[word] = counts.get(word, 0) + count

    parts = wire(ground, used, step=step, metrics=Metrics(), report=report)
    if "ingress.publish_timeout" not in (flags or {}):
        # How long a disk that many tests share takes must not matter.
        parts.ingress.answer_seconds = ANSWER_SECONDS
    await parts.catalog.refresh()
    stop = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            outside = () if parts.outside is None else (parts.outside,)
            inside = (
                parts.ingress,
                parts.announcer,
                parts.recovery,
                parts.sequencer,
                parts.catalog,
                parts.keys,
            )
            for role in (*inside, *outside):
                tasks.create_task(role.run(stop))
            await asyncio.sleep(0)
            try:
                yield World(parts, counts)
            finally:
                stop.set()
    finally:
        await parts.writes.close()
        parts.keys.opener.close()
        await used.close()
        if parts.outside is not None:
            parts.outside.close()
        ground.database.close()
