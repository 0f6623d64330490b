"""The order in which several workers run the tests: what takes long first, on each of them.

pytest-xdist gives each worker as many tests as the others, in their order, and lets who has none left take
from the end of another's. Where long ones stand at an end, one worker has the last of them, and a processor
has nothing to do.
"""

from collections.abc import Callable, Sequence
from itertools import groupby, islice
from pathlib import PurePath
from typing import Final, TypeVar

_LONG: Final = frozenset({"acceptance", "contract", "faults", "integration"})
"""Folders of tests that start programs and servers."""

T = TypeVar("T")


def takes_long(path: PurePath) -> bool:
    """Whether a test of this file does."""
    return not _LONG.isdisjoint(path.parts)


def dealt(tests: Sequence[T], workers: int, path: Callable[[T], PurePath]) -> list[T]:
    """All of them, whole files of long ones first on each worker; as they came where few are short."""
    hands: list[list[T]] = [[] for _ in range(workers)]
    long = [one for one in tests if takes_long(path(one))]
    for number, (_, file) in enumerate(groupby(long, path)):
        hands[number % workers].extend(file)
    short = iter([one for one in tests if not takes_long(path(one))])
    left = len(tests)
    for number, hand in enumerate(hands):
        size = left // (workers - number)
        if len(hand) > size:
            return list(tests)
        hand.extend(islice(short, size - len(hand)))
        left -= size
    return [one for hand in hands for one in hand]
