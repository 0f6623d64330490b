import asyncio
import gzip
import zlib
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from gateway.errors import CallerError
from gateway.http.reading import Body, read_body, read_members

CAP = 100_000


def request(chunks: Sequence[bytes], headers: dict[str, str], *, stuck: bool = False) -> Request:
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": stuck or number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    raw = [(name.encode(), text.encode()) for name, text in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


async def read(chunks: Sequence[bytes], **headers: str) -> Body:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return await read_body(request(chunks, named), cap=CAP, seconds=5)


async def code_of(chunks: Sequence[bytes], **headers: str) -> str:
    with pytest.raises(CallerError) as caught:
        await read(chunks, **headers)
    return caught.value.code


async def test_a_plain_body_is_read_as_it_is() -> None:
    body = await read([b"ab", b"", b"c"])
    assert (body.sent, body.plain, body.coding) == (b"abc", b"abc", "identity")


async def test_a_gzip_body_keeps_both_forms() -> None:
    sent = gzip.compress(b"x" * 5000)
    body = await read([sent[:7], sent[7:]], content_encoding="gzip")
    assert (body.sent, body.plain, body.coding) == (sent, b"x" * 5000, "gzip")


async def test_a_body_at_its_cap_is_taken_and_one_byte_more_is_not() -> None:
    assert len((await read([b"x" * CAP])).plain) == CAP
    assert await code_of([b"x" * CAP, b"y"]) == "body_too_large"
    assert (
        await code_of([gzip.compress(bytes(range(256)) * 400)], content_encoding="gzip") == "body_too_large"
    )


async def test_an_announced_length_is_refused_before_a_byte_is_read() -> None:
    assert await code_of([], content_length=str(CAP + 1)) == "body_too_large"
    assert await code_of([], content_length="9" * 5000) == "body_too_large"


async def test_a_bomb_is_refused_by_its_ratio() -> None:
    with pytest.raises(CallerError) as caught:
        await read_body(
            request([gzip.compress(bytes(10_000_000))], {"content-encoding": "gzip"}),
            cap=20_000_000,
            seconds=5,
        )
    assert (caught.value.code, "100:1" in caught.value.text) == ("body_too_large", True)


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "identity, gzip", "zstd"])
async def test_other_codings_are_refused(coding: str) -> None:
    assert await code_of([b""], content_encoding=coding) == "content_encoding_unsupported"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"no gzip",
        gzip.compress(b"abc", mtime=0)[:-3],
        gzip.compress(b"abc", mtime=0) + gzip.compress(b"def", mtime=0),
        gzip.compress(b"abc", mtime=0) + b"\x00",
        zlib.compress(b"abc"),
    ],
)
async def test_a_broken_or_trailing_gzip_stream_is_refused(sent: bytes) -> None:
    assert await code_of([sent], content_encoding="gzip") == "body_malformed"
    assert await code_of([sent[:5], sent[5:]], content_encoding="gzip") == "body_malformed"


@given(st.lists(st.binary(max_size=50), max_size=5))
async def test_any_bytes_as_gzip_are_one_family_of_error(chunks: list[bytes]) -> None:
    with suppress(CallerError):
        body = await read(chunks or [b""], content_encoding="gzip")
        assert gzip.decompress(body.sent) == body.plain


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    with pytest.raises(CallerError) as caught:
        await read_body(request([b"a"], {}, stuck=True), cap=CAP, seconds=0.01)
    assert caught.value.code == "request_malformed"
    assert caught.value.members["headers"] == {"Connection": "close"}


async def test_members_are_those_offered_and_no_others() -> None:
    assert await read_members(request([b'{"a":1}'], {}), ("a", "b"), seconds=5) == {"a": 1}
    for raw in (b'{"c":1}', b"[1]", b"1"):
        with pytest.raises(CallerError) as caught:
            await read_members(request([raw], {}), ("a", "b"), seconds=5)
        assert caught.value.code == "parameter_invalid"
    with pytest.raises(CallerError) as caught:
        await read_members(request([b"a=1"], {"content-type": "text/plain"}), ("a",), seconds=5)
    assert caught.value.code == "media_type_unsupported"
