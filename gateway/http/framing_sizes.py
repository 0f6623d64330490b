"""What a request may take on the wire, and what its parts take there; see `gateway.http.framing`."""

import re
from typing import Final

REQUEST_LINE_BYTES: Final = 8_192
HEADERS: Final = 100
HEADER_BYTES: Final = 32_768
CHUNK_SLACK_BYTES: Final = 256
"""What the framing of a body's chunks may have beyond their lengths: extensions, blanks."""

OPEN_CHUNK_BYTES: Final = 24
"""A chunk that is still arriving may have said its length already, which counts once it is whole."""

_LENGTH: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*[;\r]")
"""A length has up to 16 digits, zeros in front among them; more are framing that is too long."""
_HEAD_END: Final = b"\r\n\r\n"


def head_bytes(method: bytes, target: bytes, field_bytes: int) -> int:
    """Bytes of a head. `field_bytes`: of its fields, each with its colon, space and line end."""
    return len(method) + len(target) + field_bytes + len("  HTTP/1.1\r\n\r\n")


def chunk_bytes(size: int) -> int:
    """Bytes that frame a chunk of so many: its length and two line ends."""
    return max(1, (size.bit_length() + 3) // 4) + 4


def most_spare(chunked: int) -> int:
    """Bytes that no part may explain where so many whole bodies came in chunks, or begin to."""
    return chunked * CHUNK_SLACK_BYTES


def body_start(data: bytes, behind: int, fields: int) -> int:
    """Where a body begins in what was read; its end, where that cannot be said.

    `behind`: bytes that no part explains yet: those of the body, and what else came before it, such as blanks
    of a field. `fields`: of the head; each may have come without the space after its colon.
    """
    start = len(data) - behind
    end = data.find(_HEAD_END, max(0, start - fields - len(_HEAD_END))) + len(_HEAD_END)
    if end < len(_HEAD_END) or end > start:
        for size in range(1, len(_HEAD_END)):
            if start - fields <= size and data[:size] == _HEAD_END[-size:]:
                return size
    return len(data) if end < len(_HEAD_END) else end


class Lengths:
    """Follows the lengths of a body's chunks, for the zeros in front of them, which the parser tells nobody.

    It judges nothing, which the parser does: what it does not understand has no zeros, and nothing behind it.
    """

    __slots__ = ("_line", "_rest")

    def __init__(self) -> None:
        """At the beginning of a body."""
        self._line: bytes | None = b""
        self._rest = 0

    def zeros(self, data: bytes, at: int = 0) -> int:
        """How many there are in front of the lengths that end in what was read, from `at` on."""
        found = 0
        while self._line is not None:
            at, self._rest = at + self._rest, max(0, at + self._rest - len(data))
            if at >= len(data):
                return found
            end = data.find(b"\n", at) + 1
            line = self._line + data[at : end or at + CHUNK_SLACK_BYTES]
            if not end:
                self._line = line[:CHUNK_SLACK_BYTES]
                return found
            found += self._take(line)
            at = end
        return found

    def _take(self, line: bytes) -> int:
        """The zeros in front of one length; the last one is 0 itself."""
        match = _LENGTH.match(line)
        size = int(match[1], 16) if match else 0
        self._line, self._rest = (b"", size + 2) if size else (None, 0)
        return len(match[1]) + 4 - chunk_bytes(size) if match else 0


NO_LENGTHS: Final = Lengths()
"""Where no body came in chunks yet: connections share it."""
