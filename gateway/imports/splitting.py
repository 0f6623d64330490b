"""A body that arrives bit by bit, cut into pieces that can be read by themselves: lines, or blocks.

Nothing is held but the piece at hand. Where the body cannot be read on, what came before is still good: the
splitter says where, and passes over the rest. What lines and blocks hold is not looked at here.
Source: Apache Avro 1.12 specification, "Object Container Files".
"""

from typing import Final, Protocol

from gateway.imports.job import Failure, Piece
from schemas.container import SYNC_BYTES, ContainerLimits, read_container
from schemas.errors import ContainerError
from schemas.schema import Schema

PIECE_BYTES: Final = 1024 * 1024
"""A piece is closed once it has so many; a longer line or block is a piece by itself."""

PIECE_ITEMS: Final = 50_000

_LONG_BYTES: Final = 10
"""The most that a 64-bit number takes."""

GO_ON: Final = (
    "Mend the file from there, and import it again: what was taken before is a repeat. "
    "Where the contract has id: generated, import only what was not taken: another file has other ids."
)


class Splitter(Protocol):
    """Cuts one body. `broken`: where it cannot be read on; `items`: how many it has found."""

    broken: Failure | None
    items: int

    def feed(self, data: bytes) -> list[Piece]:
        """Take more of the body; the pieces that are whole now."""
        ...

    def finish(self) -> list[Piece]:
        """The body has ended; the pieces that are left."""
        ...


class LineSplitter:
    """A JSON document a line. Blank lines are no items."""

    def __init__(self, most_line_bytes: int) -> None:
        """`most_line_bytes`: the largest event; a longer line breaks the body."""
        self.broken: Failure | None = None
        self.items = 0
        self._most = most_line_bytes
        self._held = bytearray()
        self._number = 0
        self._line = 1
        self._offset = 0

    def feed(self, data: bytes) -> list[Piece]:
        """As `Splitter`."""
        pieces: list[Piece] = []
        if self.broken is None:
            self._held += data
        while len(self._held) >= PIECE_BYTES:
            end = self._held.rfind(b"\n", 0, PIECE_BYTES) + 1 or self._held.find(b"\n") + 1
            if not end:
                break
            pieces += self._cut(end)
        if len(self._held) > self._most + 1 and b"\n" not in self._held:
            self._break()
        return pieces

    def finish(self) -> list[Piece]:
        """As `Splitter`."""
        return self._cut(len(self._held)) if self._held else []

    def _cut(self, end: int) -> list[Piece]:
        """The lines up to `end`, but for those from one on that is too long."""
        raw = bytes(self._held[:end])
        del self._held[:end]
        start, is_long = self._look_for_long(raw) if len(raw) > self._most else (end, False)
        pieces = self._take(raw[:start])
        if is_long:
            self._break()
        return pieces

    def _look_for_long(self, raw: bytes) -> tuple[int, bool]:
        start = 0
        while start < len(raw):
            end = raw.find(b"\n", start) + 1 or len(raw)
            if end - start > self._most + 2:
                return start, True
            start = end
        return start, False

    def _take(self, raw: bytes) -> list[Piece]:
        lines = raw.count(b"\n")
        half = raw.rfind(b"\n", 0, len(raw) // 2) + 1 if lines > PIECE_ITEMS else 0
        if half:
            return [*self._take(raw[:half]), *self._take(raw[half:])]
        count = sum(1 for line in raw.split(b"\n") if line.strip())
        piece = Piece(self._number, self.items, count, self._line, self._offset, raw)
        self._line += lines
        self._offset += len(raw)
        if not count:
            return []
        self._number += 1
        self.items += count
        return [piece]

    def _break(self) -> None:
        text = (
            f"Line {self._line} has more than {self._most} bytes, the largest event (a limit of the gateway)."
        )
        self.broken = Failure("event_too_large", text, GO_ON, self._line, self._offset)
        self._held.clear()


class BlockSplitter:
    """An Avro object container file. `header` and `schema` are there once the header is."""

    def __init__(self, limits: ContainerLimits) -> None:
        """`limits`: as they are when the blocks are read."""
        self.broken: Failure | None = None
        self.items = 0
        self.header: bytes | None = None
        self.schema: Schema | None = None
        self._limits = limits
        self._held = bytearray()
        self._look_at = 1
        self._number = 0
        self._block = 0
        self._offset = 0
        self._ready = bytearray()
        self._count = 0
        self._blocks = 0

    def feed(self, data: bytes) -> list[Piece]:
        """As `Splitter`."""
        if self.broken is not None:
            return []
        self._held += data
        if self.header is None and len(self._held) >= self._look_at:
            self._read_header(is_all=False)
        return self._read_blocks() if self.header is not None else []

    def finish(self) -> list[Piece]:
        """As `Splitter`."""
        if self.header is None and self.broken is None:
            self._read_header(is_all=True)
        pieces = self._read_blocks() if self.header is not None else []
        if self._held and self.broken is None:
            self._break(f"Block {self._block + self._blocks}: the file ends in the middle of it.")
        return [*pieces, *self._close()]

    def _read_header(self, *, is_all: bool) -> None:
        """Read it from what is here. Too little is told from wrong only at the end, or at the limit."""
        counted = _Counted(bytes(self._held))
        try:
            self.schema = read_container(counted, self._limits).schema
        except ContainerError as error:
            if is_all or not counted.is_used_up:
                self.broken = Failure("body_malformed", f"{error}.", offset=error.offset)
            self._look_at = 2 * len(self._held)
            return
        self.header = bytes(self._held[: counted.at])
        self._offset = counted.at
        del self._held[: counted.at]

    def _read_blocks(self) -> list[Piece]:
        pieces = []
        while self.broken is None and (found := self._next_block()) is not None:
            count, end = found
            if self._ready and self._count + count > PIECE_ITEMS:
                pieces += self._close()
            self._ready += self._held[:end]
            del self._held[:end]
            self._count += count
            self._blocks += 1
            if len(self._ready) >= PIECE_BYTES:
                pieces += self._close()
        return pieces

    def _next_block(self) -> tuple[int, int] | None:
        """How many data the next block says that it holds, and where it ends; None: it is not all here."""
        name = f"Block {self._block + self._blocks}"
        count, at = _long(self._held, 0)
        size, start = _long(self._held, at) if at > 0 else (0, at)
        if start < 0:
            self._break(f"{name} starts with no 64-bit number.")
            return None
        if not start:
            return None
        if count < 0 or not 0 <= size <= self._limits.block_bytes:
            most = self._limits.block_bytes
            self._break(f"{name} claims {count} data in {size} bytes; at most {most} bytes are taken.")
            return None
        if count > self._limits.block_bytes:
            self._break(f"{name} claims {count} data, more than it can hold.")
            return None
        end = start + size + SYNC_BYTES
        if len(self._held) < end:
            return None
        if self.header is not None and self._held[end - SYNC_BYTES : end] != self.header[-SYNC_BYTES:]:
            self._break(f"{name} does not end with the sync marker of the header.")
            return None
        return count, end

    def _close(self) -> list[Piece]:
        if not self._ready:
            return []
        piece = Piece(self._number, self.items, self._count, self._block, self._offset, bytes(self._ready))
        self._block += self._blocks
        self._offset += len(self._ready)
        self._ready.clear()
        found, self._count, self._blocks = self._count, 0, 0
        if not found:
            return []
        self._number += 1
        self.items += found
        return [piece]

    def _break(self, text: str) -> None:
        self.broken = Failure("body_malformed", text, GO_ON, offset=self._offset + len(self._ready))
        self._held.clear()


class _Counted:
    """Bytes as a file that knows how far it was read, and whether more was asked for than there is."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.at = 0
        self.is_used_up = False

    def read(self, size: int, /) -> bytes:
        found = self._raw[self.at : self.at + size]
        self.at += len(found)
        self.is_used_up |= len(found) < size
        return found


def _long(held: bytearray, at: int) -> tuple[int, int]:
    """A zig-zag number and where it ends; 0: it is not all here; -1: it is none."""
    rest = 0
    for place in range(_LONG_BYTES):
        if at + place >= len(held):
            return 0, 0
        byte = held[at + place]
        rest |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004 - the last byte has no continuation bit
            is_short = byte or not place
            return ((rest >> 1) ^ -(rest & 1), at + place + 1) if is_short and not rest >> 64 else (0, -1)
    return 0, -1
