"""An event against a partner's endpoints: who is to get it."""

from collections.abc import Sequence

from partners.endpoint import Endpoint


def match(endpoints: Sequence[Endpoint], event_type: str) -> tuple[Endpoint, ...]:
    """The endpoints that listen to this type, in any state: one that is paused is owed the event later."""
    return tuple(each for each in endpoints if each.listens_to(event_type))


def group_of(endpoint: Endpoint, record_key: bytes | None) -> str | None:
    """The order group of a delivery: one for the endpoint, one a record key, or None where none is asked."""
    if endpoint.order == "endpoint":
        return ""
    if endpoint.order == "key" and record_key is not None:
        return record_key.hex()
    return None
