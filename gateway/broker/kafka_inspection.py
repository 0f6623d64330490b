"""Kafka as an operator sees it; see `gateway.broker.inspection`. Asks, makes and changes nothing."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from gateway.broker.inspection import Cluster, FoundTopic, Topics
from gateway.broker.kafka_admin import KafkaAdmin
from gateway.broker.kafka_errors import UNKNOWN_TOPIC, broker_error, error_of
from gateway.broker.kafka_settings import admin_settings
from gateway.broker.kafka_topics import KafkaTopics
from gateway.broker.kafka_trouble import KafkaTrouble
from gateway.broker.kafka_watch import NOBODYS
from gateway.broker.port import RECORD_BYTES, BrokerError, TopicSpec

_SECONDS: Final = 3.0
_POLL_SECONDS: Final = 0.1
_STARTING: Final = "Kafka names no broker yet: it is starting; ask again in some seconds"
_DENIED: Final = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})


class KafkaInspection:
    """Administrative questions to a cluster, each answered or given up within a few seconds."""

    def __init__(
        self,
        servers: str,
        *,
        clock: Callable[[], int],
        properties: Mapping[str, str],
        replication: int,
        max_record_bytes: int = RECORD_BYTES,
    ) -> None:
        """As `KafkaBroker.open`.

        Raises:
            BrokerError: librdkafka refuses a property.
        """
        self._clock = clock
        self._trouble = KafkaTrouble()
        settings: dict[str, Any] = {**admin_settings(servers, properties), "error_cb": self._note}
        try:
            self._admin = AdminClient(settings)
        except KafkaException as error:
            raise broker_error(error_of(error), "reading the settings of Kafka") from error
        self._topics = KafkaTopics(
            KafkaAdmin(lambda: self._admin), replication=replication, max_record_bytes=max_record_bytes
        )

    async def cluster(self) -> Cluster:
        """The brokers that are up."""
        try:
            await self._greet()
            # librdkafka ends the process where the answer to `describe_cluster` names no broker, as the first
            # answers of a broker do. This question blocks, and is asked of a Kafka that has just answered.
            known = self._admin.list_topics(timeout=_SECONDS)
            if not known.brokers:
                raise self._trouble.explain(BrokerError("broker_unavailable", _STARTING), now=self._clock())
            asked = self._admin.describe_cluster(include_authorized_operations=True, request_timeout=_SECONDS)
            found = await self._answer(asked)
        except KafkaException as error:
            away = broker_error(error_of(error), "asking for the cluster")
            raise self._trouble.explain(away, now=self._clock()) from error
        return Cluster(len(found.nodes), _rights(found.authorized_operations))

    async def topics(self, specs: Sequence[TopicSpec]) -> Topics:
        """The topics among `specs`."""
        if not specs:
            return Topics({}, (), {})
        found: dict[str, FoundTopic] = {}
        denied: list[str] = []
        asked = self._admin.describe_topics(
            TopicCollection(list(dict.fromkeys(spec.name for spec in specs))),
            include_authorized_operations=True,
            request_timeout=_SECONDS,
        )
        for name, future in asked.items():
            try:
                found[name] = _found_topic(name, await self._answer(future))
            except KafkaException as error:
                if error_of(error).code() in _DENIED:
                    denied.append(name)
                elif error_of(error).code() not in UNKNOWN_TOPIC:
                    raise broker_error(error_of(error), f"describing the topic {name}") from error
        mismatches = await self._compare([spec for spec in specs if spec.name in found])
        return Topics(found, tuple(denied), mismatches)

    async def close(self) -> None:
        """Nothing is held: the client ends with this object."""

    async def _greet(self) -> None:
        """Wait until Kafka answers anything at all, and hear why it does not.

        Raises:
            KafkaException: nobody has answered.
        """
        asked = self._admin.describe_topics(TopicCollection([NOBODYS]), request_timeout=_SECONDS)
        try:
            for future in asked.values():
                await self._answer(future)
        except KafkaException as error:
            if error_of(error).code() < 0:  # librdkafka's own; that there is no such topic is an answer
                raise

    async def _compare(self, specs: Sequence[TopicSpec]) -> dict[str, Sequence[str]]:
        try:
            compared = await self._topics.compare(specs)
        except BrokerError as error:
            if error.code != "broker_refused":
                raise
            # Settings that this user may not read differ in nothing that could be told; the right is missed.
            return {}
        return {name: topic.mismatches for name, topic in compared.items()}

    async def _answer(self, asked: "Future[Any]") -> Any:
        """Wait for an answer, and serve the client's callbacks meanwhile."""
        waiting = asyncio.wrap_future(asked)
        while not waiting.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await asyncio.shield(waiting)
            self._admin.poll(0)
        return waiting.result()

    def _note(self, error: KafkaError) -> None:
        self._trouble.note(error.code(), f"{error.name()}: {error.str()}", now=self._clock())


def _rights(operations: Sequence[Any] | None) -> frozenset[str] | None:
    return None if operations is None else frozenset(each.name for each in operations)


def _found_topic(name: str, described: Any) -> FoundTopic:
    partitions = described.partitions
    return FoundTopic(
        name=name,
        partitions=len(partitions),
        replicas=min(len(one.replicas) for one in partitions),
        in_sync=min(len(one.isr) for one in partitions),
        rights=_rights(described.authorized_operations),
    )
