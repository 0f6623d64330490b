"""New partners become active once both their topics exist: nothing may be lost for want of one."""

from functools import partial

from sqlmodel import Session

from gateway.catalog import Catalog
from gateway.database import Database
from partners import onboarding, store


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
    for slug in ready:
        await database.write(partial(make_active, slug=slug))
    if ready:
        await catalog.follow()


def make_active(session: Session, slug: str) -> None:
    """Make a partner active that is being provisioned; another one stays as it is."""
    store.lock(session)
    found = store.partner(session, slug)
    if found is None or found[0].state != "provisioning":
        return  # an operator was quicker
    onboarding.set_partner_state(session, slug, "active")
