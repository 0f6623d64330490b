"""Request bodies under caps, and one gzip coding at most; nothing is read that is not allowed to be there.

A body is refused as soon as it is known to be too large: by its announced length, or while it arrives.
"""

import asyncio
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.requests import Request

from gateway.attributes import is_utf8
from gateway.errors import CallerError
from gateway.ingress.content import NOT_UTF8
from schemas.json_reader import read_json

Coding = Literal["identity", "gzip"]

RATIO = 100
RATIO_FREE_BYTES = 65_536
JSON_BYTES = 1_048_576
CLOSE = {"headers": {"Connection": "close"}}
"""Members of a refusal after which nothing more is read."""


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body. `sent`: as received, after transfer decoding; `plain`: after content decoding."""

    sent: bytes = field(repr=False)
    plain: bytes = field(repr=False)
    coding: Coding


def _pass(_: bytes) -> None:
    """Do nothing with a piece of a body."""


async def read_body(
    request: Request, *, cap: int, seconds: float, seen: Callable[[bytes], None] = _pass
) -> Body:
    """Read the body, at most `cap` bytes before and after decoding, within `seconds`.

    `seen`: told of each piece as it was sent, also of a body that is refused then.

    Raises:
        CallerError: `body_too_large`, `content_encoding_unsupported`, `body_malformed`, `request_malformed`.
        ClientDisconnect: the sender went away.
    """
    coding = read_coding(request.headers.getlist("content-encoding"))
    inflater = _Inflater(cap) if coding == "gzip" else None
    feed = _pass if inflater is None else inflater.feed
    raw = await read_sent(request, cap=cap, seconds=seconds, feed=feed, seen=seen)
    return Body(raw, raw if inflater is None else inflater.finish(), coding)


async def read_sent(
    request: Request,
    *,
    cap: int,
    seconds: float,
    feed: Callable[[bytes], None] = _pass,
    seen: Callable[[bytes], None] = _pass,
) -> bytes:
    """Read the body as it was sent. `feed` is given each piece as it arrives, if it is within the cap.

    `seen`: as of `read_body`.

    Raises:
        CallerError: `body_too_large`, `request_malformed`, and whatever `feed` raises.
        ClientDisconnect: the sender went away.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:19]) > cap:
        raise too_large(cap)
    sent = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                sent += chunk
                seen(chunk)
                if len(sent) > cap:
                    raise too_large(cap)
                feed(chunk)
    except TimeoutError as error:
        text = f"The body did not arrive within {seconds:g} s."
        raise CallerError("request_malformed", text, members=CLOSE) from error
    return bytes(sent)


async def read_members(request: Request, offered: Sequence[str], *, seconds: float) -> dict[str, Any]:
    """The members of a JSON object, none but those offered.

    Raises:
        CallerError: as `read_body`, and `media_type_unsupported`, `parameter_invalid`.
        JsonTextError: no JSON text.
        DatumError: a JSON text with duplicate names, too deep, or the like.
    """
    media_type = request.headers.get("content-type", "")
    essence = media_type.split(";", 1)[0].strip().lower()
    is_json = essence in {"", "application/json"}
    if not is_json or not is_utf8(media_type):
        accepted = {"headers": {"Accept-Post": "application/json"}}
        text = NOT_UTF8 if is_json else "This route takes application/json."
        raise CallerError("media_type_unsupported", text, members=accepted)
    body = await read_body(request, cap=JSON_BYTES, seconds=seconds)
    members = read_json(body.plain)
    if not isinstance(members, dict):
        raise CallerError("parameter_invalid", "The body must be a JSON object.")
    if members.keys() - set(offered):
        known = ", ".join(offered)
        raise CallerError("parameter_invalid", f"The body has an unknown member; the members are: {known}.")
    return members


class _Inflater:
    """One gzip member, piece by piece; stops at the first byte too many."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._taken = 0
        self._plain = bytearray()
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def feed(self, chunk: bytes) -> None:
        if self._stream.eof and chunk:
            raise CallerError("body_malformed", "Bytes follow the end of the gzip member.")
        self._taken += len(chunk)
        try:
            self._plain += self._stream.decompress(chunk, self._cap + 1 - len(self._plain))
        except zlib.error as error:
            raise CallerError("body_malformed", "The body is no gzip stream.") from error
        if len(self._plain) > self._cap:
            raise too_large(self._cap)
        if len(self._plain) > max(RATIO_FREE_BYTES, RATIO * self._taken):
            text = f"The body expands more than {RATIO}:1; send it less compressed, or plain."
            raise CallerError("body_too_large", text, members=CLOSE)
        if self._stream.unused_data:
            raise CallerError("body_malformed", "Bytes follow the end of the gzip member.")

    def finish(self) -> bytes:
        if not self._stream.eof:
            raise CallerError("body_malformed", "The gzip stream ends too early.")
        return bytes(self._plain)


def read_coding(headers: Sequence[str]) -> Coding:
    """The coding that the fields of `Content-Encoding` name.

    Raises:
        CallerError: `content_encoding_unsupported`.
    """
    named = [one.strip().lower() for header in headers for one in header.split(",")]
    match named:
        case [] | ["identity"] | [""]:
            return "identity"
        case ["gzip"] | ["x-gzip"]:
            return "gzip"
        case _:
            offered = {"headers": {"Accept-Encoding": "gzip", "Connection": "close"}}
            text = "The body may be plain, or have one gzip coding."
            raise CallerError("content_encoding_unsupported", text, members=offered)


def too_large(cap: int) -> CallerError:
    """The refusal of a body beyond `cap` bytes."""
    text = f"The body may have {cap} bytes here, before and after decoding (a limit of the gateway)."
    return CallerError("body_too_large", text, members=CLOSE)
