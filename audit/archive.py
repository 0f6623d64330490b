"""Archives of exports: the plainest tar there is, read without being unpacked.

Regular files side by side, no folders, no links, no extensions, no name twice: what anybody's `tar` makes of
a few files, and nothing that two readers could understand in two ways. The reader seeks, and keeps names and
places alone.

Source: POSIX.1-1988 (ustar).
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Final

from audit.errors import MalformedError

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""What an archive ends with."""

MOST_MEMBERS: Final = 100_000
_MOST_REST: Final = 20 * BLOCK
"""Zeros behind the end: tar fills up to twenty blocks."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,98}", re.ASCII)
_OCTAL: Final = re.compile(rb" *[0-7]+[ \0]*", re.ASCII)
_MAGICS: Final = (b"ustar\x0000", b"ustar  \x00")
"""Of POSIX, and what GNU's tar writes."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive. `offset`: of its first byte."""

    name: str
    offset: int
    size: int


def head_of(name: str, size: int) -> bytes:
    """The block before a file: no owner, no time, so that the same files are the same archive."""
    if _NAME.fullmatch(name) is None or not 0 <= size < 8**11:
        raise ValueError(f"no name or size of an archive: {name!r}, {size}")
    fields = (
        name.encode().ljust(100, b"\x00"),
        b"0000644\x00",
        b"0000000\x00" * 2,
        b"%011o\x00" % size,
        b"%011o\x00" % 0,
        b" " * 8,
        b"0",
        bytes(100),
        _MAGICS[0],
        bytes(64),
        b"0000000\x00" * 2,
        bytes(167),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\x00 " % sum(block) + block[156:]


def padding(size: int) -> bytes:
    """What follows a file of so many bytes, up to the next block."""
    return bytes(-size % BLOCK)


def list_members(source: BinaryIO) -> tuple[Member, ...]:
    """Every file of an archive, in order.

    Raises:
        MalformedError: anything but files with names of their own, or bytes that nobody would read.
    """
    source.seek(0)
    members: list[Member] = []
    while (member := _next(source)) is not None:
        members.append(member)
        if len(members) > MOST_MEMBERS:
            raise MalformedError("archive: too many files")
    if len({one.name for one in members}) < len(members):
        raise MalformedError("archive: a file stands twice")
    rest = source.read(_MOST_REST + 1)
    if len(rest) < BLOCK or len(rest) > _MOST_REST or rest.count(0) != len(rest):
        raise MalformedError("archive: it does not end with blocks of zeros, and nothing behind them")
    return tuple(members)


def list_begun(source: BinaryIO) -> tuple[Member, ...]:
    """The files that are whole of an archive whose end was never written."""
    source.seek(0)
    members: list[Member] = []
    with suppress(MalformedError):
        while (member := _next(source)) is not None:
            members.append(member)
    return tuple(members)


def _next(source: BinaryIO) -> Member | None:
    """The file that begins here, passed over; None: the first block of the end was read."""
    place, block = source.tell(), source.read(BLOCK)
    if block == bytes(BLOCK):
        return None
    name, size = _read_head(block, place)
    # The last byte of the file and its padding must be there; what is between is not read.
    source.seek(place + BLOCK + size + -size % BLOCK - 1)
    if not source.read(1):
        raise MalformedError(f"archive: {name} is cut short")
    source.seek(place + BLOCK + size)
    if source.read(-size % BLOCK) != padding(size):
        raise MalformedError(f"archive: bytes that belong to no file, behind {name}")
    return Member(name, place + BLOCK, size)


def read_member(source: BinaryIO, member: Member) -> bytes:
    """The bytes of a file.

    Raises:
        MalformedError: the archive was cut meanwhile.
    """
    source.seek(member.offset)
    raw = source.read(member.size)
    if len(raw) != member.size:
        raise MalformedError(f"archive: {member.name} is cut short")
    return raw


def _read_head(block: bytes, place: int) -> tuple[str, int]:
    """Name and size that a block tells."""
    if len(block) < BLOCK:
        raise MalformedError("archive: cut short before its end")
    told, plain = _octal(block[148:156]), block[:148] + b" " * 8 + block[156:]
    if block[257:265] not in _MAGICS or told != sum(plain):
        raise MalformedError(f"archive: no file's head at byte {place}")
    name, _, more = block[:100].partition(b"\x00")
    is_plain = block[156:157] == b"0" and not block[157:257].strip(b"\x00")
    is_whole = not more.strip(b"\x00") and not block[345:].strip(b"\x00")
    text = name.decode("ascii", "replace")
    if not is_plain or not is_whole or _NAME.fullmatch(text) is None:
        raise MalformedError(f"archive: at byte {place}: only files with plain names are read")
    size = _octal(block[124:136])
    if size is None:
        raise MalformedError(f"archive: {text} has no size")
    return text, size


def _octal(raw: bytes) -> int | None:
    return int(raw.strip(b" \x00"), 8) if _OCTAL.fullmatch(raw) else None
