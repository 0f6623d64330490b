"""Endpoints that nobody has named and that something waits for: new ones, or ones that are gone."""

from collections.abc import Container, Iterable, Mapping

from gateway.egress.backlog import Backlog
from gateway.egress.debts import Partition


def find_strangers(
    waiting: Mapping[str, str],
    backlogs: Iterable[Backlog],
    partitions: Iterable[Partition],
    named: Container[str],
) -> dict[str, str]:
    """Those for whom deliveries wait, or ranges, with their owners; `named`: those that are known."""
    owners = {each.spot: each.partner for each in partitions}
    found = dict(waiting)
    for backlog in backlogs:
        owner = backlog.owner or owners.get(backlog.key[1:])
        if backlog.endpoint not in named and owner is not None:
            found[backlog.endpoint] = owner
    return found
