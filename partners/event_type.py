"""The names of event types: what one looks like, and how many of them a list may have."""

import re
from typing import Final

MAX_TYPE: Final = 128
"""Characters."""

MAX_TYPES: Final = 500
"""In one list: of a contract's direction, of an endpoint, of a credential."""

TYPE: Final = re.compile(r"[a-z0-9][a-z0-9_]*(?:\.[a-z0-9][a-z0-9_]*)*")
RULE: Final = (
    f"an event type is words of a-z, 0-9 and '_' joined by dots, at most {MAX_TYPE} characters: order.placed"
)


def is_type(name: str) -> bool:
    """Whether a type can be called so, be it the gateway's own."""
    return len(name) <= MAX_TYPE and TYPE.fullmatch(name) is not None


def is_reserved(name: str) -> bool:
    """Whether it is a name of the gateway's own events, which no contract and no sender has."""
    return name == "gateway" or name.startswith("gateway.")
