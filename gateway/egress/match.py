"""An event against a partner's endpoints: who is to get it."""

from collections.abc import Callable, Sequence

from gateway.egress.delivery import Delivery
from partners.endpoint import Endpoint, Skip


def match(endpoints: Sequence[Endpoint], event_type: str, data: Callable[[], object]) -> tuple[Endpoint, ...]:
    """The endpoints that want an event, in any state: one that is paused is owed it later.

    `data`: as `Endpoint.wants` has it.
    """
    return tuple(each for each in endpoints if each.wants(event_type, data))


def group_of(endpoint: Endpoint, record_key: bytes | None) -> str | None:
    """The order group of a delivery: one for the endpoint, one a record key, or None where none is asked."""
    if endpoint.order == "endpoint":
        return ""
    if endpoint.order == "key" and record_key is not None:
        return record_key.hex()
    return None


def lane_group(delivery: Delivery) -> str | bytes:
    """The group that a delivery waits in, in its lane; without an order it is one of its own."""
    return delivery.ref if delivery.group is None else delivery.group


def skip_for(endpoint: Endpoint, delivery: Delivery) -> Skip | None:
    """What says that a delivery is given up; None where it is wanted."""
    at = delivery.position
    return endpoint.skip_of(at.topic_id, at.partition, at.offset, wanted_at=delivery.wanted_at)
