"""Which events were erased: what is still on a topic of them is neither delivered nor shown any more.

A topic cannot forget one record before its retention ends; whoever reads it here asks this first. Loaded with
the catalog, so that every process knows within a second or two.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select, text
from sqlmodel import Session, col

from gateway.rows import ClaimRow

OVERLAP_MS: Final = 60_000
"""A transaction that began so long before another may be committed after it."""

_ERASED: Final = text("state = 'erased'")
"""As the index has it, without parameters."""


def received_ref(receiver: str, ref: bytes) -> bytes:
    """What the tombstone of an event is kept under that was erased for a partner it was forwarded to alone.

    The event stays its sender's, under its own ref; there is no event that could have this one.
    """
    return hashlib.sha256(b"gateway/received/v1\0" + receiver.encode() + b"\0" + ref).digest()


Tombstone = tuple[bytes, int]
"""A ref, and when the event was erased by the database's clock."""


@dataclass(slots=True)
class Tombstones:
    """The refs of erased events, as far as their claims are kept; they only become more.

    Some 110 bytes of memory each in every process, until it starts anew.

    `look` runs on an SQL thread, `learn` on the loop, in turns.
    """

    refs: set[bytes] = field(default_factory=set)
    _since: int = 0

    def look(self, session: Session) -> Sequence[Tombstone]:
        """What was erased since the last look, and a little before."""
        columns = (col(ClaimRow.ref), col(ClaimRow.lease_until))
        query = select(*columns).where(_ERASED, col(ClaimRow.lease_until) > self._since - OVERLAP_MS)
        return [(ref, at) for ref, at in session.execute(query)]

    def learn(self, some: Sequence[Tombstone]) -> None:
        """Take over what a look has found."""
        self.refs.update(ref for ref, _ in some)
        self._since = max([self._since, *(at for _, at in some)])
