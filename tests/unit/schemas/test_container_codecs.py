import os
import zlib

import pytest

from schemas.container_codecs import CODEC_NAMES, FREE_BYTES, LARGEST_RATIO, CodecName, deflate, inflate
from schemas.errors import ContainerError
from tests.container_files import packed

MOST = 8 * 1024 * 1024


@pytest.mark.parametrize("codec", CODEC_NAMES)
@pytest.mark.parametrize("plain", [b"", b"a", b"abc" * 1_000, os.urandom(300_000), os.urandom(700) * 90])
def test_a_right_block_is_inflated(codec: CodecName, plain: bytes) -> None:
    assert inflate(codec, packed(codec, plain), most=MOST, offset=0) == plain


@pytest.mark.parametrize("codec", CODEC_NAMES)
def test_a_block_holds_as_much_as_it_may_and_no_byte_more(codec: CodecName) -> None:
    plain = os.urandom(70_000)
    assert inflate(codec, packed(codec, plain), most=len(plain), offset=0) == plain
    with pytest.raises(ContainerError, match="more than 69999 bytes") as caught:
        inflate(codec, packed(codec, plain), most=len(plain) - 1, offset=41)
    assert caught.value.offset == 41


@pytest.mark.parametrize("codec", ["deflate", "zstandard"])
def test_like_bytes_may_be_packed_as_far_as_they_go_up_to_a_size(codec: CodecName) -> None:
    plain = bytes(FREE_BYTES)
    assert len(plain) > LARGEST_RATIO * len(packed(codec, plain))
    assert inflate(codec, packed(codec, plain), most=MOST, offset=0) == plain
    with pytest.raises(ContainerError, match="more than 100 times its size"):
        inflate(codec, packed(codec, plain + b"\x00"), most=MOST, offset=0)


@pytest.mark.parametrize("plain", [b"", b"a", bytes(10), b"abc" * 1_000])
def test_the_rest_of_a_zlib_checksum_that_python_writers_leave_is_checked_and_taken(plain: bytes) -> None:
    left = zlib.compress(plain)[2:-1]
    assert inflate("deflate", left, most=MOST, offset=0) == plain
    for wrong in (left[:-1], left[:-2], left + b"\x00", left[:-1] + bytes([left[-1] ^ 1])):
        with pytest.raises(ContainerError, match="behind its end"):
            inflate("deflate", wrong, most=MOST, offset=0)


def test_what_is_deflated_may_always_be_inflated() -> None:
    for size in (FREE_BYTES, FREE_BYTES + 1, 1_000_000):
        for plain in (bytes(size), os.urandom(size), b"ab" * (size // 2)):
            for codec in ("null", "deflate"):
                assert inflate(codec, deflate(codec, plain), most=MOST, offset=0) == plain
    assert len(deflate("deflate", bytes(FREE_BYTES))) < 200
    assert deflate("null", b"abc") == b"abc"
