from dataclasses import replace
from typing import Final

import pytest

from gateway.broker.kafka_differences import Demands, FoundTopic, keeps_ms
from gateway.broker.port import TopicSpec

SPEC: Final = TopicSpec("t", partitions=2, retention_ms=60_000)
DEMANDS: Final = Demands(replication=3, batch_bytes=1_000)
FOUND: Final = FoundTopic("id", partitions=2, replicas=3, is_led=True)
ALTER: Final = "kafka-configs.sh --alter --entity-type topics --entity-name t --add-config "


def test_a_topic_as_it_should_be_has_no_words() -> None:
    assert DEMANDS.mismatches(SPEC, FOUND, DEMANDS.settings(SPEC)) == ()


@pytest.mark.parametrize(
    ("name", "actual", "mend"),
    [
        ("cleanup.policy", "compact", "cleanup.policy=delete"),
        ("retention.ms", "1", "retention.ms=60000"),
        ("max.message.bytes", "999", "max.message.bytes=1000"),
        ("min.insync.replicas", "1", "min.insync.replicas=2"),
        ("unclean.leader.election.enable", "true", "unclean.leader.election.enable=false"),
    ],
)
def test_a_setting_comes_with_the_command_that_mends_it(name: str, actual: str, mend: str) -> None:
    (words,) = DEMANDS.mismatches(SPEC, FOUND, DEMANDS.settings(SPEC) | {name: actual})
    assert words.startswith(f"t has {name}={actual}")
    assert words.endswith(f": {ALTER}{mend}")
    assert "\n" not in words


@pytest.mark.parametrize(("name", "actual"), [("max.message.bytes", "1001"), ("min.insync.replicas", "3")])
def test_more_than_is_wanted_suffices(name: str, actual: str) -> None:
    assert DEMANDS.mismatches(SPEC, FOUND, DEMANDS.settings(SPEC) | {name: actual}) == ()


@pytest.mark.parametrize("actual", ["60001", "-1"])
def test_a_topic_that_keeps_more_is_told_and_not_to_be_shortened_while_something_waits(actual: str) -> None:
    (words,) = DEMANDS.mismatches(SPEC, FOUND, DEMANDS.settings(SPEC) | {"retention.ms": actual})
    what, _, mend = words.partition(": kafka-")
    assert what.startswith(f"t has retention.ms={actual}, wanted: 60000, and is never shortened by us")
    assert what.endswith("once nothing in it waits for an endpoint")
    assert mend.endswith("retention.ms=60000")


def test_a_bound_by_size_is_told_where_a_time_was_promised() -> None:
    bounded = DEMANDS.settings(SPEC) | {"retention.bytes": "1000000"}
    assert DEMANDS.mismatches(SPEC, FOUND, bounded) == ()
    promised = replace(SPEC, least_ms=50_000)
    (words,) = DEMANDS.mismatches(promised, FOUND, bounded)
    assert words.startswith("t has retention.bytes=1000000: it may lose what a delivery.hold keeps: ")
    assert words.endswith(f"{ALTER}retention.bytes=-1")
    assert DEMANDS.mismatches(promised, FOUND, bounded | {"retention.bytes": "-1"}) == ()


def test_for_how_long_a_topic_keeps_its_records_is_known_where_its_settings_are() -> None:
    assert keeps_ms({"retention.ms": "7"}) == 7
    assert [keeps_ms(told) for told in ({"retention.ms": "-1"}, {}, None)] == [None] * 3


@pytest.mark.parametrize(("actual", "count"), [("-1", 1), ("10000", 1), ("5", 0)])
def test_that_a_topic_keeps_its_records_longer_is_told_apart(actual: str, count: int) -> None:
    spec = TopicSpec("t", retention_ms=1_000)
    settings = DEMANDS.settings(spec) | {"retention.ms": actual}
    assert DEMANDS.longer(spec, settings) == (DEMANDS.mismatches(spec, FOUND, settings)[-1:] * count)
    assert DEMANDS.longer(spec, DEMANDS.settings(spec)) == DEMANDS.longer(spec, None) == ()
    assert DEMANDS.longer(TopicSpec("t", compacted=True), settings) == ()


def test_a_compacted_topic_has_small_segments_and_smaller_ones_suffice() -> None:
    ours = TopicSpec("t", compacted=True)
    found = FoundTopic("id", partitions=1, replicas=3, is_led=True)
    wanted = DEMANDS.settings(ours)
    assert "segment.ms" not in DEMANDS.settings(SPEC)
    assert DEMANDS.mismatches(ours, found, wanted | {"segment.ms": "1000", "segment.bytes": "1048576"}) == ()
    (words,) = DEMANDS.mismatches(ours, found, wanted | {"segment.ms": "604800000"})
    assert words.endswith(f"{ALTER}segment.ms=3600000")
    assert Demands(replication=3, batch_bytes=20 * 2**20).settings(ours)["segment.bytes"] == str(20 * 2**20)


def test_missing_partitions_come_with_the_command_that_adds_them() -> None:
    found = FoundTopic("id", partitions=1, replicas=3, is_led=True)
    (words,) = DEMANDS.mismatches(SPEC, found, DEMANDS.settings(SPEC))
    assert words == "t has 1 partitions, 2 are wanted: kafka-topics.sh --alter --topic t --partitions 2"


def test_partitions_to_spare_are_left_or_asked_for() -> None:
    found = FoundTopic("id", partitions=5, replicas=3, is_led=True)
    (words,) = DEMANDS.mismatches(SPEC, found, DEMANDS.settings(SPEC))
    assert words.endswith("leave them, or set broker.partitions = 5")
    ours = TopicSpec("t", compacted=True)
    (words,) = DEMANDS.mismatches(ours, found, DEMANDS.settings(ours))
    assert words.endswith("leave them")


def test_missing_replicas_come_with_the_command_that_adds_them() -> None:
    found = FoundTopic("id", partitions=2, replicas=1, is_led=True)
    (words,) = DEMANDS.mismatches(SPEC, found, DEMANDS.settings(SPEC))
    assert words.startswith("t has 1 replicas, 3 are wanted: kafka-reassign-partitions.sh --execute")
    assert "3 brokers for each partition of t" in words


def test_settings_that_may_not_be_read_are_words_of_their_own() -> None:
    (words,) = DEMANDS.mismatches(SPEC, FOUND, None)
    assert "--operation DescribeConfigs --topic t" in words
