"""Bodies of events that are still arriving, bounded by what each sender makes us keep meanwhile.

They take no place among those under way (see `gateway.http.crowd`): whoever sends slowly keeps nobody else
out. What they cost is memory, and that is counted for each sender by itself. Who has proved nothing yet may
name whom it likes: it is counted with where it comes from, so that it takes nothing from whom it names.
"""

import ipaddress
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Self

from gateway.address import unwrap
from gateway.errors import OverloadedError

EACH_BYTES: Final = 128 * 2**20
"""Of one sender, in one process."""

UNPROVED_BYTES: Final = 32 * 2**20
"""Of one place and one name, nothing of which is proved."""

ALL_UNPROVED_BYTES: Final = 512 * 2**20
"""Of all those together."""

REQUEST_BYTES: Final = 32 * 2**10
"""What a request costs beside its body."""


@dataclass(frozen=True, slots=True)
class Unproved:
    """Who says to be the holder of a credential, at a place."""

    credential: str
    place: str

    @classmethod
    def at(cls, credential: str, peer: str) -> "Unproved":
        """`peer`: its address; the 64 bits that one party has of IPv6 are one place."""
        try:
            address = unwrap(ipaddress.ip_address(peer))
        except ValueError:
            return cls(credential, peer)
        is_wide = isinstance(address, ipaddress.IPv6Address)
        return cls(credential, f"{int(address) >> 64:x}::/64" if is_wide else str(address))


class Arriving:
    """What arrives, of whom. For one event loop."""

    def __init__(
        self, each: int = EACH_BYTES, unproved: int = UNPROVED_BYTES, all_unproved: int = ALL_UNPROVED_BYTES
    ) -> None:
        """`each`: bytes of one sender; `unproved`: of one `Unproved`; `all_unproved`: of all of them."""
        self.each = each
        self.unproved = unproved
        self.all_unproved = all_unproved
        self._kept: dict[Hashable, int] = {}
        self._all_unproved = 0

    def body(self, owner: Hashable) -> "ArrivingBody":
        """One more body of a sender, from the beginning of the block until its end."""
        return ArrivingBody(self, owner)

    def bytes_of(self, owner: Hashable) -> int:
        """What is kept for a sender now."""
        return self._kept.get(owner, 0)

    def add(self, owner: Hashable, size: int) -> None:
        """Keep more.

        Raises:
            OverloadedError: that is more than may be kept for one sender, or for all that proved nothing.
        """
        is_unproved = isinstance(owner, Unproved)
        most = self.unproved if is_unproved else self.each
        kept = self._kept.get(owner, 0) + size
        if kept > most:
            text = f"requests of yours with {most >> 20} MiB are arriving, as much as may be"
            raise OverloadedError(f"{text}; send fewer at a time, and try again")
        if is_unproved:
            if self._all_unproved + size > self.all_unproved:
                text = f"webhooks with {self.all_unproved >> 20} MiB are arriving, as much as may be"
                raise OverloadedError(f"{text}; try again")
            self._all_unproved += size
        self._kept[owner] = kept

    def give_back(self, owner: Hashable, size: int) -> None:
        """Keep less."""
        if isinstance(owner, Unproved):
            self._all_unproved -= size
        kept = self._kept.pop(owner) - size
        if kept:
            self._kept[owner] = kept


class ArrivingBody:
    """One body. Raises as `Arriving.add`, at the beginning and with any piece."""

    __slots__ = ("_arriving", "_owner", "_size")

    def __init__(self, arriving: Arriving, owner: Hashable) -> None:
        """`owner`: the sender, or who says to be it."""
        self._arriving = arriving
        self._owner = owner
        self._size = 0

    def receive(self, piece: bytes) -> None:
        """Take note of a piece."""
        size = len(piece)
        self._arriving.add(self._owner, size)
        self._size += size

    def __enter__(self) -> Self:
        """It begins."""
        self._arriving.add(self._owner, REQUEST_BYTES)
        self._size = REQUEST_BYTES
        return self

    def __exit__(self, *_: object) -> None:
        """It is whole, or will never be."""
        self._arriving.give_back(self._owner, self._size)
