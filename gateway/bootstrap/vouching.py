"""Whether a record of a partner's inbound topic is one that the gateway accepted, as consumers may ask."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from audit.receipt import parse_receipt
from gateway.broker.port import Read
from gateway.database import Database
from gateway.keys import KeyRing
from gateway.sequencer.restoring import find_own
from gateway.sequencer.sighting import Accepted, Sighting, is_signed, read_sighting, sight

_NOTICED_MS: Final = 10_000
"""Until every process knows that a key was frozen: a second or two, by a clock that may be 5 s ahead."""

_Vouch = Callable[[Read, str], int | None]


def vouch_by(
    keys: Callable[[], KeyRing], database: Database
) -> Callable[[Iterable[tuple[Read, str]]], Awaitable[_Vouch]]:
    """What looks at some records with their partners, and then says of each when we accepted it, or None.

    What its receipt says of the event, the datum and the place is compared, and its signature verified.
    `keys`: our keys as of now. By one that is compromised, what it says to have signed before that is ours:
    whoever wrote it has had to write to the topic, too. One that was frozen as of that very moment has
    signed what was accepted until every process knew. Of what else it signed that alone is ours of which
    the database has a claim with this very receipt, made at our own door.

    The look raises AwayError where claims have to be asked for and the database is away.
    """

    async def look(some: Iterable[tuple[Read, str]]) -> _Vouch:
        ring = keys()
        ends = {one.id: end for one in ring.known if (end := _end_of(ring, one.id)) is not None}
        late: set[tuple[bytes, str]] = set()
        for read, partner in some if ends else ():
            one = _read(read, partner, ring)
            if one is not None and _is_late(one, ends):
                late.add((one.ref, one.receipt))
        proved = await database.read(lambda session: find_own(session, late)) if late else frozenset()

        def vouch(read: Read, partner: str) -> int | None:
            one = _read(read, partner, ring)
            if one is None or (_is_late(one, ends) and one.receipt not in proved):
                return None
            return one.draft.at

        return vouch

    return look


def _read(read: Read, partner: str, ring: KeyRing) -> Accepted | None:
    """What a record says to be, in words that a key of ours signed."""
    found = sight(read, partner=partner, direction="inbound")
    accepted = read_sighting(found) if isinstance(found, Sighting) else None
    if not isinstance(accepted, Accepted) or not is_signed(accepted, ring.public_keys("receipt")):
        return None
    return accepted


def _is_late(one: Accepted, ends: dict[str, int]) -> bool:
    end = ends.get(parse_receipt(one.receipt.encode()).key_id) if ends else None
    return end is not None and one.draft.at >= end


def _end_of(ring: KeyRing, key_id: str) -> int | None:
    key = next(one for one in ring.known if one.id == key_id)
    if key.compromised_at is None or key.retired_at is None or key.compromised_at < key.retired_at:
        return key.compromised_at
    return key.compromised_at + _NOTICED_MS
