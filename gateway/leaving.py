"""When credentials that ended long ago leave memory: with a change, once an hour, by a clock that is set."""

from collections.abc import Callable
from typing import Final

from partners.credential import DAY_MS
from partners.credential_index import TOLD_MS

EVERY_MS: Final = 3_600_000
"""How often they are looked for, which goes through all there are."""


class Leaving:
    """`clock`: Unix milliseconds; without one, none leaves."""

    def __init__(self) -> None:
        """Begin without a clock."""
        self.clock: Callable[[], int] | None = None
        self._looked_at = 0

    def was_ahead(self) -> bool:
        """Whether the clock has been set back by more than a day: who left by it then may be in force."""
        return self.clock is not None and self.clock() < self._looked_at - DAY_MS

    def ended_before(self, *, is_first: bool) -> int | None:
        """Those that ended before this instant leave now; None: it is not time to look.

        `is_first`: everything is loaded anew.
        """
        if self.clock is None:
            return None
        now = self.clock()
        if not is_first and now - self._looked_at < EVERY_MS:
            return None
        self._looked_at = now
        return now - TOLD_MS
