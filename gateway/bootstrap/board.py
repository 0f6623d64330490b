"""What each worker has counted and changed, where its fellows can read it: memory shared by fork.

A slot outlives its worker: the next one in that seat goes on from there, so that no sum ever falls.
"""

import json
import mmap
import zlib
from collections.abc import Sequence
from struct import Struct
from typing import Final

from gateway.errors import BugError
from gateway.metrics import Readings

SLOT_BYTES: Final = 262_144
_HEAD: Final = Struct("<II")
"""Length and CRC-32: a reader that meets a half-written slot must notice."""

_TRIES: Final = 100


class Board:
    """Made before the workers are forked; each has a number from 0."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        # A row for each worker: how many changes of each it has heard of; of its own, how many it made.
        self._heard = memoryview(mmap.mmap(-1, slots * slots * 8)).cast("Q")
        self._memory = mmap.mmap(-1, slots * SLOT_BYTES)
        self._last: dict[int, Readings] = {}

    def post(self, number: int, readings: Readings) -> None:
        """Replace what a slot holds; only its own worker does."""
        body = json.dumps([[name, labels, value] for (name, labels), value in readings.items()]).encode()
        if _HEAD.size + len(body) > SLOT_BYTES:
            raise BugError(f"{len(body)} bytes of metrics do not fit")
        start = number * SLOT_BYTES
        whole = _HEAD.pack(len(body), zlib.crc32(body)) + body
        self._memory[start : start + len(whole)] = whole

    def read(self, number: int) -> Readings:
        """What a slot holds; what it held before while somebody writes it for too long."""
        start = number * SLOT_BYTES
        for _ in range(_TRIES):
            length, crc = _HEAD.unpack(self._memory[start : start + _HEAD.size])
            if length > SLOT_BYTES - _HEAD.size:
                continue
            body = self._memory[start + _HEAD.size : start + _HEAD.size + length]
            if zlib.crc32(body) == crc:
                self._last[number] = _parse(body)
                break
        return self._last.get(number, {})

    def read_others(self, number: int) -> Sequence[Readings]:
        """What all slots but this one hold."""
        return [self.read(other) for other in range(self._slots) if other != number]

    def change(self, number: int) -> int:
        """Tell the others that a worker has changed something; the number of that change."""
        place = number * self._slots + number
        self._heard[place] += 1
        return self._heard[place]

    def changes(self) -> tuple[int, ...]:
        """How many changes each worker has made."""
        return tuple(self._heard[one * self._slots + one] for one in range(self._slots))

    def hear(self, number: int, changes: Sequence[int]) -> None:
        """Note that a worker knows of these changes of the others."""
        for other, count in enumerate(changes):
            if other != number:
                self._heard[number * self._slots + other] = count

    def is_heard(self, number: int, change: int) -> bool:
        """Whether every other worker knows of a worker's change."""
        others = (other for other in range(self._slots) if other != number)
        return all(self._heard[other * self._slots + number] >= change for other in others)


def _parse(body: bytes) -> Readings:
    found = json.loads(body) if body else []
    return {(name, tuple((key, text) for key, text in labels)): value for name, labels, value in found}
