"""Random bytes, drawn from the system many at a time, for one thread that wants a few very often.

Each call of the system lets another Python thread go on, and on a busy process this one waits for its turn
again, longer than the call takes. Not for keys or secrets: what was not handed out yet lies in memory.
"""

from collections.abc import Callable
from typing import Final

_AT_ONCE: Final = 4_096


class Drawn:
    """Hands out what `entropy` gives, each byte once. Not for several threads, or processes that fork."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._left = b""
        self._at = 0

    def some(self, count: int) -> bytes:
        """So many random bytes."""
        if count > _AT_ONCE:
            return self._entropy(count)
        if len(self._left) - self._at < count:
            self._left, self._at = self._entropy(_AT_ONCE), 0
        self._at += count
        return self._left[self._at - count : self._at]
