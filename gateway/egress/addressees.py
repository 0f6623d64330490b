"""Whom a partner's events go to today: what its state makes of its endpoints."""

from collections.abc import Iterable
from dataclasses import replace

from gateway.catalog import Snapshot
from partners.endpoint import Endpoint
from partners.partner import Partner


def endpoints_of(snapshot: Snapshot, partner: Partner) -> tuple[Endpoint, ...]:
    """The partner's own, and the house's that get what it sends, whatever its state."""
    return (*own_endpoints(snapshot, partner), *snapshot.directory.house_endpoints(partner.slug))


def own_endpoints(snapshot: Snapshot, partner: Partner) -> tuple[Endpoint, ...]:
    """Those of a partner that is not active get nothing: they count as paused; if it is closed, as gone."""
    if partner.state == "closed":
        return ()
    found = snapshot.directory.endpoints(partner.slug)
    if partner.state == "active":
        return found
    return tuple(replace(each, state="paused") for each in found)


def ended_with(snapshot: Snapshot, partners: Iterable[Partner]) -> tuple[Endpoint, ...]:
    """The endpoints of those partners that are closed: what is owed to them is parked."""
    closed = [one.slug for one in partners if one.state == "closed"]
    return tuple(each for slug in closed for each in snapshot.directory.endpoints(slug))
