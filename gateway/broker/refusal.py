"""What the broker does not let a role read: told as long as it lasts, without a flicker.

A reader says so every second or two and reads all else on meanwhile, so that silence is the only sign of
a grant.
"""

from dataclasses import dataclass, field
from typing import Final

from gateway.broker.port import BrokerError
from gateway.logs import logger

QUIET_MS: Final = 5_000
"""A refusal that was not repeated for so long holds no more."""


@dataclass(slots=True)
class Refusal:
    """What a reader was refused of late. Times: milliseconds of a clock that nobody sets."""

    _heard: dict[str, int] = field(default_factory=dict, init=False)

    def note(self, error: BrokerError, *, now: int) -> None:
        """Take note of a refusal; new words are an error in the log."""
        if str(error) not in self._heard:
            logger(__name__).error("reading is refused", reason=str(error))
        self._heard[str(error)] = now

    def words(self, *, now: int) -> str:
        """What is refused, of several the one that was first; empty where nothing is, or not any more."""
        self._heard = {words: at for words, at in self._heard.items() if now - at <= QUIET_MS}
        return next(iter(self._heard), "")
