"""Bodies of events that are still arriving, bounded by what each sender makes us keep meanwhile.

They take no place among those under way (see `gateway.http.crowd`): whoever sends slowly keeps nobody else
out. What they cost is memory, and that is counted for each sender by itself.
"""

from collections.abc import Hashable
from typing import Final, Self

from gateway.errors import OverloadedError

EACH_BYTES: Final = 128 * 2**20
"""Of one sender, in one process."""

REQUEST_BYTES: Final = 32 * 2**10
"""What a request costs beside its body."""


class Arriving:
    """What arrives, of whom. For one event loop."""

    def __init__(self, each: int = EACH_BYTES) -> None:
        """`each`: bytes of one sender."""
        self.each = each
        self._kept: dict[Hashable, int] = {}

    def body(self, owner: Hashable) -> "ArrivingBody":
        """One more body of a sender, from the beginning of the block until its end."""
        return ArrivingBody(self, owner)

    def bytes_of(self, owner: Hashable) -> int:
        """What is kept for a sender now."""
        return self._kept.get(owner, 0)

    def add(self, owner: Hashable, size: int) -> None:
        """Keep more.

        Raises:
            OverloadedError: that is more than may be kept for one sender.
        """
        kept = self._kept.get(owner, 0) + size
        if kept > self.each:
            text = f"requests of yours with {self.each >> 20} MiB are arriving, as much as may be"
            raise OverloadedError(f"{text}; send fewer at a time, and try again")
        self._kept[owner] = kept

    def give_back(self, owner: Hashable, size: int) -> None:
        """Keep less."""
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
