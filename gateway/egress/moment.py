"""Now, for who must not act once a lease is over."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, by two clocks of this host, in ms: one may be set, the other stands still while a machine sleeps.

    A lease lasts by the database's clock, which is neither. Whichever says that time is over is believed.
    """

    wall: int
    ticks: int

    def after(self, ms: int) -> "Moment":
        """So much later, by both."""
        return Moment(self.wall + ms, self.ticks + ms)

    def is_past(self, other: "Moment") -> bool:
        """Whether the other is over, by either."""
        return self.wall >= other.wall or self.ticks >= other.ticks


NEVER: Final = Moment(0, 0)
"""Over at any time."""
