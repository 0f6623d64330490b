"""What each worker has counted, where its fellows can read it: memory shared by fork, one slot for each.

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


def _parse(body: bytes) -> Readings:
    found = json.loads(body) if body else []
    return {(name, tuple((key, text) for key, text in labels)): value for name, labels, value in found}
