"""Whether a record of a partner's inbound topic is one that the gateway accepted, as consumers may ask."""

from collections.abc import Callable

from gateway.broker.port import Read
from gateway.keys import KeyRing
from gateway.sequencer.sighting import Accepted, Sighting, is_signed, read_sighting, sight


def vouch_by(keys: KeyRing) -> Callable[[Read, str], int | None]:
    """A function of a record and its partner: when we accepted it (Unix milliseconds), or None.

    What its receipt says of the event, the datum and the place is compared, and its signature verified.
    """
    known = keys.public_keys("receipt")

    def vouch(read: Read, partner: str) -> int | None:
        found = sight(read, partner=partner, direction="inbound")
        accepted = read_sighting(found) if isinstance(found, Sighting) else None
        if not isinstance(accepted, Accepted) or not is_signed(accepted, known):
            return None
        return accepted.draft.at

    return vouch
