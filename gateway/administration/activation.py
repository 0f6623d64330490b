"""New partners become active once both their topics exist: nothing may be lost for want of one."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from sqlmodel import Session

from gateway.catalog import Catalog
from gateway.database import Database
from partners import onboarding, store

_MOST_AT_ONCE: Final = 200


async def activate(database: Database, catalog: Catalog) -> None:
    """Make partners active whose topics the catalog has found.

    Raises:
        AwayError: the database is away; some may be active now.
    """
    snapshot = catalog.current
    ready = [
        partner.slug
        for partner in snapshot.directory.partners()
        if partner.state == "provisioning"
        and snapshot.is_ready(partner.topics.inbound)
        and snapshot.is_ready(partner.topics.outbound)
    ]
    for start in range(0, len(ready), _MOST_AT_ONCE):
        await database.write(partial(make_active, slugs=ready[start : start + _MOST_AT_ONCE]))
    if ready:
        await catalog.follow()


def make_active(session: Session, slugs: Sequence[str]) -> None:
    """Make partners active that are being provisioned; others stay as they are."""
    store.lock(session)
    for slug in slugs:
        found = store.partner(session, slug)
        if found is not None and found[0].state == "provisioning":  # else an operator was quicker
            onboarding.set_partner_state(session, slug, "active")
