"""Avro's binary building blocks, read one after the other: strict, and bounded by the length of the input.

Source: Apache Avro 1.12 specification, "Binary Encoding".
"""

from schemas.fault import Path
from schemas.findings import Findings
from schemas.leaf import LONGEST_TEXT


class Input:
    """The bytes, how far they are read, and what was found."""

    __slots__ = ("at", "end", "findings", "raw")

    def __init__(self, raw: bytes, findings: Findings, at: int = 0) -> None:
        self.raw = raw
        self.at = at
        self.end = len(raw)
        self.findings = findings

    def long(self, path: Path) -> int:
        """A zig-zag number in its shortest form."""
        raw, at = self.raw, self.at
        rest = shift = 0
        while at < self.end and shift < 64:  # noqa: PLR2004 - ten bytes hold 64 bits
            byte = raw[at]
            at += 1
            rest |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the last byte has no continuation bit
                if (byte == 0 and shift) or rest >> 64:
                    shift = 64
                    break
                self.at = at
                return (rest >> 1) ^ -(rest & 1)
            shift += 7
        if shift < 64:  # noqa: PLR2004 - as above
            self.findings.stop(path, "length", "the bytes end too early")
        return self.findings.stop(path, "encoding", "is no number in its shortest form")

    def take(self, size: int, path: Path) -> bytes:
        """The next `size` bytes."""
        start = self.at
        if size > self.end - start:
            self.findings.stop(path, "length", "the bytes end too early")
        self.at = start + size
        return self.raw[start : start + size]

    def sized(self, path: Path) -> bytes:
        """A length and as many bytes."""
        size = self.long(path)
        if not 0 <= size <= LONGEST_TEXT:
            self.findings.stop(path, "length", f"has a length outside 0 to {LONGEST_TEXT}")
        return self.take(size, path)

    def text(self, path: Path) -> str:
        """A length and as many bytes of UTF-8."""
        raw = self.sized(path)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.findings.stop(path, "encoding", "is not UTF-8")

    def block(self, path: Path) -> tuple[int, int | None]:
        """Items of the next block (0: no more), and where it must end if it says so."""
        count = self.long(path)
        if count >= 0:
            end = None
        else:
            count, size = -count, self.long(path)
            end = self.at + size
        if count > self.end - self.at:  # an item takes at least one byte: admission sees to it
            self.findings.stop(path, "length", "claims more items than there are bytes")
        if not self.findings.count(path, count):
            self.findings.verify()
        return count, end

    def close_block(self, end: int | None, path: Path) -> None:
        """Hold a block to its stated size."""
        if end is not None and end != self.at:
            self.findings.stop(path, "length", "a block is not as long as it says")
