"""The broker: how many nodes, which topics, which rights, how large a record."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.broker.embedded_inspection import Place
from gateway.broker.inspection import Cluster, FoundTopic
from gateway.doctor.finding import Area, Finding
from gateway.positions import Reached

BROKER: Final = Area("broker")
_SERIOUS: Final = ("max.message.bytes", "cleanup.policy", "unclean.leader.election")
_LEAVE: Final = ": leave them"
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the settings ask of Kafka. `is_loopback`: every server is this machine.

    `has_properties`: there is a file that may say TLS and a password.
    """

    servers: str
    replication: int
    checkpoint_topic: str
    has_properties: bool
    is_loopback: bool


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long events and claims are kept, milliseconds; as text too."""

    broker_ms: int
    claims_ms: int
    broker: str
    claims: str


def judge_cluster(cluster: Cluster, wanted: Wanted) -> Iterator[Finding]:
    """Judge the brokers, and the way to them."""
    yield BROKER.ok(f"Kafka answers at {wanted.servers}, with {cluster.nodes} broker(s)")
    if cluster.nodes < wanted.replication:
        yield BROKER.fault(
            f"broker.replication is {wanted.replication}, and Kafka has {cluster.nodes} broker(s): "
            "no topic can be made",
            f"set broker.replication = {cluster.nodes}, or wait until all brokers are up",
        )
    elif wanted.replication < 3 and not wanted.is_loopback:  # noqa: PLR2004 - what survives the loss of one
        yield BROKER.warning(
            f"broker.replication is {wanted.replication}: one lost disk can take events with it",
            "use three brokers and broker.replication = 3",
        )
    if not (wanted.has_properties or wanted.is_loopback):
        yield BROKER.warning(
            "Kafka is spoken to without TLS and password",
            "name the provider's client.properties in broker.properties_file, or keep it in a network apart",
        )


def judge_silence(servers: str, why: str) -> Finding:
    """Judge a Kafka that gave no answer; `why` may end in how to mend it, as the adapter says it."""
    what, _, mend = why.rpartition(": ")
    if not mend.startswith("check "):
        what, mend = why, "see that Kafka is up, and that broker.url and broker.properties_file fit it"
    return BROKER.fault(f"Kafka does not answer at {servers}: {what}", mend)


def judge_topics(
    found: Mapping[str, FoundTopic], wanted: Sequence[str], mismatches: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """Judge the topics: those of `wanted` that are there, and how they differ from what they should be."""
    missing = [name for name in wanted if name not in found]
    differing = [(name, words) for name in dict.fromkeys(wanted) for words in mismatches.get(name, ())]
    for words, others in _alike(differing):
        yield _mismatch(words, others)
    behind = [one for one in found.values() if one.in_sync < one.replicas]
    lagging = [
        (one.name, f"{one.name} has {one.in_sync} of {one.replicas} replicas in sync") for one in behind
    ]
    for words, others in _alike(lagging):
        yield BROKER.warning(words + others, "see that all brokers are up")
    if missing:
        yield BROKER.warning(
            f"{len(missing)} topic(s) are missing: {few(missing)}",
            "a running gateway makes them, if its user may CREATE; else make them yourself",
        )
    if len(missing) < len(wanted):
        yield BROKER.ok(f"{len(wanted) - len(missing)} of our topics are there")


def _alike(told: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Of topics and words, those whose words differ in the topic only, once: the first, and who else."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for name, words in told:
        alike.setdefault(words.replace(name, "*"), []).append((name, words))
    for (_, words), *others in alike.values():
        yield words, f"; likewise {few([name for name, _ in others])}" if others else ""


def _mismatch(words: str, others: str) -> Finding:
    what, _, mend = words.rpartition(_LEAVE)
    if what:
        mend = _LEAVE.removeprefix(": ") + mend
    else:
        what, _, command = words.partition(": kafka-")
        what = what.removesuffix("; grant it")
        mend = f"kafka-{command}" if command else "change the topic, or the setting under [broker]"
    is_serious = any(name in words for name in _SERIOUS)
    return BROKER.fault(what + others, mend) if is_serious else BROKER.warning(what + others, mend)


def judge_keeping(keeping: Keeping) -> Finding:
    """Judge how long a repeat is recognised against how long its record is there."""
    if keeping.claims_ms < keeping.broker_ms:
        return BROKER.warning(
            f"retention.claims ({keeping.claims}) is shorter than broker.retention ({keeping.broker}): a "
            "repeat can be taken for new while its record is still there",
            f"set retention.claims = {keeping.broker!r}",
        )
    return BROKER.ok(f"claims are kept {keeping.claims}, events {keeping.broker}")


def judge_sizes(body_bytes: int, record_bytes: int) -> Finding:
    """Say what the largest event is: the body's limit, or the broker's for a whole record."""
    if body_bytes > 2 * record_bytes:
        return BROKER.warning(
            f"ingress.body_bytes is {body_bytes}, and a record holds {record_bytes} at most: larger events "
            "are read, and then refused with 413",
            f"set ingress.body_bytes to {record_bytes} or less",
        )
    return BROKER.ok(f"a record may have {record_bytes} bytes, encoded, with its headers")


def judge_embedded(path: str, used: int, limit: int) -> Finding:
    """Judge how full the embedded broker is."""
    share = 100 * used // limit
    words = f"the embedded broker {path} holds {used >> 20} MiB of {limit >> 20} ({share} %)"
    if share >= 95:  # noqa: PLR2004 - nearly full
        mend = "raise broker.embedded_bytes, or shorten broker.retention"
        return BROKER.fault(f"{words}: then events get 503 storage_full", mend)
    if share >= 80:  # noqa: PLR2004 - in time to act
        return BROKER.warning(words, "raise broker.embedded_bytes, or shorten broker.retention")
    return BROKER.ok(words)


def judge_belonging(reached: Sequence[Reached], there: Mapping[tuple[str, int], Place]) -> Finding:
    """Judge whether the embedded broker's file has all that this database has read of it."""
    mend = "restore the file and the database from one backup of the whole folder"
    ids = {topic: place.topic_id for (topic, _), place in there.items()}
    for one in reached:
        if one.topic not in ids:
            return BROKER.fault(f"the broker's file has no topic {one.topic}, which was read", mend)
        place = there.get((one.topic, one.partition))
        if place is not None and place.topic_id == one.topic_id and place.next < one.next:
            words = f"{one.topic} ends at {place.next} in the broker's file, and was read up to {one.next}"
            return BROKER.fault(words, mend)
    strange = sorted(
        {one.topic for one in reached} - {one.topic for one in reached if ids[one.topic] == one.topic_id}
    )
    if strange:
        return BROKER.fault(f"the broker's file is another database's: {few(strange)}", mend)
    return BROKER.ok("the broker's file belongs to this database")


def few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
