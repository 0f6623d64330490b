"""A gateway on a real Kafka into which an operator, or bad luck, reaches: all in this process, no HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import confluent_kafka.admin
from confluent_kafka import TopicPartition
from sqlmodel import Session

from audit import log as audit_log
from audit.entry import Entry
from audit.evidence import Kind
from gateway.bootstrap.ground import clock, open_broker, prepare
from gateway.bootstrap.parts import Parts, wire
from gateway.broker.port import Broker, BrokerError
from gateway.event import Direction
from gateway.ingress.outcome import Accepted, Failed, Outcome
from gateway.metrics import Metrics
from gateway.roles import Role
from gateway.status import Status
from tests.world import CONTRACT, Flags, World, make_settings, nothing

RoleName = Literal["serve", "relay", "sequence"]
ALL: Final[tuple[RoleName, ...]] = ("serve", "relay", "sequence")
SECONDS: Final = 40.0
"""How long anything may take: generous, since others use the machine too."""

HELD_UP: Final = frozenset({"overloaded", "store_unavailable"})
"""What a busy machine held up for half of so short a lease, or while its disk stood still, is not taken."""

_ADMIN: Final[Any] = confluent_kafka.admin


@dataclass
class Troubled(World):
    """A world with a relay, the status that operators see, and the names of acme's topics."""

    prefix: str
    status: Status

    @property
    def inbound(self) -> str:
        return f"{self.prefix}.acme.inbound"

    @property
    def outbound(self) -> str:
        return f"{self.prefix}.acme.outbound"

    @property
    def checkpoints(self) -> str:
        return f"{self.prefix}.checkpoints"

    async def contract(self, url: str | None = None) -> None:
        """Bring acme's contract into force, with an endpoint at `url`."""
        endpoint = f'endpoints:\n  verification: none\n  declared:\n    - {{name: hook, url: "{url}"}}\n'
        await self.apply(CONTRACT + (endpoint if url else ""))

    async def accepted(self, number: int, direction: Direction = "inbound") -> Accepted:
        """An event that is taken, at once or at a repeat."""

        last: list[Outcome] = []

        async def taken() -> Outcome | None:
            last[:] = await self.send(body(number), direction=direction)
            (one,) = last
            assert isinstance(one, Accepted | Failed), one
            return one if isinstance(one, Accepted) else None

        return cast("Accepted", await until(taken, lambda: last))

    async def refused(self, number: int) -> Failed:
        """An event that is not taken, for another reason than that the machine held it up."""

        async def failed() -> Failed | None:
            (one,) = await self.send(body(number))
            assert isinstance(one, Failed), one
            return None if one.code in HELD_UP else one

        return cast("Failed", await until(failed))

    async def warned(self, *words: str) -> str:
        """The first warning of the status that has all these words."""

        seen: list[str] = []

        async def told() -> str | None:
            seen[:] = (await self.status.look())["warnings"]
            return next((one for one in seen if all(word in one for word in words)), None)

        return cast("str", await until(told, lambda: f"{words}, the status warns of {seen}"))

    async def calm(self) -> None:
        """Wait until no warning is left."""

        seen: list[str] = []

        async def silent() -> bool:
            seen[:] = (await self.status.look())["warnings"]
            return not seen

        await until(silent, lambda: seen)

    async def ready(self) -> None:
        """Wait until nothing stands in the way of events."""
        missing: list[str] = []

        async def is_ready() -> bool:
            missing[:] = await self.status.ready()
            return not missing

        await until(is_ready, lambda: missing)

    async def entries(self) -> list[Entry]:
        """The partner's log."""
        partner = self.parts.catalog.current.directory.partner("acme")
        assert partner is not None
        origin = f"{self.parts.ground.host}/log/{partner.log}/1"

        def read(session: Session) -> list[Entry]:
            size = next((one.head.size for one in audit_log.heads(session) if one.head.origin == origin), 0)
            return [audit_log.entry(session, origin, index) for index in range(size)]

        return await self.parts.ground.database.read(read)

    async def holes(self) -> list[dict[str, Any]]:
        """What the entries of the partner's log say of holes that retention made."""
        raws = [one.raw for one in await self.entries() if one.kind is Kind.RETENTION_HOLE]
        return [json.loads(raw) for raw in raws if raw is not None]

    async def logged(self) -> list[str]:
        """Ids of the accepted events in the partner's log, each as often as it has an entry."""
        return sorted(str(one.event_id) for one in await self.entries() if one.kind is Kind.ACCEPTED)

    async def logged_as(self, *ids: str) -> None:
        """Wait until exactly these events are logged, each once."""
        wanted = sorted(ids)

        async def are_there() -> bool:
            return len(await self.logged()) >= len(wanted)

        with suppress(AssertionError):
            await until(are_there)
        assert await self.logged() == wanted, self.parts.sequencer.problem


def body(number: int, note: str | None = None) -> dict[str, object]:
    """The data of event number `number`, with id `A-<number>`."""
    return {"order_id": f"A-{number}", "customer": note, "qty": number}


async def until(look: Callable[[], Awaitable[Any]], lacks: Callable[[], object] = lambda: "") -> Any:
    """The first answer that is not empty; `lacks`: what to say if none comes."""
    found: Any = None
    try:
        async with asyncio.timeout(SECONDS):
            while not (found := await look()):  # noqa: ASYNC110  (a condition of other processes)
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise AssertionError(f"waited in vain: {lacks()}") from error
    return found


@asynccontextmanager
async def troubled(
    folder: Path,
    servers: str,
    prefix: str,
    *,
    roles: Sequence[RoleName] = ALL,
    flags: Flags | None = None,
) -> AsyncIterator[Troubled]:
    """Run these roles on SQLite in `folder` and the Kafka at `servers`, whether or not it answers."""
    given: dict[str, str | int | bool] = {
        "broker.url": f"kafka://{servers}",
        "broker.replication": "1",
        "broker.topic_prefix": f"{prefix}.",
        "broker.checkpoint_topic": f"{prefix}.checkpoints",
        "broker.message_timeout": "3s",
        "claims.lease": "1s",
        "lease.duration": "2s",
        **(flags or {}),
    }
    settings = make_settings(folder, given)
    ground = prepare(settings, "up")
    broker = open_broker(settings)
    counts: dict[str, int] = {}

    def report(word: str, count: int) -> None:
        counts[word] = counts.get(word, 0) + count

    parts = wire(ground, broker, step=nothing, metrics=Metrics(), report=report)
    with suppress(BrokerError):
        await parts.catalog.refresh()
    stop = asyncio.Event()
    try:
        async with parts.dialler, asyncio.TaskGroup() as tasks:
            for role in _of(parts, roles):
                tasks.create_task(role.run(stop))
            await asyncio.sleep(0)
            try:
                yield Troubled(parts, counts, prefix, _status(parts, roles, broker))
            finally:
                stop.set()
    finally:
        await parts.writes.close()
        await broker.close()
        ground.database.close()


def _of(parts: Parts, roles: Sequence[RoleName]) -> list[Role]:
    wanted: dict[RoleName, list[Role]] = {
        "serve": [parts.ingress, parts.recovery, parts.administration],
        "relay": [parts.relay],
        "sequence": [parts.sequencer],
    }
    return [*(role for name in roles for role in wanted[name]), parts.catalog]


def _status(parts: Parts, roles: Sequence[RoleName], broker: Broker) -> Status:
    return Status(
        database=parts.ground.database,
        broker=broker,
        catalog=parts.catalog,
        clock=clock,
        roles=roles,
        problems=lambda: {"sequencer": parts.sequencer.problem},
        warnings=lambda: [
            *parts.sequencer.lost.values(),
            *parts.sequencer.told.words.values(),
            *parts.ingress.publisher.trouble.warnings(),
        ],
        own_topic=parts.ground.settings.broker.checkpoint_topic,
    )


class Hands:
    """An operator of Kafka, at its administrative requests."""

    def __init__(self, servers: str) -> None:
        self._admin = _ADMIN.AdminClient({"bootstrap.servers": servers})

    async def set(self, topic: str, name: str, value: str) -> None:
        """Change one setting of a topic."""
        entry = _ADMIN.ConfigEntry(name, value, incremental_operation=_ADMIN.AlterConfigOpType.SET)
        wanted = _ADMIN.ConfigResource(_ADMIN.ResourceType.TOPIC, topic, incremental_configs=[entry])
        await _all(self._admin.incremental_alter_configs([wanted]))

    async def setting(self, topic: str, name: str) -> str | None:
        """What a topic's setting is; None where there is no such topic."""
        asked = self._admin.describe_configs([_ADMIN.ConfigResource(_ADMIN.ResourceType.TOPIC, topic)])
        (future,) = asked.values()
        with suppress(confluent_kafka.KafkaException):
            return str((await asyncio.wrap_future(future))[name].value)
        return None

    async def delete(self, topic: str) -> None:
        """Delete a topic."""
        await _all(self._admin.delete_topics([topic]))

    async def make(self, topic: str, partitions: int = 1) -> None:
        """Make a topic, as anybody could."""
        await _all(self._admin.create_topics([_ADMIN.NewTopic(topic, partitions, 1)]))

    async def widen(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions."""
        await _all(self._admin.create_partitions([_ADMIN.NewPartitions(topic, partitions)]))

    async def trim(self, topic: str, before: int) -> None:
        """Take the records below an offset, as retention does."""
        await _all(self._admin.delete_records([TopicPartition(topic, 0, before)]))

    async def id_of(self, topic: str) -> str | None:
        """The id of a topic; None where there is none."""
        (future,) = self._admin.describe_topics(confluent_kafka.TopicCollection([topic])).values()
        with suppress(confluent_kafka.KafkaException):
            return str((await asyncio.wrap_future(future)).topic_id)
        return None

    async def until_made_again(self, topic: str, old_id: str | None) -> str:
        """Wait until the topic is there under another id."""

        async def other() -> str | None:
            found = await self.id_of(topic)
            return found if found != old_id else None

        return cast("str", await until(other))


async def _all(futures: dict[Any, Any]) -> None:
    for future in futures.values():
        await asyncio.wrap_future(future)
