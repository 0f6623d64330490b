"""Request bodies under caps, and one gzip coding at most; nothing is read that is not allowed to be there.

A body is refused as soon as it is known to be too large: by its announced length, or while it arrives.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from starlette.requests import ClientDisconnect, Request

from gateway.attributes import is_utf8
from gateway.errors import CallerError
from gateway.http.framing import LINE
from gateway.http.inflating import CLOSE, GATEWAY, Inflater, too_large
from gateway.ingress.content import NOT_UTF8
from partners.contract_file import MAX_FILES_BYTES
from partners.yaml_tree import MAX_TEXT_BYTES
from schemas.json_reader import read_json

Coding = Literal["identity", "gzip"]

JSON_BYTES: Final = 1_048_576
CONTRACT_BYTES: Final = 2 * (MAX_FILES_BYTES + MAX_TEXT_BYTES)
"""What a contract may have with its files, as JSON: of what they may hold, nothing takes more than twice."""


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body. `sent`: as received, after transfer decoding; `plain`: after content decoding."""

    sent: bytes = field(repr=False)
    plain: bytes = field(repr=False)
    coding: Coding


def _pass(_: bytes) -> None:
    """Do nothing with a piece of a body."""


async def read_body(
    request: Request,
    *,
    cap: int,
    seconds: float,
    seen: Callable[[bytes], None] = _pass,
    whose: str = GATEWAY,
) -> Body:
    """Read the body, at most `cap` bytes before and after decoding, within `seconds`.

    `whose`: who set the cap. `seen`: told of each piece as it was sent, also of a body that is refused then.

    Raises:
        CallerError: `body_too_large`, `content_encoding_unsupported`, `body_malformed`, `request_malformed`.
        ClientDisconnect: the sender went away.
    """
    coding = read_coding(request.headers.getlist("content-encoding"))
    inflater = Inflater(cap, whose) if coding == "gzip" else None
    plain = bytearray()

    def inflate(chunk: bytes) -> None:
        if inflater is not None:
            plain.extend(b"".join(inflater.feed(chunk)))

    raw = await read_sent(request, cap=cap, seconds=seconds, feed=inflate, seen=seen, whose=whose)
    if inflater is None:
        return Body(raw, raw, coding)
    inflater.finish()
    return Body(raw, bytes(plain), coding)


async def read_sent(
    request: Request,
    *,
    cap: int,
    seconds: float,
    feed: Callable[[bytes], None] = _pass,
    seen: Callable[[bytes], None] = _pass,
    whose: str = GATEWAY,
) -> bytes:
    """Read the body as it was sent. `feed` is given each piece as it arrives, if it is within the cap.

    `seen`, `whose`: as of `read_body`.

    Raises:
        CallerError: `body_too_large`, `request_malformed`, and whatever `feed` raises.
        ClientDisconnect: the sender went away.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:19]) > cap:
        raise too_large(cap, whose)
    sent = bytearray()
    receive, has_more = request.receive, True
    try:
        # A timer is for who waits: most bodies came with their header.
        async with nullcontext() if _is_whole(request) else asyncio.timeout(seconds):
            while has_more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunk, has_more = message.get("body", b""), message.get("more_body", False)
                sent += chunk
                seen(chunk)
                if len(sent) > cap:
                    raise too_large(cap, whose)
                feed(chunk)
    except TimeoutError as error:
        text = f"The body did not arrive within {seconds:g} s."
        raise CallerError("request_malformed", text, members=CLOSE) from error
    return bytes(sent)


def _is_whole(request: Request) -> bool:
    """Whether all of the body is here."""
    cycle = getattr(request.scope.get(LINE), "cycle", None)
    return getattr(cycle, "scope", None) is request.scope and not getattr(cycle, "more_body", True)


async def read_members(
    request: Request, offered: Sequence[str], *, seconds: float, cap: int = JSON_BYTES, may_lack: bool = False
) -> dict[str, Any]:
    """The members of a JSON object of at most `cap` bytes, none but those offered.

    `may_lack`: no body at all is an object without members.

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
    plain = (await read_body(request, cap=cap, seconds=seconds)).plain
    if may_lack and not plain:
        return {}
    if len(plain) > JSON_BYTES:
        # Not in the loop: of ten mebibytes it takes most of a second.
        members = await asyncio.get_running_loop().run_in_executor(None, read_json, plain)
    else:
        members = read_json(plain)
    if not isinstance(members, dict):
        raise CallerError("parameter_invalid", "The body must be a JSON object.")
    if members.keys() - set(offered):
        known = ", ".join(offered)
        raise CallerError("parameter_invalid", f"The body has an unknown member; the members are: {known}.")
    return members


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
