"""A record with a receipt, as the sequencer sees it: which event it claims to be, and whether its bytes fit.

Neither the receipt's form nor its signature is verified here: where it is byte-equal to its claim's, the
claim vouches for both, and the round verifies the others.
"""

import hashlib
from dataclasses import dataclass, field

from audit.errors import MalformedError
from audit.evidence import Evidence
from audit.receipt import skim_receipt
from gateway.broker.port import Position, Read
from gateway.event import Direction
from gateway.record import Unreadable, decode_record


@dataclass(frozen=True, slots=True)
class Sighting:
    """A record whose receipt speaks of this topic and datum, as far as it can be read; it may not be ours."""

    read: Read
    ref: bytes
    receipt: str = field(repr=False)
    evidence: Evidence

    @property
    def position(self) -> Position:
        """Where the record is."""
        return self.read.position


@dataclass(frozen=True, slots=True)
class Suspect:
    """A record that no gateway of ours can have written like this; counted and reported, never sequenced."""

    read: Read
    reason: str


def sight(read: Read, *, partner: str, direction: Direction) -> Sighting | Suspect | None:
    """Look at one record of a partner's topic.

    None: an outbound record without a receipt, which is the relay's to log.
    """
    envelope = decode_record(read.record)
    if isinstance(envelope, Unreadable):
        return Suspect(read, envelope.code) if direction == "inbound" else None
    if envelope.receipt is None:
        return Suspect(read, "receipt_missing") if direction == "inbound" else None
    try:
        evidence = skim_receipt(envelope.receipt)
    except MalformedError:
        return Suspect(read, "receipt_malformed")
    record = evidence.members.get("record")
    if not isinstance(record, dict):
        return Suspect(read, "receipt_malformed")
    if record.get("sha256") != hashlib.sha256(envelope.datum).hexdigest():
        return Suspect(read, "record_altered")
    is_here = (record.get("topic"), record.get("partition")) == (read.record.topic, read.position.partition)
    names = (evidence.members.get("partner"), evidence.members.get("direction"))
    if not is_here or names != (partner, direction) or evidence.ref is None:
        return Suspect(read, "receipt_foreign")
    return Sighting(read, evidence.ref, envelope.receipt, evidence)
