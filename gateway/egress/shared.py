"""A record of a partner's inbound topic, read for somebody whom the event goes on to.

That is the house, whose endpoints get what the partner sends, or another partner, to which the contract
forwards a type. Only what the gateway accepted counts: a record whose receipt does not vouch for it is passed
over, as consumers do. Whether an event is for another partner says the contract that its receipt names,
however late it is read: of all others that partner is told nothing, whatever a range or a replay holds beside
its own. Pure.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

from audit.ref import format_ref
from gateway.broker.port import Position, Read
from gateway.catalog import Snapshot
from gateway.channels import Channel
from gateway.egress.addressees import own_endpoints
from gateway.egress.delivery import Delivery
from gateway.egress.intake import Carried, NoEvent, Unasked, take_in
from gateway.egress.reading import Passed, Reading, Refused, Routed, routed
from gateway.errors import BugError
from gateway.event import EventKey
from gateway.logs import logger
from gateway.positions import share
from gateway.readers import CLOCKS_APART_MS
from gateway.tombstones import received_ref
from partners.contract import Forward
from partners.endpoint import Endpoint, party_of
from partners.forwarding import Agreed
from schemas.errors import DatumError, SchemaError
from schemas.resolution import avro_reader_for
from schemas.schema import Schema


@dataclass(frozen=True, slots=True)
class Vouched:
    """What the receipt of a partner's record says: its event, accepted when, and by which contract.

    `at`: Unix milliseconds, by the clock of whoever accepted it. `contract`: a revision.
    """

    key: EventKey
    at: int
    contract: int


Vouch = Callable[[Read, str], Vouched | None]
"""What vouches for a partner's record; None: the gateway did not accept this record."""

Vouching = Callable[[Iterable[tuple[Read, str]]], Awaitable[Vouch]]
"""Looks at records with their partners, and gives what vouches for them; AwayError: that is not known now."""

Why = Literal["sent", "replayed"]

_TYPE: Final = "ce_type"
_PAIRS: Final = 1_024

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """Where records come from and what vouches for them. `url`: our origin."""

    origin: str
    url: str
    vouch: Vouch


@dataclass(frozen=True, slots=True)
class Onward:
    """What is to be told of an event in the log of the partner that sent it; `code`: why it did not go on."""

    ref: str
    source: str
    id: str
    event_type: str
    to: str
    becomes: str
    code: str | None


def read_shared(
    read: Read,
    owner: str,
    snapshot: Snapshot,
    source: Source,
    *,
    gone: tuple[Endpoint, ...] = (),
    why: Why = "sent",
) -> Reading:
    """Read one record of `source.origin`'s inbound topic for an owner of endpoints.

    `gone`: endpoints that are no more, and that something is still owed to. `why` it is read: it was `sent`,
    lately or while an endpoint took nothing; then it goes on as the contract says by which it was accepted,
    whatever later ones say. Or it is `replayed`, and the house has what came before its endpoint, too, but
    another partner nothing of before this line of the contract, and nothing that is forwarded no longer.
    """
    partner, side = party_of(owner)
    if side == "house":
        return _for_house(read, partner, snapshot, source, gone, is_of_any_age=why == "replayed")
    return _for_partner(read, partner, snapshot, source, gone, why)


def onward_of(reading: Reading, event_type: str, forward: Forward) -> Onward | None:
    """What the sender's log is to say of an event that was read for another partner; None: nothing."""
    if isinstance(reading, Routed):
        key, code = reading.key, None
    elif isinstance(reading, Refused) and reading.key is not None:
        key, code = reading.key, reading.code
    else:
        return None
    ref = format_ref(key.ref())
    return Onward(ref, key.source, key.id, event_type, forward.to, forward.event_type, code)


def forward_of(read: Read, owner: str, snapshot: Snapshot, origin: str) -> tuple[str, Forward] | None:
    """The type of a record, and how contracts forward it to an owner, or did; None: they never did."""
    event_type = _type_of(read) or ""
    line = snapshot.directory.forwards(origin).get((event_type, owner))
    return None if line is None else (event_type, Forward(line.to, line.name))


def is_erased(delivery: Delivery, erased: AbstractSet[bytes]) -> bool:
    """Whether the event of a delivery was erased, for everybody or for the one that it goes to."""
    if not erased:
        return False
    return delivery.ref in erased or received_ref(delivery.partner, delivery.ref) in erased


def sender_on(snapshot: Snapshot, topic: str) -> str | None:
    """Whose inbound topic it is."""
    found = (one.slug for one in snapshot.directory.partners() if one.topics.inbound == topic)
    return next(found, None)


def seen_by(read: Read, owner: str | None) -> Read:
    """The record at the place where it stands for the owner that the topic is read for, among others."""
    if owner is None:
        return read
    at = read.position
    return replace(read, position=replace(at, topic_id=share(at.topic_id, owner)))


def _for_house(
    read: Read,
    partner: str,
    snapshot: Snapshot,
    source: Source,
    gone: tuple[Endpoint, ...],
    *,
    is_of_any_age: bool,
) -> Reading:
    event_type = _type_of(read)
    there = (*snapshot.directory.house_endpoints(partner), *gone)
    if event_type is None or not _is_listened_to(there, event_type):
        return Passed()
    seen = _vouched(read, source)
    if seen is None:
        return Passed()
    there = tuple(each for each in there if is_of_any_age or _came_after(read.position, seen.at, each))
    found = _take_in(read, snapshot, source)
    if isinstance(found, NoEvent):
        return _refused(found, read) if _is_listened_to(there, event_type) else Passed()
    reading = routed(found, there, source.url)
    return reading if reading.endpoints else Passed()


def _for_partner(
    read: Read,
    partner: str,
    snapshot: Snapshot,
    source: Source,
    gone: tuple[Endpoint, ...],
    why: Why,
) -> Reading:
    event_type = _type_of(read) or ""
    line = snapshot.directory.forwards(source.origin).get((event_type, partner))
    if line is None or not (line.lasts or why == "sent"):
        return Passed()
    seen = _vouched(read, source)
    if seen is None or not _is_agreed(line, seen, snapshot, source.origin, why):
        return Passed()
    if _is_erased_for(partner, seen.key, snapshot):
        return Passed()
    found = _take_in(read, snapshot, source)
    if isinstance(found, NoEvent):
        # Its faults are of the sender's schema.
        return _refused(replace(found, key=seen.key, type=line.name, faults=()), read)
    channel = snapshot.channel(partner, line.name, "outbound")
    if channel is None:
        return _refused(NoEvent("event_type_unknown", seen.key, line.name), read)
    account = snapshot.directory.partner(partner)
    there = (*(() if account is None else own_endpoints(snapshot, account)), *gone)
    return _as_received(found, line.name, channel, there, source.url)


def _came_after(at: Position, accepted_at: int, endpoint: Endpoint) -> bool:
    """Whether an event was accepted once an endpoint of the house was made, or may have been.

    Where the topic ended then tells, where that is known. Clocks tell as far as they can: nothing is kept
    from an endpoint by two that differ.
    """
    begins = endpoint.begins
    if begins is None or begins[0] != at.topic_id:
        return accepted_at >= endpoint.created_at - CLOCKS_APART_MS
    return at.offset >= begins[1] or accepted_at > endpoint.created_at + CLOCKS_APART_MS


def is_newer(seen: Vouched, snapshot: Snapshot, origin: str) -> bool:
    """Whether an event was accepted by a contract that this snapshot does not know yet."""
    contract = snapshot.directory.contract(origin)
    return contract is None or seen.contract > contract.revision


def _is_agreed(line: Agreed, seen: Vouched, snapshot: Snapshot, origin: str, why: Why) -> bool:
    """Whether the contract by which an event was accepted gives it to the partner that a line is for.

    A new name for the type loses nothing that is on its way, and hands over nothing of before once more. By a
    contract that a restored database has lost nothing is given away, though another has its number by now.
    """
    is_lost = not line.was_there(seen.contract, seen.at + CLOCKS_APART_MS)
    if is_lost or is_newer(seen, snapshot, origin):
        _log.warning("relay.contract_unknown", partner=origin, contract=seen.contract)
        return False
    return seen.contract >= line.begun if why == "replayed" else line.was_in(seen.contract)


def _is_erased_for(partner: str, key: EventKey, snapshot: Snapshot) -> bool:
    """Whether the event was erased, for everybody or for the partner that it goes on to."""
    erased = snapshot.erased
    return bool(erased) and (key.ref() in erased or received_ref(partner, key.ref()) in erased)


def _as_received(
    sent: Carried, becomes: str, channel: Channel, endpoints: tuple[Endpoint, ...], url: str
) -> Reading:
    """The event in the form of the schema under which the other partner receives it."""
    wanted = channel.versions[0]
    digest = hashlib.sha256(sent.data).digest()
    try:
        datum = _reader_for(sent.version.schema, wanted.schema)(sent.data)
        decoded = wanted.codec.decode(datum)
    except DatumError as error:
        return Refused("event_invalid", digest, sent.key, becomes, error.faults)
    except SchemaError:
        return Refused("schema_incompatible", digest, sent.key, becomes)
    search = channel.search_of(decoded.values)
    # Its digest, too: the sender's own would say something of what is left out.
    # And its contract: nothing of the sender's is told in the other's log.
    own = replace(sent, type=becomes, channel=channel, version=wanted, search=search)
    taken = replace(own, data=datum, json=decoded.json)
    return routed(taken, endpoints, url)


@lru_cache(_PAIRS)
def _reader_for(writer: Schema, reader: Schema) -> Callable[[bytes], bytes]:
    return avro_reader_for(writer.root, reader.root)


def _is_listened_to(there: tuple[Endpoint, ...], event_type: str) -> bool:
    return any(each.listens_to(event_type) for each in there)


def _vouched(read: Read, source: Source) -> Vouched | None:
    seen = source.vouch(read, source.origin)
    if seen is None:
        place = {"topic": read.record.topic, "offset": read.position.offset}
        _log.warning("relay.record_not_ours", **place)
    return seen


def _take_in(read: Read, snapshot: Snapshot, source: Source) -> Carried | NoEvent:
    found = take_in(read, snapshot, source.origin, "inbound")
    if isinstance(found, Unasked):
        raise BugError("what is inbound the gateway itself has written, under schemas that it holds")
    return found


def _refused(found: NoEvent, read: Read) -> Refused | Passed:
    if found.is_erased:
        return Passed()
    digest = hashlib.sha256(read.record.value or b"").digest()
    return Refused(found.code, digest, found.key, found.type, found.faults)


def _type_of(read: Read) -> str | None:
    named = [value for name, value in read.record.headers if name == _TYPE and value is not None]
    return named[0].decode("utf-8", "replace") if len(named) == 1 else None
