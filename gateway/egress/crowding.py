"""Whether so much waits for its retry at an endpoint that nothing new is begun with; a value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Crowding:
    """`since`: when it became so (Unix milliseconds); None: it is not.

    It ends with a delivery once half of that is gone, so that it is not told with each one that goes and
    comes, and not of an endpoint that takes nothing, where all that waited was given up.
    """

    since: int | None = None

    def judged(self, waiting: int, limit: int, now: int, *, is_delivered: bool = False) -> "Crowding":
        """After an attempt: so many wait for a retry, of so many at most."""
        if self.since is None:
            return Crowding(now) if waiting >= limit else self
        return Crowding() if is_delivered and waiting * 2 <= limit else self
