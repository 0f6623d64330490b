"""A record with a receipt, as the sequencer sees it: which event it says it is, and what its receipt says.

Where a receipt is byte-equal to its claim's, the claim vouches for its form, its signature and what it says
of the event: only what it says of the record is looked for in it. The others are read, and verified.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from audit.entry import Draft, draft_entry
from audit.errors import MalformedError, VerificationError
from audit.evidence import Kind
from audit.receipt import parse_receipt, payload_of_own, verify_receipt
from gateway.broker.port import Position, Read
from gateway.event import Direction, EventKey
from gateway.record import Unreadable, decode_record

_NAMES: Final = frozenset({"id", "source", "type"})
_AUTH_BEGINS: Final = b'"auth":{'
_AUTH: Final = re.compile(rb'"auth":\{"method":"[^"\\]*","credential":(?:"([^"\\]*)"|null)\}')


@dataclass(frozen=True, slots=True)
class Sighting:
    """A record of a partner's topic that carries a receipt; it may not be ours.

    key, type, ref: the event as the record's headers name it. sha256: of the datum, in hex.
    """

    read: Read
    key: EventKey
    type: str
    ref: bytes
    receipt: str = field(repr=False)
    sha256: str

    @property
    def position(self) -> Position:
        """Where the record is."""
        return self.read.position


@dataclass(frozen=True, slots=True)
class Suspect:
    """A record that no gateway of ours can have written like this; counted and reported, never sequenced."""

    read: Read
    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """What the claim of an event holds: its receipt, what that says, and what the event is found by."""

    receipt: str = field(repr=False)
    leaf_index: int | None
    log: str
    at: int
    event_type: str
    content_sha256: bytes
    search: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted event on its way into its log: its receipt, where its record is or was, and the entry."""

    ref: bytes
    receipt: str = field(repr=False)
    position: Position
    draft: Draft


def sight(read: Read, *, partner: str, direction: Direction) -> Sighting | Suspect | None:
    """Look at one record of a partner's topic.

    None: an outbound record without a receipt, which is the relay's to log.
    """
    envelope = decode_record(read.record)
    if isinstance(envelope, Unreadable):
        return Suspect(read, envelope.code) if direction == "inbound" else None
    if envelope.receipt is None:
        return Suspect(read, "receipt_missing") if direction == "inbound" else None
    named = envelope.attributes
    if not named.keys() >= _NAMES:
        return Suspect(read, "receipt_foreign")
    key = EventKey(partner, direction, named["source"], named["id"])
    sha256 = hashlib.sha256(envelope.data).hexdigest()
    return Sighting(read, key, named["type"], key.ref(), envelope.receipt, sha256)


def vouched(one: Sighting, held: Held) -> Accepted | None:
    """The event of a record whose receipt is its claim's; None where that says something else of the record.

    A text inside the evidence cannot pass for the member that is looked for: its quotation marks would stand
    behind backslashes.
    """
    raw = payload_of_own(one.receipt)
    record = one.read.record
    place = (
        f'"record":{{"sha256":"{one.sha256}","topic":"{record.topic}","partition":{one.position.partition}}}'
    )
    if one.type != held.event_type or place.encode() not in raw:
        return None
    draft = Draft(
        raw=raw,
        log=held.log,
        kind=Kind.ACCEPTED,
        at=held.at,
        ref=one.ref,
        partner=one.key.partner,
        direction=one.key.direction,
        source=one.key.source,
        event_id=one.key.id,
        event_type=one.type,
        credential=_credential(raw),
        digest=held.content_sha256,
        search=held.search,
    )
    return Accepted(one.ref, one.receipt, one.position, draft)


def _credential(raw: bytes) -> str | None:
    """The credential that evidence names; found as the record is, from the end, where it stands."""
    found = _AUTH.match(raw, max(0, raw.rfind(_AUTH_BEGINS)))
    return None if found is None or found[1] is None else found[1].decode()


def read_sighting(one: Sighting) -> Accepted | Suspect:
    """The event of a record by what its receipt says, whose signature is not verified."""
    try:
        receipt = parse_receipt(one.receipt.encode("ascii", "replace"))
    except MalformedError:
        return Suspect(one.read, "receipt_malformed")
    evidence, record = receipt.evidence, receipt.evidence.members["record"]
    if record["sha256"] != one.sha256:
        return Suspect(one.read, "record_altered")
    draft = draft_entry(evidence)
    is_here = (record["topic"], record["partition"]) == (one.read.record.topic, one.position.partition)
    said = (draft.partner, draft.direction, draft.source, draft.event_id, draft.event_type, draft.ref)
    seen = (one.key.partner, one.key.direction, one.key.source, one.key.id, one.type, one.ref)
    if not is_here or said != seen:
        return Suspect(one.read, "receipt_foreign")
    return Accepted(one.ref, one.receipt, one.position, draft)


def is_signed(one: Accepted, keys: Mapping[str, bytes]) -> bool:
    """Whether one of `keys`, by id, signed the receipt."""
    try:
        verify_receipt(one.receipt.encode(), keys)
    except VerificationError:
        return False
    return True
