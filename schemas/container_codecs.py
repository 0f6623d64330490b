"""How the blocks of a container file are compressed: four codecs in, two out. None inflates without bound.

Each reader is told the most bytes that it may give; it never holds more than that and a few MiB beside it.
Source: Apache Avro 1.12 specification, "Object Container Files"; RFC 1951; RFC 8878; the Snappy format
description.
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, get_args

from schemas.errors import ContainerError

CodecName: TypeAlias = Literal["null", "deflate", "snappy", "zstandard"]
WrittenCodec: TypeAlias = Literal["null", "deflate"]

CODEC_NAMES: Final[tuple[CodecName, ...]] = get_args(CodecName)

FREE_BYTES: Final = 64 * 1024
"""Up to here a block may inflate whatever it was deflated to: small blocks of like data do."""
LARGEST_RATIO: Final = 100
"""Beyond `FREE_BYTES`, inflated bytes for one byte that came in."""

_RAW_DEFLATE: Final = -15
_LEVEL: Final = 6
_CRC_BYTES: Final = 4
_ADLER_BYTES: Final = 3
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW: Final = 8 * 1024 * 1024
"""What every reader of zstandard must support. Source: RFC 8878, section 3.1.1.1.2."""
_ZSTD_SLICE: Final = 256
"""Bytes fed at a time: four of them may stand for a block of 128 KiB, so that 8 MiB come out at most."""

_Inflate: TypeAlias = Callable[[bytes, int], bytes]
"""A block, and the most bytes that it may give; raises _BrokenError or _BeyondError."""


class _BrokenError(Exception):
    """What is wrong with a block; never leaves this module."""


class _BeyondError(Exception):
    """A block inflates too far; never leaves this module."""


def inflate(codec: CodecName, block: bytes, *, most: int, offset: int) -> bytes:
    """The inflated bytes of a block: at most `most` of them, and no more than the ratio allows.

    `offset`: where the block's bytes stand in the file.

    Raises:
        ContainerError: it inflates to more, is broken, fails its checksum, or something follows it.
    """
    allowed = min(most, max(FREE_BYTES, LARGEST_RATIO * len(block)))
    try:
        return _READERS[codec](block, allowed)
    except _BrokenError as error:
        text = f"the {codec} block of {len(block)} bytes {error}"
        raise ContainerError(text, offset=offset) from error
    except _BeyondError as error:
        bound = f"{most} bytes" if allowed == most else f"{LARGEST_RATIO} times its size"
        text = f"the {codec} block of {len(block)} bytes holds more than {bound}; write smaller blocks"
        raise ContainerError(text, offset=offset) from error


def deflate(codec: WrittenCodec, block: bytes) -> bytes:
    """The bytes of a block as they stand in a file: never deflated beyond what `inflate` takes."""
    if codec == "null":
        return block
    small = _deflated(block, _LEVEL)
    is_taken = len(block) <= max(FREE_BYTES, LARGEST_RATIO * len(small))
    return small if is_taken else _deflated(block, 0)


def _deflated(block: bytes, level: int) -> bytes:
    deflater = zlib.compressobj(level, zlib.DEFLATED, _RAW_DEFLATE)
    return deflater.compress(block) + deflater.flush()


def _read_null(block: bytes, allowed: int) -> bytes:
    if len(block) > allowed:
        raise _BeyondError
    return block


def _read_deflate(block: bytes, allowed: int) -> bytes:
    inflater = zlib.decompressobj(_RAW_DEFLATE)
    try:
        plain = inflater.decompress(block, allowed + 1)
    except zlib.error as error:
        raise _BrokenError(f"is no deflated block: {error}") from error
    if len(plain) > allowed:
        raise _BeyondError
    if not inflater.eof:
        raise _BrokenError("ends too early")
    rest = inflater.unused_data
    # Apache Avro's and fastavro's Python writers cut one byte too few off a zlib stream: the first three of
    # its checksum stay. They are checked like any other.
    if rest and rest != zlib.adler32(plain).to_bytes(4, "big")[:_ADLER_BYTES]:
        raise _BrokenError(f"has {len(rest)} bytes behind its end")
    return plain


def _read_snappy(block: bytes, allowed: int) -> bytes:
    import cramjam  # noqa: PLC0415 - large, and hardly any file is packed so

    packed, checksum = block[:-_CRC_BYTES], block[-_CRC_BYTES:]
    try:
        size = cramjam.snappy.decompress_raw_len(packed)
        if size > allowed:
            raise _BeyondError
        plain = bytearray(size)
        cramjam.snappy.decompress_raw_into(packed, plain)
    except cramjam.DecompressionError as error:
        raise _BrokenError(f"is no snappy block: {error}") from error
    if zlib.crc32(plain).to_bytes(_CRC_BYTES, "big") != checksum:
        raise _BrokenError("fails its CRC32")
    return bytes(plain)


def _read_zstandard(block: bytes, allowed: int) -> bytes:
    import zstandard  # noqa: PLC0415 - as in `_read_snappy`

    # Skippable frames would do as well for a decoder, and hide what is in them.
    if not block.startswith(_ZSTD_MAGIC):
        raise _BrokenError("does not start with a zstandard frame")
    frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    plain = bytearray()
    for start in range(0, len(block), _ZSTD_SLICE):
        try:
            plain += frame.decompress(block[start : start + _ZSTD_SLICE])
        except zstandard.ZstdError as error:
            text = f"is no zstandard frame with a window of at most 8 MiB: {error}"
            raise _BrokenError(text) from error
        if len(plain) > allowed:
            raise _BeyondError
        if frame.eof:
            rest = len(frame.unused_data) + max(0, len(block) - start - _ZSTD_SLICE)
            if rest:
                raise _BrokenError(f"has {rest} bytes behind its first frame; one frame a block is taken")
            return bytes(plain)
    raise _BrokenError("ends too early")


_READERS: Final[Mapping[CodecName, _Inflate]] = {
    "null": _read_null,
    "deflate": _read_deflate,
    "snappy": _read_snappy,
    "zstandard": _read_zstandard,
}
