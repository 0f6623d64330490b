from dataclasses import replace

from gateway.broker.inspection import Cluster, FoundTopic
from gateway.doctor.finding import Finding, Level
from gateway.doctor.rights import ALL, judge_denied, judge_rights

OWN = "gateway.checkpoints"
CLUSTER = Cluster(3, frozenset({"CREATE"}))
NOTHING = Cluster(3, frozenset())
CHECKPOINTS = FoundTopic(OWN, 1, 3, 3, ALL)
TOPIC = FoundTopic("partners.acme.inbound", 1, 3, 3, ALL)


def judged(cluster: Cluster, *topics: FoundTopic, missing: tuple[str, ...] = ()) -> list[Finding]:
    return list(judge_rights(cluster, {one.name: one for one in topics}, missing, OWN))


def test_rights_for_every_role_are_good() -> None:
    (one,) = judged(CLUSTER, TOPIC, CHECKPOINTS)
    assert one.level is Level.OK


def test_a_user_of_one_role_is_warned_of_the_others_with_the_command_that_gives_the_right() -> None:
    read = frozenset({"READ", "DESCRIBE"})
    found = judged(CLUSTER, replace(TOPIC, rights=read), replace(CHECKPOINTS, rights=read))
    assert {one.level for one in found} == {Level.WARNING}
    told = {one.what: one.mend for one in found}
    assert told[f"this user may not WRITE on {OWN}: gateway sequence needs it"].endswith(
        f"--operation Write --topic {OWN}"
    )
    serve = told["this user may not DESCRIBE_CONFIGS, WRITE on partners.acme.inbound: gateway serve needs it"]
    assert "--operation DescribeConfigs --operation Write --topic partners.acme.inbound" in serve
    assert not any("relay" in words for words in told)


def test_rights_for_no_role_are_a_fault() -> None:
    found = judged(CLUSTER, replace(TOPIC, rights=frozenset({"DESCRIBE"})), CHECKPOINTS)
    assert {one.level for one in found} == {Level.FAULT}


def test_one_topic_speaks_for_all_that_lack_the_same() -> None:
    read = frozenset({"READ"})
    topics = [replace(TOPIC, name=f"partners.p{number}.inbound", rights=read) for number in range(50)]
    assert len(judged(CLUSTER, *topics, CHECKPOINTS)) == 1


def test_the_right_to_make_topics_is_missed_only_where_some_are_missing() -> None:
    assert [one.level for one in judged(NOTHING, TOPIC)] == [Level.OK]
    bad = [one for one in judged(NOTHING, TOPIC, missing=("other",)) if one.level is not Level.OK]
    assert ["may not CREATE" in one.what for one in bad] == [True]
    assert [one.level for one in judged(CLUSTER, TOPIC, missing=("other",))] == [Level.OK]
    by_prefix = replace(TOPIC, rights=ALL | {"CREATE"})
    assert [one.level for one in judged(NOTHING, by_prefix, missing=("other",))] == [Level.OK]


def test_a_kafka_that_tells_no_rights_is_not_accused() -> None:
    assert judged(Cluster(1, None), replace(TOPIC, rights=None), missing=("other",)) == []


def test_topics_that_may_not_be_looked_at_are_a_fault() -> None:
    found = judge_denied([TOPIC.name])
    assert (found.level, TOPIC.name in found.what) == (Level.FAULT, True)
