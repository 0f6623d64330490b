from dataclasses import replace

import pytest

from gateway.broker import kafka_differences as differences
from gateway.broker.embedded_inspection import Place
from gateway.broker.inspection import Cluster, FoundTopic
from gateway.broker.kafka_differences import Demands
from gateway.broker.port import TopicSpec
from gateway.doctor.broker import (
    Keeping,
    Wanted,
    judge_belonging,
    judge_cluster,
    judge_embedded,
    judge_keeping,
    judge_silence,
    judge_sizes,
    judge_topics,
)
from gateway.doctor.finding import Finding, Level
from gateway.positions import Reached

WANTED = Wanted("k:9092", 3, "gateway.checkpoints", has_properties=True, is_loopback=False)
CLUSTER = Cluster(3, frozenset({"CREATE"}))
TOPIC = FoundTopic("partners.acme.inbound", 1, 3, 3, None)


def bad(findings: object) -> list[Finding]:
    assert isinstance(findings, list)
    return [one for one in findings if one.level is not Level.OK]


def test_three_nodes_over_tls_are_good() -> None:
    assert bad(list(judge_cluster(CLUSTER, WANTED))) == []


def test_fewer_nodes_than_replicas_are_a_fault() -> None:
    (one,) = bad(list(judge_cluster(Cluster(1, None), WANTED)))
    assert (one.level, "set broker.replication = 1" in one.mend) == (Level.FAULT, True)


def test_one_replica_and_no_password_are_warnings_beyond_this_machine() -> None:
    seen = replace(WANTED, replication=1, has_properties=False)
    assert [one.level for one in bad(list(judge_cluster(CLUSTER, seen)))] == [Level.WARNING] * 2
    assert bad(list(judge_cluster(CLUSTER, replace(seen, is_loopback=True)))) == []


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ("t has max.message.bytes=1000, wanted: 1048000", Level.FAULT),
        ("t has cleanup.policy=compact, wanted: delete", Level.FAULT),
        ("t has unclean.leader.election.enable=true: it may lose acknowledged records", Level.FAULT),
        ("t has 1 replicas, 3 are wanted", Level.WARNING),
        ("t has retention.ms=1, wanted: 2", Level.WARNING),
    ],
)
def test_a_topic_that_differs_is_a_fault_where_events_would_be_refused_or_lost(
    words: str, level: Level
) -> None:
    (one,) = bad(list(judge_topics({TOPIC.name: TOPIC}, [TOPIC.name], {TOPIC.name: [words]})))
    assert (one.level, one.what) == (level, words)


def named(count: int) -> dict[str, FoundTopic]:
    return {name: replace(TOPIC, name=name) for name in (f"partners.p{n}.inbound" for n in range(count))}


def test_what_differs_alike_on_many_topics_is_told_once_with_some_of_their_names() -> None:
    topics = named(200)
    demands = Demands(3, 1_048_000)
    found = differences.FoundTopic("id", 1, 3, is_led=True)
    said = {name: demands.mismatches(TopicSpec(name), found, None) for name in topics}
    (one,) = bad(list(judge_topics(topics, list(topics), said)))
    assert one.what.startswith("partners.p0.inbound: whether its settings are right cannot be told")
    assert one.what.endswith(
        "; likewise partners.p1.inbound, partners.p2.inbound, partners.p3.inbound, "
        "partners.p4.inbound, partners.p5.inbound and 194 more"
    )
    assert one.mend.startswith("kafka-acls.sh --add")
    assert "grant it" not in one.what


def test_replicas_out_of_sync_alike_are_told_once() -> None:
    topics = {name: replace(one, in_sync=1) for name, one in named(3).items()}
    topics["partners.p2.inbound"] = replace(topics["partners.p2.inbound"], in_sync=2)
    assert [one.what for one in bad(list(judge_topics(topics, list(topics), {})))] == [
        "partners.p0.inbound has 1 of 3 replicas in sync; likewise partners.p1.inbound",
        "partners.p2.inbound has 2 of 3 replicas in sync",
    ]


def test_more_partitions_than_wanted_are_left_as_the_words_say() -> None:
    found = differences.FoundTopic("id", 4, 3, is_led=True)
    said = Demands(3, 1_048_000).mismatches(TopicSpec(TOPIC.name), found, {})
    (one,) = bad(list(judge_topics({TOPIC.name: TOPIC}, [TOPIC.name], {TOPIC.name: said})))
    assert one.what.endswith("Kafka takes none away, and they do no harm")
    assert one.mend == "leave them, or set broker.partitions = 4"


def test_missing_topics_and_replicas_are_counted() -> None:
    behind = replace(TOPIC, in_sync=2)
    lagging, missing = bad(list(judge_topics({TOPIC.name: behind}, [TOPIC.name, "other"], {})))
    assert "2 of 3 replicas in sync" in lagging.what
    assert "1 topic(s) are missing: other" in missing.what


def test_silence_is_explained_by_the_adapters_words() -> None:
    said = "asking: Kafka cannot answer now (_TIMED_OUT: x); _SSL: failed: check the truststore"
    found = judge_silence("k:9092", said)
    assert found.mend == "check the truststore"
    assert "broker.url" in judge_silence("k:9092", "asking: Kafka cannot answer now (_TIMED_OUT: x)").mend


def test_claims_outlive_the_records_that_they_know() -> None:
    assert judge_keeping(Keeping(5, 5, "5d", "5d")).level is Level.OK
    short = judge_keeping(Keeping(5, 4, "5d", "4d"))
    assert (short.level, "retention.claims = '5d'" in short.mend) == (Level.WARNING, True)


def test_bodies_far_beyond_a_record_are_a_warning() -> None:
    assert judge_sizes(1 << 20, 1_000_000).level is Level.OK
    assert judge_sizes(16 << 20, 1_000_000).level is Level.WARNING


@pytest.mark.parametrize(("used", "level"), [(10, Level.OK), (80, Level.WARNING), (95, Level.FAULT)])
def test_the_embedded_broker_is_judged_by_its_limit(used: int, level: Level) -> None:
    assert judge_embedded("/d/broker.db", used, 100).level is level


REACHED = (Reached("t", "id-1", 0, 7), Reached("t", "id-0", 0, 99))


@pytest.mark.parametrize(
    ("there", "level", "words"),
    [
        ({("t", 0): Place("id-1", 7)}, Level.OK, "belongs to this database"),
        ({("t", 0): Place("id-1", 6)}, Level.FAULT, "t ends at 6"),
        ({}, Level.FAULT, "has no topic t"),
        ({("t", 0): Place("id-9", 50)}, Level.FAULT, "is another database's: t"),
    ],
)
def test_a_broker_file_of_another_time_or_database_is_a_fault(
    there: dict[tuple[str, int], Place], level: Level, words: str
) -> None:
    found = judge_belonging(REACHED, there)
    assert found.level is level
    assert words in found.what
