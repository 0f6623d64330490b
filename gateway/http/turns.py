"""Turns at what only so many may do at once, counted for each caller and for all of them together.

A quarter of them is for those who have few: whoever may have many by its contract, and has them, leaves
the others their share.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from gateway.errors import AwayError, CallerError


class Turns:
    """Who has how many turns now. For one event loop: asks and counts without awaiting in between."""

    def __init__(self, most: int = 8_192, each: int = 8) -> None:
        """`most`: turns of all callers together; `each`: of one of them, where no contract says more."""
        self._most = most
        self.each = each
        self._shared = most - most // 4
        self._held: Counter[Hashable] = Counter()

    @contextmanager
    def turn(self, owner: Hashable, agreed: int | None = None) -> Iterator[None]:
        """Have one turn until the block ends. Takes and raises what `take` does."""
        self.take(owner, agreed)
        try:
            yield
        finally:
            self.give_back(owner)

    def take(self, owner: Hashable, agreed: int | None = None) -> None:
        """Have one more turn, until it is given back. `agreed`: how many this owner may have by its contract.

        Raises:
            CallerError: `quota_exceeded`: this owner has as many as were agreed.
            AwayError: `overloaded`: this owner has as many as anybody, or all together have, or those that
                are left are for owners with fewer. Nobody waits.
        """
        if agreed is not None and self._held[owner] >= agreed:
            text = f"The contract allows {agreed} streams at a time; end one, or try again."
            raise CallerError("quota_exceeded", text)
        if agreed is None and self._held[owner] >= self.each:
            text = f"{self.each} streams are read with your credentials, as many as may be; end one"
            raise AwayError("overloaded", f"{text}, or try again")
        taken = self._held.total()
        if self._held[owner] >= self.each and taken >= self._shared:
            text = f"many streams are read, and what is left is for those who read fewer than {self.each}"
            raise AwayError("overloaded", f"{text}; end one, or try again")
        if taken >= self._most:
            raise AwayError("overloaded", "as many streams are read as may be; try again")
        self._held[owner] += 1

    def give_back(self, owner: Hashable) -> None:
        """Have one turn less."""
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
