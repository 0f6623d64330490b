"""Administrative requests that librdkafka never answers."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, Final, TypeVar, cast

import confluent_kafka.admin
import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from gateway.broker import kafka_topics
from gateway.broker.kafka_admin import KafkaAdmin
from gateway.broker.kafka_topics import KafkaTopics
from gateway.broker.port import BrokerError, Topic, TopicSpec

K = TypeVar("K")

_ADMIN: Final[Any] = confluent_kafka.admin


class Forgetful:
    """An administrator that takes every request and answers none by itself."""

    def __init__(self) -> None:
        self.asked: list[Future[Any]] = []

    def describe_topics(self, topics: Any, *, request_timeout: float) -> Mapping[str, Future[Any]]:
        assert request_timeout > 0
        return {name: self._future() for name in topics.topic_names}

    def list_offsets(self, asked: Mapping[Any, Any], *, request_timeout: float) -> Mapping[Any, Future[Any]]:
        assert request_timeout > 0
        return {partition: self._future() for partition in asked}

    def _future(self) -> Future[Any]:
        self.asked.append(Future())
        return self.asked[-1]


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> Forgetful:
    monkeypatch.setattr(kafka_topics, "_GRACE_SECONDS", 0.02 - kafka_topics._REQUEST_SECONDS)
    return Forgetful()


def topics_of(admin: Forgetful) -> KafkaTopics:
    return KafkaTopics(KafkaAdmin(lambda: cast("AdminClient", admin)), replication=1, max_record_bytes=1_000)


async def test_a_request_that_is_never_answered_is_a_broker_that_is_away(admin: Forgetful) -> None:
    topics = topics_of(admin)
    asks: Sequence[Callable[[], Any]] = (
        lambda: topics.describe(["one"]),
        lambda: topics.end_offsets([("one", 0)]),
    )
    for ask in asks:
        with pytest.raises(BrokerError) as caught:
            await ask()
        assert caught.value.code == "broker_unavailable"


async def test_an_answer_that_comes_too_late_disturbs_nobody(admin: Forgetful) -> None:
    topics = topics_of(admin)
    for _ in range(2):
        with pytest.raises(BrokerError):
            await topics.describe(["one"])
    refused, answered = admin.asked
    refused.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
    answered.set_result(None)
    await asyncio.sleep(0)


class Obliging(Forgetful):
    """Answers at once, and notes how much each request was about."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, list[int]] = {}

    def describe_topics(self, topics: Any, *, request_timeout: float) -> Mapping[str, Future[Any]]:
        asked = super().describe_topics(topics, request_timeout=request_timeout)
        partition = SimpleNamespace(replicas=[1], leader=1)
        described = SimpleNamespace(topic_id="id", partitions=[partition])
        return self._answered("describe", asked, described)

    def describe_configs(self, resources: Any, *, request_timeout: float) -> Mapping[Any, Future[Any]]:
        assert request_timeout > 0
        return self._answered("configs", {one: self._future() for one in resources}, {})

    def list_offsets(self, asked: Mapping[Any, Any], *, request_timeout: float) -> Mapping[Any, Future[Any]]:
        found = super().list_offsets(asked, request_timeout=request_timeout)
        return self._answered("offsets", found, SimpleNamespace(offset=7))

    def create_topics(self, topics: Any, *, request_timeout: float) -> Mapping[str, Future[Any]]:
        assert request_timeout > 0
        return self._answered("create", {one.topic: self._future() for one in topics}, None)

    def _answered(self, name: str, asked: Mapping[K, Future[Any]], answer: object) -> Mapping[K, Future[Any]]:
        self.sizes.setdefault(name, []).append(len(asked))
        for future in asked.values():
            future.set_result(answer)
        return asked


async def test_topics_of_many_partners_are_asked_for_in_requests_of_a_bounded_size() -> None:
    admin = Obliging()
    topics = topics_of(admin)
    names = [f"t{number}" for number in range(250)]
    assert set(await topics.describe(names)) == set(names)
    specs = [TopicSpec(name) for name in names]
    assert set(await topics.compare(specs)) == set(names)
    assert await topics.end_offsets([(name, 0) for name in names]) == [7] * 250
    await topics._create(specs)
    assert all(max(sizes) <= 100 for sizes in admin.sizes.values())
    assert {name: sum(sizes) for name, sizes in admin.sizes.items()} == {
        "describe": 500,
        "configs": 250,
        "offsets": 250,
        "create": 250,
    }
    assert await topics.describe([]) == {}


class Behind(Obliging):
    """Its broker tells of a topic, for a few questions more, that was deleted."""

    def __init__(self, told: int) -> None:
        super().__init__()
        self.told = told
        self.made: list[str] = []

    def describe_topics(self, topics: Any, *, request_timeout: float) -> Mapping[str, Future[Any]]:
        assert request_timeout > 0
        self.told -= 1
        if self.told < 0 and not self.made:
            return self._refused({name: self._future() for name in topics.topic_names})
        asked = {name: self._future() for name in topics.topic_names}
        partition = SimpleNamespace(replicas=[1], leader=1)
        described = SimpleNamespace(topic_id="new" if self.made else "old", partitions=[partition])
        return self._answered("describe", asked, described)

    def describe_configs(self, resources: Any, *, request_timeout: float) -> Mapping[Any, Future[Any]]:
        if not self.made:
            return self._refused({one: self._future() for one in resources})
        return super().describe_configs(resources, request_timeout=request_timeout)

    def create_topics(self, topics: Any, *, request_timeout: float) -> Mapping[str, Future[Any]]:
        self.made += [one.topic for one in topics]
        return super().create_topics(topics, request_timeout=request_timeout)

    @staticmethod
    def _refused(asked: Mapping[K, Future[Any]]) -> Mapping[K, Future[Any]]:
        for future in asked.values():
            future.set_exception(KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))
        return asked


@pytest.mark.parametrize("told", range(5))
async def test_a_topic_that_a_broker_still_tells_of_is_made_all_the_same(told: int) -> None:
    admin = Behind(told)
    made = await topics_of(admin).ensure([TopicSpec("one")])
    assert made["one"].id == "new"
    assert admin.made == ["one"]


async def test_a_topic_that_is_gone_before_its_settings_are_read_is_not_compared() -> None:
    assert await topics_of(Behind(1)).compare([TopicSpec("one")]) == {}


class Strict(Obliging):
    """Its topics keep records for a second; what altering one of them ends in, by name."""

    def __init__(self, **errors: int) -> None:
        super().__init__()
        self.errors = errors
        self.altered: dict[str, dict[str, str]] = {}

    def describe_configs(self, resources: Any, *, request_timeout: float) -> Mapping[Any, Future[Any]]:
        assert request_timeout > 0
        settings = {**BARE, "retention.ms": "1000"}
        told = {name: SimpleNamespace(value=value) for name, value in settings.items()}
        return self._answered("configs", {one: self._future() for one in resources}, told)

    def incremental_alter_configs(
        self, resources: Any, *, request_timeout: float
    ) -> Mapping[Any, Future[Any]]:
        assert request_timeout > 0
        self.sizes.setdefault("alter", []).append(len(resources))
        asked = {one: self._future() for one in resources}
        for one, future in asked.items():
            if one.name in self.errors:
                future.set_exception(KafkaException(KafkaError(self.errors[one.name])))
                continue
            entries = one.incremental_configs
            assert all(each.incremental_operation is _ADMIN.AlterConfigOpType.SET for each in entries)
            self.altered[one.name] = {each.name: each.value for each in entries}
            future.set_result(None)
        return asked


BARE = {"cleanup.policy": "delete", "max.message.bytes": "10000000"}


def held(name: str, least_ms: int = 5_000) -> TopicSpec:
    return TopicSpec(name, retention_ms=6_000, least_ms=least_ms)


async def test_topics_that_are_too_short_are_lengthened_in_requests_of_a_bounded_size() -> None:
    admin = Strict()
    names = [f"t{number}" for number in range(150)]
    found = await topics_of(admin).ensure([*map(held, names), held("long enough", 1_000), TopicSpec("free")])
    assert admin.altered == {name: {"retention.ms": "6000"} for name in names}
    assert admin.sizes["alter"] == [100, 50]
    assert {found[name] for name in names} == {Topic("id", keeps_ms=6_000)}
    assert (found["long enough"].keeps_ms, found["free"].keeps_ms) == (1_000, 1_000)


async def test_comparing_lengthens_nothing() -> None:
    admin = Strict()
    (words,) = (await topics_of(admin).compare([held("one")]))["one"].mismatches
    assert "retention.ms=1000, wanted: 6000: kafka-configs.sh" in words
    assert admin.altered == {}


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "--operation AlterConfigs --topic denied"),
        (KafkaError.POLICY_VIOLATION, "POLICY_VIOLATION"),
        (KafkaError._UNSUPPORTED_FEATURE, "_UNSUPPORTED_FEATURE"),
    ],
)
async def test_what_kafka_does_not_let_us_lengthen_is_told_and_holds_up_no_other(
    error: int, why: str
) -> None:
    admin = Strict(denied=error)
    found = await topics_of(admin).ensure([held("denied"), held("other")])
    short, refused = found["denied"].mismatches
    assert "retention.ms=1000, wanted: 6000: kafka-configs.sh" in short
    assert refused.startswith("lengthening the topic denied: Kafka refuses")
    assert why in refused
    assert found["denied"].keeps_ms == 1_000
    assert found["other"].mismatches == ()


async def test_a_kafka_that_is_away_while_it_lengthens_is_away() -> None:
    with pytest.raises(BrokerError) as away:
        await topics_of(Strict(one=KafkaError._TIMED_OUT)).ensure([held("one")])
    assert away.value.code == "broker_unavailable"


async def test_a_topic_that_goes_while_it_is_lengthened_is_no_error() -> None:
    found = await topics_of(Strict(one=KafkaError.UNKNOWN_TOPIC_OR_PART)).ensure([held("one")])
    assert len(found["one"].mismatches) == 1
