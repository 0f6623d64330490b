"""What a request may take on the wire, and what its parts take there; see `gateway.http.framing`."""

from typing import Final

REQUEST_LINE_BYTES: Final = 8_192
HEADERS: Final = 100
HEADER_BYTES: Final = 32_768
CHUNK_SLACK_BYTES: Final = 256
"""What the framing of a body's chunks may have beyond their lengths: extensions, zeros in front."""

OPEN_CHUNK_BYTES: Final = 24
"""A chunk that is still arriving may have said its length already, which counts once it is whole."""


def head_bytes(method: bytes, target: bytes, field_bytes: int) -> int:
    """Bytes of a head. `field_bytes`: of its fields, each with its colon, space and line end."""
    return len(method) + len(target) + field_bytes + len("  HTTP/1.1\r\n\r\n")


def chunk_bytes(size: int) -> int:
    """Bytes that frame a chunk of so many: its length and two line ends."""
    return max(1, (size.bit_length() + 3) // 4) + 4
