"""What is odd about the topics of a partner that are there already, and for how long they would keep records.

Told with every plan, in nobody's way.
"""

import asyncio
from typing import Final

from gateway.broker.port import BrokerError
from gateway.catalog import Catalog
from partners.contract import Contract
from partners.partner import Partner

_SECONDS: Final = 2.0
"""A plan waits no longer for the broker."""


async def topic_remarks(catalog: Catalog, partner: Partner, contract: Contract | None) -> tuple[str, ...]:
    """One line for each way in which a topic differs, and for each whose time changes or ought to.

    `contract`: as it would be. None where the broker does not say in time.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            found = await catalog.compare(partner)
            kept = () if contract is None else await catalog.foresee(partner, contract)
    except (BrokerError, TimeoutError):
        return ()
    return (*(f"? topic {words}" for words in found), *kept)
