"""What callers were told: for each event the one receipt, and where the event belongs. Digests only."""

import base64
import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Taken:
    """An acknowledged event: its partner and direction, digests of its receipt and of the evidence in it."""

    partner: str
    direction: str
    receipt: bytes
    evidence: bytes


@dataclass(slots=True)
class Acknowledged:
    """All 2xx answers of a run, by ref; a second receipt for one event is kept as what it is, a fault."""

    events: dict[str, Taken] = field(default_factory=dict)
    second_receipts: list[str] = field(default_factory=list)
    repeats: int = 0

    def note(self, ref: str, receipt: str, *, partner: str = "acme", direction: str = "inbound") -> None:
        """Keep one answer."""
        taken = Taken(partner, direction, digest(receipt.encode()), digest(payload_of(receipt)))
        first = self.events.setdefault(ref, taken)
        if first is not taken:
            self.repeats += 1
        if first != taken:
            self.second_receipts.append(ref)

    def of(self, direction: str) -> set[str]:
        """The refs of one direction."""
        return {ref for ref, taken in self.events.items() if taken.direction == direction}


def payload_of(receipt: str) -> bytes:
    """The evidence in a receipt."""
    text = receipt.split(".")[1]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def digest(raw: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(raw).digest()
