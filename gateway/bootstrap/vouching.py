"""Whether a record of a partner's inbound topic is one that the gateway accepted, as consumers may ask."""

from collections.abc import Callable
from typing import Final

from audit.receipt import parse_receipt
from gateway.broker.port import Read
from gateway.keys import KeyRing
from gateway.sequencer.sighting import Accepted, Sighting, is_signed, read_sighting, sight

_NOTICED_MS: Final = 10_000
"""Until every process knows that a key was frozen: a second or two, by a clock that may be 5 s ahead."""


def vouch_by(keys: Callable[[], KeyRing]) -> Callable[[Read, str], int | None]:
    """A function of a record and its partner: when we accepted it (Unix milliseconds), or None.

    What its receipt says of the event, the datum and the place is compared, and its signature verified.
    `keys`: our keys as of now. By one that is compromised, only what it says to have signed before that is
    ours: whoever wrote it has had to write to the topic, too. One that was frozen as of that very moment has
    signed what was accepted until every process knew.
    """

    def vouch(read: Read, partner: str) -> int | None:
        ring = keys()
        found = sight(read, partner=partner, direction="inbound")
        accepted = read_sighting(found) if isinstance(found, Sighting) else None
        if not isinstance(accepted, Accepted) or not is_signed(accepted, ring.public_keys("receipt")):
            return None
        end = _end_of(ring, parse_receipt(accepted.receipt.encode()).key_id)
        return accepted.draft.at if end is None or accepted.draft.at < end else None

    return vouch


def _end_of(ring: KeyRing, key_id: str) -> int | None:
    key = next(one for one in ring.known if one.id == key_id)
    if key.compromised_at is None or key.retired_at is None or key.compromised_at < key.retired_at:
        return key.compromised_at
    return key.compromised_at + _NOTICED_MS
