"""How long topics must keep their records at least, as contracts have it (`delivery.hold`). Pure.

What a partner's endpoints do not take stays where it was read: in the partner's own outbound topic, and in
the inbound topic of each partner whose contract forwards events to it.
"""

from collections.abc import Mapping
from types import MappingProxyType

from partners.contract import Contract
from partners.directory import Directory
from partners.partner import Partner

_NOTHING: Mapping[str, tuple[Partner, Contract]] = MappingProxyType({})


def held_seconds(
    directory: Directory, coming: Mapping[str, tuple[Partner, Contract]] = _NOTHING
) -> Mapping[str, int]:
    """For how many seconds, by topic; a topic that no hold is about is left out.

    `coming`: contracts, by slug, in place of those in force. Closed partners ask for nothing.
    """
    agreed = {**_in_force(directory), **coming}
    found: dict[str, int] = {}

    def ask(topic: str, contract: Contract) -> None:
        seconds = contract.delivery.hold_seconds
        if seconds:
            found[topic] = max(seconds, found.get(topic, 0))

    for partner, contract in agreed.values():
        ask(partner.topics.outbound, contract)
        for to in _receivers(contract):
            if to in agreed:
                ask(partner.topics.inbound, agreed[to][1])
    return found


def asks_alike(one: Contract, other: Contract) -> bool:
    """Whether two contracts of a partner ask for the same of the same topics."""
    return (one.delivery.hold_seconds or 0, _receivers(one)) == (
        other.delivery.hold_seconds or 0,
        _receivers(other),
    )


def longest_seconds(directory: Directory) -> int:
    """The longest hold in force; 0: there is none."""
    return max((one.delivery.hold_seconds or 0 for _, one in _in_force(directory).values()), default=0)


def _receivers(contract: Contract) -> frozenset[str]:
    return frozenset(terms.forward.to for terms in contract.terms if terms.forward is not None)


def _in_force(directory: Directory) -> dict[str, tuple[Partner, Contract]]:
    return {
        partner.slug: (partner, contract)
        for partner in directory.partners()
        if partner.state != "closed" and (contract := directory.contract(partner.slug)) is not None
    }
