"""What Kafka lets this user do, against what each role needs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from gateway.broker.inspection import Cluster, FoundTopic
from gateway.doctor.broker import BROKER, few
from gateway.doctor.finding import Finding

NEEDED: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "serve": (frozenset({"DESCRIBE_CONFIGS", "WRITE"}), frozenset({"DESCRIBE_CONFIGS", "READ", "WRITE"})),
    "relay": (frozenset({"READ"}), frozenset({"READ"})),
    "sequence": (frozenset({"READ"}), frozenset({"READ", "WRITE"})),
}
"""Role to what it needs on partners' topics, and on the checkpoint topic; READ and WRITE imply DESCRIBE.

`serve` needs CREATE too, where topics are missing. The table of docs/many-machines.md.
"""

ALL: Final = frozenset[str]().union(*(each for pair in NEEDED.values() for each in pair))


def judge_rights(
    cluster: Cluster, found: Mapping[str, FoundTopic], missing: Sequence[str], checkpoint_topic: str
) -> Iterator[Finding]:
    """Judge what this user may do, where Kafka tells it: enough for every role, for some, or for none."""
    told = {name: topic.rights for name, topic in found.items() if topic.rights is not None}
    lacks = {role: _lacking(told, role, checkpoint_topic) for role in NEEDED}
    able = [role for role, lacking in lacks.items() if not lacking]
    if told and len(able) == len(NEEDED):
        yield BROKER.ok("this user's rights are enough for every role")
    for role, lacking in lacks.items():
        for name, rights in lacking.items():
            words = f"this user may not {', '.join(sorted(rights))} on {few([name])}: gateway {role} needs it"
            mend = _command(rights, name)
            yield BROKER.warning(words, mend) if able else BROKER.fault(words, mend)
    may_create = "CREATE" in (cluster.rights or ()) or any("CREATE" in rights for rights in told.values())
    if missing and not may_create and cluster.rights is not None:
        yield BROKER.fault(
            f"this user may not CREATE topics, and {len(missing)} are missing: {few(sorted(missing))}",
            "allow CREATE on topics of broker.topic_prefix (--resource-pattern-type prefixed), or make them",
        )


def judge_denied(names: Sequence[str]) -> Finding:
    """Judge topics that this user may not even look at."""
    return BROKER.fault(f"this user may do nothing with {few(names)}", _command(ALL, names[0]))


def _lacking(
    told: Mapping[str, frozenset[str]], role: str, checkpoint_topic: str
) -> dict[str, frozenset[str]]:
    """What a role lacks; of partners' topics only the first one for each set of rights."""
    partners, own = NEEDED[role]
    lacking: dict[str, frozenset[str]] = {}
    for name, rights in told.items():
        lacks = (own if name == checkpoint_topic else partners) - rights
        if lacks and (name == checkpoint_topic or lacks not in lacking.values()):
            lacking[name] = lacks
    return lacking


def _command(rights: Collection[str], topic: str) -> str:
    operations = " ".join(f"--operation {right.title().replace('_', '')}" for right in sorted(rights))
    return f"kafka-acls.sh --add --allow-principal User:NAME {operations} --topic {topic}"
