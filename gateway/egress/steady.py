"""Our clock for what is under way: where somebody sets it wrong meanwhile, it ends when it began."""

from collections.abc import Callable


class Steady:
    """Unix milliseconds; while the clock is not to be trusted, of the last moment at which it was."""

    def __init__(self, clock: Callable[[], int], doubt: Callable[[], str]) -> None:
        """`doubt`: why the clock is not to be trusted, empty where it is."""
        self._clock = clock
        self._doubt = doubt
        self._last = 0

    def __call__(self) -> int:
        """The time."""
        if not self._last or not self._doubt():
            self._last = self._clock()
        return self._last
