"""Endpoints that nobody has named and that something waits for: new ones, or ones that are gone."""

from collections.abc import Container, Iterable, Mapping, Sequence

from gateway.egress.backlog import Backlog
from gateway.egress.debts import Partition
from gateway.egress.delivery import Delivery


def find_strangers(
    waiting: Mapping[str, Sequence[Delivery]],
    backlogs: Iterable[Backlog],
    partitions: Iterable[Partition],
    named: Container[str],
) -> dict[str, str]:
    """Those for whom deliveries wait, or ranges, with their owners; `named`: those that are known."""
    owners = {each.spot: each.partner for each in partitions}
    found = {key: each[0].partner for key, each in waiting.items()}
    for backlog in backlogs:
        owner = backlog.owner or owners.get(backlog.key[1:])
        if backlog.endpoint not in named and owner is not None:
            found[backlog.endpoint] = owner
    return found
