"""A file read from its start to its end, a few bytes at a time: the only place that asks it for bytes.

Every refusal says in which part of the file it arose, and where that part starts.
Source: Apache Avro 1.12 specification, "Binary Encoding".
"""

from typing import NoReturn, Protocol

from schemas.errors import ContainerError


class ReadableFile(Protocol):
    """A file opened for reading bytes; its `read` may give fewer than asked for, and none at the end."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""


class Source:
    """A file, and how far it is read; `at` counts bytes from 0."""

    __slots__ = ("_ahead", "_file", "_part", "_part_at", "at")

    def __init__(self, file: ReadableFile) -> None:
        self._file = file
        self._ahead = b""
        self._part = "the file"
        self._part_at = 0
        self.at = 0

    def begin(self, part: str) -> None:
        """Name what comes next, for refusals."""
        self._part, self._part_at = part, self.at

    def refuse(self, text: str) -> NoReturn:
        """Refuse the file.

        Raises:
            ContainerError: always; its offset is the start of the part.
        """
        raise ContainerError(f"{self._part}: {text}", offset=self._part_at)

    def is_at_end(self) -> bool:
        """Whether no byte is left."""
        if not self._ahead:
            self._ahead = self._file.read(1)
        return not self._ahead

    def take(self, size: int) -> bytes:
        """The next `size` bytes, however the file hands them out.

        Raises:
            ContainerError: the file ends first.
        """
        pieces, missing = [self._ahead[:size]], size - len(self._ahead[:size])
        self._ahead = self._ahead[size:]
        while missing:
            piece = self._file.read(missing)
            if not piece:
                self.refuse(f"the file ends {missing} bytes too early")
            pieces.append(piece)
            missing -= len(piece)
        self.at += size
        return b"".join(pieces)

    def long(self) -> int:
        """A zig-zag number in its shortest form.

        Raises:
            ContainerError: longer than 64 bits or than it need be, or the file ends first.
        """
        rest = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            rest |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the last byte has no continuation bit
                if (byte == 0 and shift) or rest >> 64:
                    break
                return (rest >> 1) ^ -(rest & 1)
        return self.refuse("holds a length that is no 64-bit number in its shortest form")

    def sized(self, most: int) -> bytes:
        """A length and as many bytes.

        Raises:
            ContainerError: negative, or more than `most`; or the file ends first.
        """
        size = self.long()
        if not 0 <= size <= most:
            self.refuse(f"claims {size} bytes where at most {most} are taken")
        return self.take(size)
