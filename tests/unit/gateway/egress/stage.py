"""A stage for the relay: database and embedded broker for real, contracts and receivers made up."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import delete, insert, select
from sqlmodel import Session, col

from audit.evidence import Evidence, parse_evidence
from audit.rows import PendingRow
from gateway.broker.embedded import EmbeddedBroker
from gateway.broker.embedded_reader import EmbeddedReader
from gateway.broker.port import Read, ReadEvent, Record, Stored, TopicSpec
from gateway.catalog import Snapshot
from gateway.channels import Channel, Version
from gateway.database import Database
from gateway.dialler import Answer, Fetched, Outgoing, Reason
from gateway.egress.posting import Chance
from gateway.egress.relay import Relay
from gateway.egress.relay_parts import Parts, Terms
from gateway.egress.shared import Vouch, Vouched, Vouching
from gateway.errors import StoreError
from gateway.event import EventKey
from gateway.keys import SigningKey
from gateway.leases import Leases
from gateway.rows import BacklogRow, DeliveryRow, PositionRow
from gateway.standard_webhooks import verify_message
from partners import store
from partners.contract import IdRule, Line
from partners.contract import Terms as ContractTerms
from partners.directory import Account, Directory
from partners.endpoint import Endpoint
from partners.partner import Partner, Topics
from partners.rows import CounterRow
from schemas.codec import compile_codec
from schemas.framing import encode_prefix
from schemas.schema import parse_schema

T = TypeVar("T")

WAIT_SECONDS = 60.0
SECRET = b"s" * 32
KEY = SigningKey(bytes(range(32)), "webhook")
TOPIC = "partners.acme.outbound"
TYPE = "order.accepted"
SCHEMA_ID = 41
SCHEMA = parse_schema(
    json.dumps(
        {
            "type": "record",
            "name": "Accepted",
            "namespace": "com.acme",
            "fields": [{"name": "id", "type": "string"}, {"name": "n", "type": "int"}],
        }
    )
)
CODEC = compile_codec(SCHEMA, ("/id",), "plain")
PARTNER = Partner("acme", "k3v9q2", "Acme", Topics("partners.acme.inbound", 0, TOPIC, 0), "active")


def vouching(now: Callable[[], int]) -> Vouching:
    """Whatever is read was accepted just now."""

    async def look(_: Iterable[tuple[Read, str]]) -> Vouch:
        return lambda _read, partner: Vouched(EventKey(partner, "inbound", "/s", "i"), now(), 1)

    return look


NOTHING: Callable[[str], None] = lambda _: None  # noqa: E731 - a constant of a callable type


def now() -> int:
    return time.time_ns() // 1_000_000


def endpoint(name: str = "ep_1", **changes: Any) -> Endpoint:
    made = Endpoint(
        id=name,
        partner="acme",
        name=name,
        url=f"https://{name.replace('_', '-')}.example/in",
        types=frozenset(),
        order="none",
        concurrency=4,
        per_second=None,
        delays=(0, 1, 1, 1),
        keys=(b"sealed",),
        state="active",
    )
    return replace(made, **changes)


def contracts(
    endpoints: Sequence[Endpoint], topic_id: str | None, partner: Partner = PARTNER, *, revision: int = 1
) -> Snapshot:
    terms = ContractTerms(
        TYPE,
        "outbound",
        "accepted.avsc",
        IdRule("pointers", ("/id",)),
        None,
        None,
        ("/id",),
        "plain",
        "FORWARD",
        1,
        None,
    )
    line = Line(terms, "subject", (SCHEMA_ID,))
    version = Version(SCHEMA_ID, 1, SCHEMA, CODEC)
    channel = Channel(
        partner="acme",
        log=partner.log,
        contract=1,
        contract_sha256=bytes(32),
        line=line,
        versions=(version,),
        topic=TOPIC,
        partition=0,
        framing="prefix",
        event_bytes=100_000,
        keep_content_days=1,
        keep_evidence_days=1,
    )
    directory = Directory(revision, [Account(partner, None, (line,), tuple(endpoints))], [])
    ids = {} if topic_id is None else {TOPIC: topic_id}
    return Snapshot(directory, {("acme", "outbound", TYPE): channel}, {("acme", "outbound"): (channel,)}, ids)


@dataclass
class Contracts:
    current: Snapshot
    changes: list[tuple[str, str | None]] = field(default_factory=list)
    later: Snapshot | None = None
    """What is in force since, and not known here before the next look."""

    async def follow(self) -> None:
        if self.later is not None:
            self.current, self.later = self.later, None

    def topic_changed(self, topic: str, topic_id: str | None, *, was: str | None) -> None:
        self.changes.append((topic, topic_id))
        if self.current.topic_ids.get(topic) != was:
            return
        ids = {} if topic_id is None else {topic: topic_id}
        self.current = replace(self.current, topic_ids=ids)


def answer(status: int = 200, failure: Reason | None = None, retry_after: int | None = None) -> Answer:
    return Answer(status, failure, retry_after, b"\x11" * 32, b"", 1)


@dataclass
class Receiver:
    """Takes what is sent; `reply` decides on the answer. Every signature is verified."""

    reply: Callable[[Outgoing, int], Answer] = lambda _, __: answer()
    seen: list[Outgoing] = field(default_factory=list)
    flying: int = 0
    most: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    deadline_ms: int = 200

    def __post_init__(self) -> None:
        self.gate.set()

    async def send(self, outgoing: Outgoing) -> Answer:
        verify_message(dict(outgoing.headers), outgoing.body, [SECRET], now_seconds=now() // 1000)
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            self.seen.append(outgoing)
            number = len(self.seen)
            await self.gate.wait()
            await asyncio.sleep(0)
            return self.reply(outgoing, number)
        finally:
            self.flying -= 1

    async def ask(self, outgoing: Outgoing, *, most: int) -> Fetched:
        """No token server is on this stage."""
        del outgoing, most
        return Fetched(0, "connect_failed", b"")

    def ids(self, url: str | None = None) -> list[str]:
        """The event ids that came, in order."""
        return [json.loads(each.body)["id"] for each in self.seen if url is None or each.url == url]


class FlakyDatabase(Database):
    """The real one, until it `is_away`."""

    is_away = False

    async def write(self, work: Callable[[Session], T]) -> T:
        if self.is_away:
            raise StoreError("store_unavailable", "away")
        return await super().write(work)


@dataclass
class Stage:
    database: "FlakyDatabase"
    broker: EmbeddedBroker
    contracts: Contracts
    receiver: Receiver
    topic_id: str
    steps: list[str] = field(default_factory=list)

    async def produce(self, *ids: str, key: bytes | None = None) -> None:
        await self.append(*(record(each, key=key) for each in ids))

    async def append(self, *records: Record) -> None:
        for made in await self.broker.append(records):
            assert isinstance(made, Stored), made

    def relay(
        self,
        *,
        step: Callable[[str], None] = NOTHING,
        duration_ms: int = 1_000,
        owner: str = "one",
        doubt: Callable[[], str] = lambda: "",
    ) -> Relay:
        leases = Leases(self.database, "relay", owner=owner, shards=2, duration_ms=duration_ms)
        parts = Parts(
            database=self.database,
            leases=leases,
            broker=self.broker,
            catalog=self.contracts,
            sender=self.receiver,
            unseal=lambda _, __: SECRET,
            chance=Chance(now, os.urandom),
            vouch=vouching(now),
            step=step,
            own=lambda message: [KEY.sign(message)],
            doubt=doubt,
        )
        return Relay(parts, Terms("https://gw.example", "gw.example", "house", shards=2, tick_ms=10))

    @asynccontextmanager
    async def relaying(self, **how: Any) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.relay(**how).run(stop))
            try:
                yield
            finally:
                stop.set()

    def have(self, *endpoints: Endpoint, partner: Partner = PARTNER) -> None:
        self.contracts.current = contracts(endpoints, self.topic_id, partner)

    def evidence(self, kind: str | None = None) -> list[Evidence]:
        with self.database.begin() as session:
            raws = session.execute(select(col(PendingRow.raw)).order_by(col(PendingRow.at))).scalars().all()
        found = [parse_evidence(raw) for raw in raws]
        return [each for each in found if kind is None or each.kind.value == kind]

    def rows(self) -> list[tuple[str, str, int]]:
        """Event id, state and attempts of each delivery row."""
        with self.database.begin() as session:
            query = select(col(DeliveryRow.event_id), col(DeliveryRow.state), col(DeliveryRow.attempts))
            return sorted(tuple(row) for row in session.execute(query))

    def spans(self) -> list[tuple[str, int, int]]:
        with self.database.begin() as session:
            query = select(col(BacklogRow.endpoint), col(BacklogRow.from_offset), col(BacklogRow.to_offset))
            return sorted(tuple(row) for row in session.execute(query))

    def position(self) -> int:
        with self.database.begin() as session:
            query = select(col(PositionRow.next)).where(col(PositionRow.topic_id) == self.topic_id)
            return int(session.execute(query).scalar_one_or_none() or 0)

    async def until(self, holds: Callable[[], bool], what: str, *, seconds: float = WAIT_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"never: {what}; {self.rows()} {self.spans()} at {self.position()}")
            await asyncio.sleep(0.01)

    def register(self, *endpoints: Endpoint) -> None:
        """Put partner and endpoints into the partners' tables too, for what the relay changes there."""
        with self.database.begin() as session:
            store.insert_partner(session, PARTNER, now=0)
            store.insert_endpoints(session, endpoints, now=0)
        self.at_revision(1)

    def at_revision(self, revision: int) -> None:
        """Have SQL say that contracts are of this revision."""
        with self.database.begin() as session:
            session.execute(delete(CounterRow))
            session.execute(insert(CounterRow), [{"id": 1, "value": revision}])

    def add_elsewhere(self, *endpoints: Endpoint) -> None:
        """Another process changes the contracts: a relay knows it when it looks at them anew."""
        self.contracts.later = contracts(endpoints, self.topic_id, revision=2)
        self.register()
        with self.database.begin() as session:
            store.lock(session)
            store.bump_partner(session, PARTNER.slug)

    def endpoint_state(self, name: str = "ep_1") -> str:
        with self.database.begin() as session:
            return next(each.state for each in store.endpoints(session, "acme") if each.id == name)


def record(event_id: str, *, key: bytes | None = None, n: int = 1, headers: Any = ()) -> Record:
    """As a stock producer writes it: no `ce_` headers."""
    datum = CODEC.avro_from_json(json.dumps({"id": event_id, "n": n}).encode()).avro
    return Record(TOPIC, 0, key, encode_prefix(SCHEMA_ID, datum), tuple(headers), now())


class Slowly(list[ReadEvent]):
    """What was polled, on a machine that is busy."""

    def __iter__(self) -> Iterator[ReadEvent]:
        for event in super().__iter__():
            time.sleep(0.01)
            yield event


def take_in_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the relay has polled takes a while, in which all else goes on."""
    polled = EmbeddedReader.poll

    async def poll(reader: EmbeddedReader, limit: int, wait_ms: int) -> list[ReadEvent]:
        return Slowly(await polled(reader, limit, wait_ms))

    monkeypatch.setattr(EmbeddedReader, "poll", poll)
    for module in ("outbound", "feeds"):
        monkeypatch.setattr(f"gateway.egress.{module}._SLICE", 1)


@asynccontextmanager
async def stage(folder: Path, url: str, *endpoints: Endpoint) -> AsyncIterator[Stage]:
    """`url`: of a migrated database."""
    # The stage looks into the database beside the relay, and the machine may be busy.
    database = FlakyDatabase(url, busy_ms=10_000)
    broker = EmbeddedBroker.open(folder / "broker.db", clock=now, entropy=os.urandom, limit_bytes=1 << 30)
    made = await broker.ensure([TopicSpec(TOPIC)])
    topic_id = made[TOPIC].id
    try:
        on = Stage(database, broker, Contracts(contracts(endpoints, topic_id)), Receiver(), topic_id)
        on.at_revision(1)
        yield on
    finally:
        await broker.close()
        database.close()
