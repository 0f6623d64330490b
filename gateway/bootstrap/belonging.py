"""Does the embedded broker's file belong to this database? Both stand in one folder, and in one backup.

A file that is missing, emptied or older than the database has lost events that were acknowledged. Going on
would give their offsets away a second time, and answer repeats as if the events were there.
"""

from gateway.broker.port import Broker
from gateway.database import Database
from gateway.errors import SetupError
from gateway.positions import Reached, load_reached


class BrokerForeignError(SetupError):
    """The embedded broker has lost what this database knows to be read."""

    code = "broker_foreign"


async def verify_belongs(database: Database, broker: Broker) -> None:
    """Compare what was read of each topic with what the broker has.

    Raises:
        BrokerForeignError: names the topic, and how to mend it.
        BrokerError, StoreError: one of them is away.
    """
    reached = await database.read(load_reached)
    there = await broker.describe(sorted({one.topic for one in reached}))
    known: list[Reached] = []
    for topic in sorted({one.topic for one in reached}):
        ids = {one.topic_id for one in reached if one.topic == topic}
        if topic not in there:
            raise _foreign(f"it has no topic {topic}")
        if there[topic].id not in ids:
            raise _foreign(f"its topic {topic} is another one")
        known += [one for one in reached if one.topic_id == there[topic].id]
    bounds = await broker.bounds([(one.topic, one.partition) for one in known])
    for one, (_, end) in zip(known, bounds, strict=True):
        if end < one.next:
            raise _foreign(f"{one.topic} ends at {end}, and was read up to {one.next}")


def _foreign(found: str) -> BrokerForeignError:
    return BrokerForeignError(
        f"the broker's file does not belong to this database: {found}. It is missing, was emptied, or comes "
        "from an older backup. Restore it and the database from one backup; nothing is taken until then"
    )
