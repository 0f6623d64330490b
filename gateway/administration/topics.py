"""What is odd about the topics of a partner that are there already: told with every plan, in nobody's way."""

import asyncio
from typing import Final

from gateway.broker.port import BrokerError
from gateway.catalog import Catalog
from partners.partner import Partner

_SECONDS: Final = 2.0
"""A plan waits no longer for the broker."""


async def topic_remarks(catalog: Catalog, partner: Partner) -> tuple[str, ...]:
    """One line for each way in which a topic differs; none where the broker does not say in time."""
    try:
        async with asyncio.timeout(_SECONDS):
            found = await catalog.compare(partner)
    except (BrokerError, TimeoutError):
        return ()
    return tuple(f"? topic {words}" for words in found)
