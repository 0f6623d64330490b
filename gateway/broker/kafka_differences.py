"""What Kafka's topics should be like, and how a topic differs from that: each in one line, with its mend.

Nothing here changes a topic: who has made it may have had a reason. One that keeps less than was promised is
lengthened all the same, by `gateway.broker.kafka_topics`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.broker.kafka_errors import grant
from gateway.broker.port import TopicSpec

_AT_LEAST: Final = frozenset({"max.message.bytes", "min.insync.replicas"})
_AT_MOST: Final = frozenset({"segment.ms", "segment.bytes"})
_SEGMENT_MS: Final = 3_600_000
_SEGMENT_BYTES: Final = 16 * 2**20
"""Settings that may be larger than wanted."""

_UNCLEAN: Final = "unclean.leader.election.enable"
RETENTION: Final = "retention.ms"
_RETENTION_BYTES: Final = "retention.bytes"
_FOR_EVER: Final = "-1"
_LONGER: Final = ", and is never shortened by us; once nothing in it waits for an endpoint"


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as Kafka describes it. `replicas`: of the partition with the fewest."""

    id: str
    partitions: int
    replicas: int
    is_led: bool


@dataclass(frozen=True, slots=True)
class Demands:
    """What every topic should be like. With three replicas or more, a write needs all but one of them."""

    replication: int
    batch_bytes: int

    def settings(self, spec: TopicSpec) -> dict[str, str]:
        """Settings of a topic, for making it and for comparing."""
        wanted = {
            "cleanup.policy": "compact" if spec.compacted else "delete",
            "max.message.bytes": str(self.batch_bytes),
        }
        if spec.compacted:
            # Kafka compacts closed segments only; by default one is open for a week, and whoever starts would
            # read all that came in it.
            wanted["segment.ms"] = str(_SEGMENT_MS)
            wanted["segment.bytes"] = str(max(_SEGMENT_BYTES, self.batch_bytes))
        else:
            wanted[RETENTION] = _FOR_EVER if spec.retention_ms is None else str(spec.retention_ms)
        if self.replication > 2:  # noqa: PLR2004  (with two, one broker that is away would stop all writing)
            wanted["min.insync.replicas"] = str(self.replication - 1)
        return wanted

    def mismatches(
        self, spec: TopicSpec, found: FoundTopic, settings: Mapping[str, str] | None
    ) -> tuple[str, ...]:
        """How a topic differs, and how to mend it. `settings` None: our user may not read them."""
        words = [*_numbers(spec, found, self.replication)]
        if settings is None:
            needs = grant("DescribeConfigs", spec.name)
            return (*words, f"{spec.name}: whether its settings are right cannot be told: {needs}")
        for name, wanted in self.settings(spec).items():
            actual = settings.get(name)
            if actual is not None and not _suffices(name, actual, wanted):
                words.append(_differs(spec, name, actual, wanted))
        if spec.least_ms and settings.get(_RETENTION_BYTES, _FOR_EVER) != _FOR_EVER:
            mend = _alter(spec.name, _RETENTION_BYTES, _FOR_EVER)
            actual = settings[_RETENTION_BYTES]
            words.append(
                f"{spec.name} has {_RETENTION_BYTES}={actual}: it may lose what a delivery.hold keeps: {mend}"
            )
        if settings.get(_UNCLEAN) == "true":
            mend = _alter(spec.name, _UNCLEAN, "false")
            words.append(f"{spec.name} has {_UNCLEAN}=true: it may lose acknowledged records: {mend}")
        return tuple(words)

    def longer(self, spec: TopicSpec, settings: Mapping[str, str] | None) -> tuple[str, ...]:
        """Those of `mismatches` that say that a topic keeps its records longer than wanted."""
        actual, wanted = (settings or {}).get(RETENTION), self.settings(spec).get(RETENTION)
        if actual is None or wanted is None or actual == wanted or not _is_longer(actual, wanted):
            return ()
        return (_differs(spec, RETENTION, actual, wanted),)


def _differs(spec: TopicSpec, name: str, actual: str, wanted: str) -> str:
    mend = _alter(spec.name, name, wanted)
    why = _LONGER if name == RETENTION and _is_longer(actual, wanted) else ""
    return f"{spec.name} has {name}={actual}, wanted: {wanted}{why}: {mend}"


def _numbers(spec: TopicSpec, found: FoundTopic, replication: int) -> Iterator[str]:
    counted = f"{spec.name} has {found.partitions} partitions, {spec.partitions} are wanted"
    if found.partitions < spec.partitions:
        yield f"{counted}: kafka-topics.sh --alter --topic {spec.name} --partitions {spec.partitions}"
    elif found.partitions > spec.partitions:
        # The checkpoint topic has one whatever the settings say.
        other = "" if spec.compacted else f", or set broker.partitions = {found.partitions}"
        yield f"{counted}: Kafka takes none away, and they do no harm: leave them{other}"
    if found.replicas < replication:
        yield (
            f"{spec.name} has {found.replicas} replicas, {replication} are wanted: "
            f"kafka-reassign-partitions.sh --execute --reassignment-json-file FILE, where FILE names "
            f"{replication} brokers for each partition of {spec.name}"
        )


def keeps_ms(settings: Mapping[str, str] | None) -> int | None:
    """For how long a topic of these settings keeps its records; None: for ever, or that is not known."""
    told = None if settings is None else settings.get(RETENTION)
    return None if told is None or told == _FOR_EVER else int(told)


def _alter(topic: str, name: str, value: str) -> str:
    return f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {name}={value}"


def _is_longer(actual: str, wanted: str) -> bool:
    return actual == _FOR_EVER or (wanted != _FOR_EVER and int(actual) > int(wanted))


def _suffices(name: str, actual: str, wanted: str) -> bool:
    if name in _AT_MOST:
        return int(actual) <= int(wanted)
    return int(actual) >= int(wanted) if name in _AT_LEAST else actual == wanted
