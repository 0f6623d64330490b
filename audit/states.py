"""What an event's state is called, and by which kind and code of entry it gets there."""

from collections.abc import Mapping
from typing import Final

from audit.kinds import Kind

STATES: Final[Mapping[str, tuple[Kind, str | None]]] = {
    "accepted": (Kind.ACCEPTED, None),
    "refused": (Kind.REFUSED, None),
    "unreadable": (Kind.UNREADABLE, None),
    "unrouted": (Kind.UNROUTED, None),
    "forwarded": (Kind.FORWARDED, None),
    "retry": (Kind.ATTEMPTED, "retry"),
    "held": (Kind.ATTEMPTED, "held"),
    "delivered": (Kind.ATTEMPTED, "delivered"),
    "parked": (Kind.PARKED, None),
    "acknowledged": (Kind.ACKNOWLEDGED, None),
    "cancelled": (Kind.CANCELLED, None),
    "streamed": (Kind.STREAM_ACKNOWLEDGED, None),
    "read": (Kind.CONTENT_READ, None),
}
"""What a state is called, and by which kind and code of entry an event reaches it.

`read`: our side has looked at its content; that is no state, and an event stays what it was. A look at many
events at once, as at a stream, has a row of its own. `streamed`: a reader of a stream has said how far it has
them; a row of its own, too.
"""


def state_of(kind: Kind, code: str | None) -> str:
    """The state that an entry brings its event to; empty where it brings none."""
    for state, (state_kind, state_code) in STATES.items():
        if kind is state_kind and state_code in {None, code}:
            return state
    return ""


def newer_state(known: str, kind: Kind, code: str | None) -> str:
    """The state of an event that was `known` (empty: none yet), once one more entry of it is read."""
    state = state_of(kind, code)
    # A refused request with the id of an event that was accepted changes nothing about that event.
    is_beside = state in {"", "read"} or (state == "refused" and known != "")
    return known if is_beside else state


def is_told_by(kind: Kind, state: str) -> bool:
    """Whether an entry of this kind, whatever its code, brings its event to the state."""
    return STATES[state] == (kind, None)
