"""A broker as an operator sees it: its nodes, how its topics are, what this user may do. Changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.broker.port import TopicSpec


@dataclass(frozen=True, slots=True)
class Cluster:
    """The brokers that are up. `rights`: what this user may do to the cluster; None: it does not tell."""

    nodes: int
    rights: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic that exists. `replicas`, `in_sync`: of the partition with the fewest.

    `rights`: what this user may do to it, by Kafka's names (`READ`); None: it does not tell.
    """

    name: str
    partitions: int
    replicas: int
    in_sync: int
    rights: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics that were asked for: those found, those this user may not look at, what differs, in words."""

    found: Mapping[str, FoundTopic]
    denied: Sequence[str]
    mismatches: Mapping[str, Sequence[str]]


class Inspection(Protocol):
    """Looks at a broker."""

    async def cluster(self) -> Cluster:
        """The brokers.

        Raises:
            BrokerError: it does not answer, or refuses; says how to mend it.
        """
        ...

    async def topics(self, specs: Sequence[TopicSpec]) -> Topics:
        """The topics among `specs`; makes none. Raises BrokerError."""
        ...

    async def close(self) -> None:
        """Let go; idempotent."""
        ...
