"""Kafka's topics: made, lengthened, described, compared with what they should be, and measured."""

import asyncio
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeVar

import confluent_kafka.admin
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition

from gateway.broker.kafka_admin import KafkaAdmin
from gateway.broker.kafka_differences import RETENTION, Demands, FoundTopic, keeps_ms
from gateway.broker.kafka_errors import (
    DENIED,
    LEADER_MOVED,
    UNKNOWN_TOPIC,
    Local,
    broker_error,
    error_of,
    grant,
)
from gateway.broker.kafka_settings import HEADROOM_BYTES
from gateway.broker.port import BrokerError, Topic, TopicSpec

T = TypeVar("T")

# Its types say nothing of what it re-exports, nor of OffsetSpec's functions.
_ADMIN: Final[Any] = confluent_kafka.admin

_REQUEST_SECONDS: Final = 3.0
_CREATE_SECONDS: Final = 10.0
_GRACE_SECONDS: Final = 2.0
_CHUNK: Final = 100
_VISIBLE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.05
_PAUSES: Final = (0.1, 0.3)  # seconds before asking again while leaders move
_NO_OFFSET: Final = -1  # there is no record of that time


class KafkaTopics:
    """Administrative requests, awaited on the event loop."""

    def __init__(self, admin: KafkaAdmin, *, replication: int, max_record_bytes: int) -> None:
        """`replication`: replicas of a new topic. With three or more, a write needs all but one of them."""
        self._admin = admin
        self._demands = Demands(replication, max_record_bytes + HEADROOM_BYTES)

    async def ensure(self, specs: Sequence[TopicSpec]) -> dict[str, Topic]:
        """Make what is missing, and wait until it can be written to; lengthen what is too short.

        Says how the rest differs.
        """
        if not specs:
            return {}
        names = [spec.name for spec in specs]
        loop = asyncio.get_running_loop()
        until = loop.time() + _VISIBLE_SECONDS
        while True:
            there = await self.describe(names)
            missing = {spec.name: spec for spec in specs if spec.name not in there}
            if missing:
                await self._create(list(missing.values()))
            found = await self._lengthened(specs, await self._wait_for(names, missing))
            # Brokers tell of a topic for a moment longer than it is there.
            gone = [name for name in names if name not in found]
            if not gone:
                return found
            if loop.time() > until:
                reason = f"the topic {gone[0]} is deleted again and again: end whatever does that"
                raise BrokerError("broker_unavailable", reason)
            await asyncio.sleep(_LOOK_SECONDS)

    async def compare(self, specs: Sequence[TopicSpec]) -> dict[str, Topic]:
        """How those of `specs` that exist differ; makes none.

        Settings that our user may not read are words of their own, and hinder nothing else.

        Raises:
            BrokerError: Kafka is away or refuses.
        """
        return await self._compare(specs, await self.describe([spec.name for spec in specs]))

    async def _compare(self, specs: Sequence[TopicSpec], there: Mapping[str, FoundTopic]) -> dict[str, Topic]:
        """Of those that are there, and still are when their settings are read."""
        settings = await self._settings([spec.name for spec in specs if spec.name in there])
        return {spec.name: self._told(spec, there, settings) for spec in specs if spec.name in settings}

    async def _lengthened(
        self, specs: Sequence[TopicSpec], there: Mapping[str, FoundTopic]
    ) -> dict[str, Topic]:
        """As `_compare`, once those that are too short have been lengthened, as far as Kafka lets us."""
        settings = await self._settings([spec.name for spec in specs if spec.name in there])
        short = {spec.name: spec for spec in specs if spec.is_short(keeps_ms(settings.get(spec.name)))}
        refused = await self._lengthen(list(short.values()))
        for name in short.keys() - refused.keys():
            # Not read again: a node may tell the old ones for a moment.
            wanted = self._demands.settings(short[name])[RETENTION]
            settings[name] = {**(settings[name] or {}), RETENTION: wanted}
        return {
            spec.name: self._told(spec, there, settings, refused.get(spec.name, ()))
            for spec in specs
            if spec.name in settings
        }

    def _told(
        self,
        spec: TopicSpec,
        there: Mapping[str, FoundTopic],
        settings: Mapping[str, Mapping[str, str] | None],
        refused: tuple[str, ...] = (),
    ) -> Topic:
        found, its = there[spec.name], settings[spec.name]
        differ = (*self._demands.mismatches(spec, found, its), *refused)
        return Topic(found.id, differ, found.partitions, keeps_ms(its), self._demands.longer(spec, its))

    async def _lengthen(self, specs: Sequence[TopicSpec]) -> dict[str, tuple[str, ...]]:
        """Have these topics keep their records as long as they are to; why Kafka does not let us, by name.

        Raises:
            BrokerError: Kafka is away.
        """
        refused = dict[str, tuple[str, ...]]()
        for some in _chunks(specs):
            resources = [self._altered(spec) for spec in some]
            asked = self._admin.client.incremental_alter_configs(resources, request_timeout=_REQUEST_SECONDS)
            for resource, future in asked.items():
                try:
                    await _answer(future)
                except KafkaException as error:
                    needs = grant("AlterConfigs", resource.name)
                    told = broker_error(
                        error_of(error), f"lengthening the topic {resource.name}", needs=needs
                    )
                    if told.code == "broker_unavailable":
                        raise told from error
                    refused[resource.name] = (str(told),) if told.code == "broker_refused" else ()
        return refused

    def _altered(self, spec: TopicSpec) -> Any:
        entry = _ADMIN.ConfigEntry(
            RETENTION,
            self._demands.settings(spec)[RETENTION],
            incremental_operation=_ADMIN.AlterConfigOpType.SET,
        )
        return _ADMIN.ConfigResource(_ADMIN.ResourceType.TOPIC, spec.name, incremental_configs=[entry])

    async def describe(self, names: Sequence[str]) -> dict[str, FoundTopic]:
        """The topics among `names` that exist.

        Raises:
            BrokerError: Kafka is away or refuses.
        """
        found = {}
        for some in _chunks(list(dict.fromkeys(names))):
            asked = self._ask_topics(some)
            await _last_answer(asked.values())
            for name, future in asked.items():
                try:
                    found[name] = _found_topic(await _answer(future))
                except KafkaException as error:
                    if error_of(error).code() not in UNKNOWN_TOPIC:
                        needs = grant("Describe", name)
                        raise broker_error(
                            error_of(error), f"describing the topic {name}", needs=needs
                        ) from error
        return found

    async def first_offsets(self, partitions: Sequence[tuple[str, int]]) -> list[int]:
        """The first offset kept, of each (topic, partition).

        Raises:
            BrokerError: Kafka is away or refuses, or there is no such partition.
        """
        return await self._offsets(partitions, _ADMIN.OffsetSpec.earliest())

    async def end_offsets(self, partitions: Sequence[tuple[str, int]]) -> list[int]:
        """The offset that the next record will get; raises as `first_offsets`."""
        return await self._offsets(partitions, _ADMIN.OffsetSpec.latest())

    async def offset_at(self, partition: tuple[str, int], at: int) -> int | None:
        """The first offset of that record time or later; None: there is none. Raises as `first_offsets`."""
        (found,) = await self._offsets([partition], _ADMIN.OffsetSpec.for_timestamp(at))
        return None if found == _NO_OFFSET else found

    async def delete(self, names: Sequence[str]) -> None:
        """Delete topics; for tests."""
        for name, future in self._admin.client.delete_topics(list(names)).items():
            try:
                await _answer(future)
            except KafkaException as error:
                raise broker_error(error_of(error), f"deleting the topic {name}") from error

    async def _offsets(self, partitions: Sequence[tuple[str, int]], spec: Any) -> list[int]:
        if not partitions:
            return []
        pauses = list(_PAUSES)
        while True:
            try:
                return await self._ask_offsets(partitions, spec)
            except KafkaException as error:
                # Also refreshes what the client knows of leaders, where that was the trouble.
                await self._check_there(partitions)
                if not pauses or error_of(error).code() not in LEADER_MOVED:
                    raise broker_error(error_of(error), "asking for offsets") from error
            await asyncio.sleep(pauses.pop(0))

    async def _ask_offsets(self, partitions: Sequence[tuple[str, int]], spec: Any) -> list[int]:
        found: list[int] = []
        for some in _chunks(partitions):
            asked = {key: TopicPartition(*key) for key in some}
            futures = self._admin.client.list_offsets(
                dict.fromkeys(asked.values(), spec), request_timeout=_REQUEST_SECONDS
            )
            found += [(await _answer(futures[asked[key]])).offset for key in some]
        if min(found) < _NO_OFFSET:
            # librdkafka 2.16 answers so, without an error, when the request timed out.
            raise KafkaException(KafkaError(Local.TIMED_OUT))
        return found

    async def _check_there(self, partitions: Sequence[tuple[str, int]]) -> None:
        there = await self.describe(sorted({topic for topic, _ in partitions}))
        for topic, partition in partitions:
            if topic not in there or partition >= there[topic].partitions:
                raise BrokerError("topic_unknown", f"there is no partition {partition} of the topic {topic}")

    def _ask_topics(self, names: Sequence[str]) -> Mapping[str, Any]:
        try:
            asked: Mapping[str, Any] = self._admin.client.describe_topics(
                TopicCollection(list(names)), request_timeout=_REQUEST_SECONDS
            )
        except KafkaException as error:
            raise broker_error(error_of(error), "describing topics") from error
        return asked

    async def _create(self, specs: Sequence[TopicSpec]) -> None:
        made = [
            _ADMIN.NewTopic(
                spec.name,
                spec.partitions,
                self._demands.replication,
                config=self._demands.settings(spec),
            )
            for spec in specs
        ]
        for some in _chunks(made):
            asked = self._admin.client.create_topics(list(some), request_timeout=_CREATE_SECONDS)
            for name, future in asked.items():
                try:
                    await _answer(future, _CREATE_SECONDS)
                except KafkaException as error:
                    # Another instance of ours was faster.
                    if error_of(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        needs = grant("Create", name)
                        raise broker_error(
                            error_of(error), f"making the topic {name}", needs=needs
                        ) from error

    async def _wait_for(self, names: Sequence[str], made: Container[str]) -> dict[str, FoundTopic]:
        """Wait until every partition has a leader: a topic is made before all brokers know it.

        What is not told of, and was not `made` just now, is not waited for: it was deleted.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _VISIBLE_SECONDS
        while True:
            there = await self.describe(names)
            late = [name for name in names if (not there[name].is_led if name in there else name in made)]
            if not late:
                return there
            if loop.time() > until:
                reason = f"the topic {late[0]} has no leader yet: are all brokers up?"
                raise BrokerError("broker_unavailable", reason)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _settings(self, names: Sequence[str]) -> dict[str, dict[str, str] | None]:
        """Of those that are there; None where our user may not read them."""
        found = dict[str, dict[str, str] | None]()
        for some in _chunks(list(dict.fromkeys(names))):
            resources = [_ADMIN.ConfigResource(_ADMIN.ResourceType.TOPIC, name) for name in some]
            futures = self._admin.client.describe_configs(resources, request_timeout=_REQUEST_SECONDS)
            for resource, future in futures.items():
                try:
                    entries = await _answer(future)
                except KafkaException as error:
                    code = error_of(error).code()
                    if code in DENIED:
                        found[resource.name] = None
                    if code in DENIED | UNKNOWN_TOPIC:
                        continue
                    raise broker_error(error_of(error), f"reading the settings of {resource.name}") from error
                found[resource.name] = {name: entry.value for name, entry in entries.items()}
        return found


def _chunks(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """So few that one request of them is answered in time, however many partners there are."""
    for start in range(0, len(things), _CHUNK):
        yield things[start : start + _CHUNK]


async def _last_answer(asked: Collection["Future[Any]"]) -> None:
    """Wait until all of one request are there: they come together, the last one last.

    No longer than `_answer` does, which waits for any that has not come.
    """
    loop = asyncio.get_running_loop()
    over = loop.create_future()

    def wake() -> None:
        if not over.done():
            over.set_result(None)

    def note(_: "Future[Any]") -> None:
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(wake)

    *_, last = asked
    last.add_done_callback(note)
    await asyncio.wait({over}, timeout=_REQUEST_SECONDS + _GRACE_SECONDS)


async def _answer(asked: "Future[Any]", seconds: float = _REQUEST_SECONDS) -> Any:
    """What Kafka answers; librdkafka ends a request after `seconds` itself, but where it forgets one.

    Raises:
        KafkaException: as librdkafka says, or it said nothing.
    """
    if asked.done():
        return asked.result()
    waiting = asyncio.wrap_future(asked)
    # Not cancelled: librdkafka may answer after all, to nobody.
    waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait({waiting}, timeout=seconds + _GRACE_SECONDS)
    if not waiting.done():
        raise KafkaException(KafkaError(Local.TIMED_OUT))
    return waiting.result()


def _found_topic(described: Any) -> FoundTopic:
    return FoundTopic(
        id=str(described.topic_id),
        partitions=len(described.partitions),
        replicas=min(len(partition.replicas) for partition in described.partitions),
        is_led=all(partition.leader is not None for partition in described.partitions),
    )
