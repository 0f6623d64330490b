import asyncio
import gzip
import hashlib
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from gateway.errors import CallerError
from gateway.http.body_stream import read_stream
from gateway.http.framing import PATIENCE

CAP = 1_000_000


def asking(bits: Sequence[bytes], coding: str | None = None, given: list[float] | None = None) -> Request:
    """A request whose body arrives in these bits."""
    headers = [] if coding is None else [(b"content-encoding", coding.encode())]
    left = list(bits)

    async def receive() -> Message:
        bit = left.pop(0) if left else b""
        return {"type": "http.request", "body": bit, "more_body": bool(left)}

    patience = {} if given is None else {PATIENCE: given.append}
    return Request({"type": "http", "method": "POST", "headers": headers, **patience}, receive)


async def whole(request: Request, cap: int = CAP, seconds: float = 30.0) -> bytes:
    return b"".join([data async for data in read_stream(request, cap=cap, seconds=seconds)])


def cut(raw: bytes, size: int) -> list[bytes]:
    return [raw[at : at + size] for at in range(0, len(raw), size)]


@settings(deadline=None)
@given(st.binary(max_size=3_000), st.integers(1, 500), st.integers(1, 300))
async def test_a_compressed_body_is_what_it_was_however_it_arrives(raw: bytes, times: int, size: int) -> None:
    plain = raw * min(times, 1 + 60_000 // max(1, len(raw)))
    assert await whole(asking(cut(gzip.compress(plain), size), "gzip")) == plain
    assert await whole(asking(cut(plain, size))) == plain


async def test_a_body_that_grows_far_is_given_in_bounded_bits() -> None:
    plain = b"".join(hashlib.sha256(bytes([one % 256, one // 256])).digest() for one in range(30_000))
    request = asking([gzip.compress(plain)], "gzip")
    bits = [data async for data in read_stream(request, cap=CAP, seconds=1)]
    assert b"".join(bits) == plain
    assert len(bits) > 3
    assert max(map(len, bits)) <= 256 * 1024


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(1, 50))
async def test_bytes_that_are_no_gzip_raise_one_kind_of_error(raw: bytes, size: int) -> None:
    for body in (raw, gzip.compress(b"x") + raw, gzip.compress(raw)[:-1]):
        codes = await codes_of(asking(cut(body, size), "gzip"))
        assert codes == ["body_malformed"] or (not codes and zlib.decompress(body, 31) == b"x")


async def codes_of(request: Request) -> list[str]:
    """The code that a body is refused with; none where it is not."""
    try:
        await whole(request)
    except CallerError as error:
        return [error.code]
    return []


async def test_limits_hold_before_and_after_decoding() -> None:
    for request, cap in (
        (asking([b"x" * 11]), 10),
        (asking([gzip.compress(b"abcdefghijk")], "gzip"), 10),
        (asking([gzip.compress(b"\x00" * CAP)], "gzip"), CAP),
    ):
        with pytest.raises(CallerError) as caught:
            await whole(request, cap)
        assert caught.value.code == "body_too_large"
    with pytest.raises(CallerError) as caught:
        await whole(asking([], "br"))
    assert caught.value.code == "content_encoding_unsupported"


async def test_time_is_given_for_what_arrives_and_not_for_the_whole() -> None:
    patience: list[float] = []
    assert len(await whole(asking([b"x" * 2**19] * 6, given=patience), 2**22)) == 6 * 2**19
    assert len(patience) >= 6
    assert min(patience) > 120


async def test_a_body_that_stands_still_is_given_up() -> None:
    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    request = Request({"type": "http", "method": "POST", "headers": []}, never)
    with pytest.raises(CallerError, match=r"within 0\.05 s") as caught:
        await whole(request, seconds=0.05)
    assert caught.value.code == "request_malformed"
