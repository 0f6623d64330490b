"""Whether a record of a partner's inbound topic is one that the gateway accepted, as consumers may ask."""

from collections.abc import Callable

from audit.receipt import parse_receipt
from gateway.broker.port import Read
from gateway.keys import KeyRing
from gateway.sequencer.sighting import Accepted, Sighting, is_signed, read_sighting, sight


def vouch_by(keys: Callable[[], KeyRing]) -> Callable[[Read, str], int | None]:
    """A function of a record and its partner: when we accepted it (Unix milliseconds), or None.

    What its receipt says of the event, the datum and the place is compared, and its signature verified.
    `keys`: our keys as of now. By one that is compromised, only what it says to have signed before that is
    ours: whoever wrote it has had to write to the topic, too.
    """

    def vouch(read: Read, partner: str) -> int | None:
        ring = keys()
        found = sight(read, partner=partner, direction="inbound")
        accepted = read_sighting(found) if isinstance(found, Sighting) else None
        if not isinstance(accepted, Accepted) or not is_signed(accepted, ring.public_keys("receipt")):
            return None
        end = ring.compromised_at(parse_receipt(accepted.receipt.encode()).key_id)
        return accepted.draft.at if end is None or accepted.draft.at < end else None

    return vouch
