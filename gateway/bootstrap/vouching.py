"""Whether a record of a partner's inbound topic is one that the gateway accepted, as consumers may ask."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from audit.receipt import parse_receipt
from gateway.broker.port import Position, Read
from gateway.database import Database
from gateway.egress.shared import Vouch, Vouched, Vouching
from gateway.keys import KeyRing
from gateway.sequencer.restoring import find_own
from gateway.sequencer.sighting import Accepted, Sighting, is_signed, read_sighting, sight

_NOTICED_MS: Final = 10_000
"""Until every process knows that a key was frozen: a second or two, by a clock that may be 5 s ahead."""

_SLICE: Final = 10


@dataclass(frozen=True, slots=True)
class _Seen:
    """A record that may be ours. `needs_claim`: one of ours has to say so, too."""

    found: Accepted
    vouched: Vouched
    needs_claim: bool


def vouch_by(keys: Callable[[], KeyRing], database: Database) -> Vouching:
    """What looks at some records with their partners, and then says of each what vouches for it.

    What its receipt says of the event, the datum and the place is compared, and its signature verified.
    `keys`: our keys as of now. By one that is compromised, what it says to have signed before that is ours:
    whoever wrote it has had to write to the topic, too. One that was frozen as of that very moment has
    signed what was accepted until every process knew. Of what else it signed that alone is ours of which
    the database has a claim with this very receipt, made at our own door; and of what a key signed that
    this process has not heard of yet, as the successor of a frozen one does at once.

    The look raises AwayError where claims have to be asked for and the database is away.
    """

    async def look(some: Iterable[tuple[Read, str]]) -> Vouch:
        ring = keys()
        ends = {one.id: end for one in ring.known if (end := _end_of(ring, one.id)) is not None}
        seen: dict[tuple[Position, str], _Seen | None] = {}
        for number, (read, partner) in enumerate(some, 1):
            seen[read.position, partner] = _look_at(read, partner, ring, ends)
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        owed = {(one.found.ref, one.found.receipt) for one in seen.values() if one and one.needs_claim}
        proved = await database.read(lambda session: find_own(session, owed)) if owed else frozenset()

        def vouch(read: Read, partner: str) -> Vouched | None:
            place = (read.position, partner)
            found = seen[place] if place in seen else _look_at(read, partner, ring, ends)
            if found is None or (found.needs_claim and found.found.receipt not in proved):
                return None
            return found.vouched

        return vouch

    return look


def _look_at(read: Read, partner: str, ring: KeyRing, ends: dict[str, int]) -> _Seen | None:
    """What a record says to be, and whether a claim of ours has to say so, too; None: it is not ours."""
    found = sight(read, partner=partner, direction="inbound")
    if not isinstance(found, Sighting):
        return None
    one = read_sighting(found)
    if not isinstance(one, Accepted):
        return None
    known = ring.public_keys("receipt")
    if is_signed(one, known):
        return _Seen(one, _vouched(found, one), _is_late(one, ends))
    is_forged = parse_receipt(one.receipt.encode()).key_id in known
    return None if is_forged else _Seen(one, _vouched(found, one), needs_claim=True)


def _vouched(seen: Sighting, one: Accepted) -> Vouched:
    return Vouched(seen.key, one.draft.at, int(json.loads(one.draft.raw)["contract"]))


def _is_late(one: Accepted, ends: dict[str, int]) -> bool:
    end = ends.get(parse_receipt(one.receipt.encode()).key_id) if ends else None
    return end is not None and one.draft.at >= end


def _end_of(ring: KeyRing, key_id: str) -> int | None:
    key = next(one for one in ring.known if one.id == key_id)
    if key.compromised_at is None or key.retired_at is None or key.compromised_at < key.retired_at:
        return key.compromised_at
    return key.compromised_at + _NOTICED_MS
