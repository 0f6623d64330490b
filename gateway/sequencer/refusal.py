"""What the broker does not let the sequencer read: told as long as it lasts, without a flicker.

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
    """The newest refusal of a reader. Times: milliseconds of a clock that nobody sets."""

    _words: str = field(default="", init=False)
    _at: int = field(default=0, init=False)

    def note(self, error: BrokerError, *, now: int) -> None:
        """Take note of a refusal; new words are an error in the log."""
        if str(error) != self._words:
            logger(__name__).error("reading is refused", reason=str(error))
        self._words, self._at = str(error), now

    def words(self, *, now: int) -> str:
        """What is refused; empty where nothing is, or not any more."""
        if now - self._at > QUIET_MS:
            self._words = ""
        return self._words
