"""The witness over HTTP: takes checkpoints, answers cosignatures, shows what it cosigned last.

Source: C2SP tlog-witness v1.0.0.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from audit.checkpoint import Checkpoint
from audit.cosignature import Cosigner, cosign
from audit.note import VerifierKey
from audit.witness import Fault, Refused, read_submission
from gateway.errors import StoreError
from gateway.logs import logger
from gateway.witness.state import State

T = TypeVar("T")

BODY_BYTES: Final = 128 * 1024
WAITING: Final = 64
"""Submissions at once; more are told to come again."""

_BODY_SECONDS: Final = 15.0
_STATUSES: Final[Mapping[Fault, int]] = {
    Fault.MALFORMED: 400,
    Fault.UNKNOWN_LOG: 404,
    Fault.UNSIGNED: 403,
    Fault.SHRUNK: 400,
    Fault.CONFLICT: 409,
    Fault.INCONSISTENT: 422,
}
_SIZE: Final = "text/x.tlog.size"
_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(slots=True, eq=False)
class WitnessApp:
    """An ASGI application. `logs`: keys that may sign, by origin. `clock`: Unix milliseconds.

    All that touches the state is done on one thread, one after the other.
    """

    state: State
    cosigner: Cosigner
    logs: Mapping[str, Sequence[VerifierKey]]
    clock: Callable[[], int]
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="witness"), init=False
    )
    _waiting: int = field(default=0, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    def close(self) -> None:
        """Finish what is under way, and let the state go."""
        self._thread.shutdown(wait=True)
        self.state.close()

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        try:
            if path == "/add-checkpoint":
                return await self._add(request) if request.method == "POST" else _plain(405, "POST only")
            if request.method not in {"GET", "HEAD"}:
                return _plain(404, "there is no such path")
            if path == "/livez":
                return _plain(200, "live")
            return await self._show(path)
        except StoreError as error:
            logger("gateway.witness").error("the state cannot be used", reason=str(error))
            return _plain(503, "the witness cannot remember anything just now")

    async def _show(self, path: str) -> Response:
        origins = {
            f"/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint": origin for origin in self.logs
        }
        origin = origins.get(path)
        note = None if origin is None else await self._aside(lambda: self.state.newest(origin))
        if note is None:
            return _plain(404, "there is no such checkpoint")
        return Response(note, 200, {"Cache-Control": "no-store"}, _TEXT)

    async def _add(self, request: Request) -> Response:
        if self._waiting >= WAITING:
            return _plain(503, "too many at once", {"Retry-After": "1"})
        self._waiting += 1
        try:
            body = await _read(request)
            if body is None:
                return _plain(413, f"at most {BODY_BYTES} bytes, within {_BODY_SECONDS:g} seconds", _CLOSE)
            return _response(await self._aside(lambda: self._decide(body)))
        finally:
            self._waiting -= 1

    def _decide(self, body: bytes) -> str | Refused:
        sent = read_submission(body, self.logs)
        return sent if isinstance(sent, Refused) else self.state.advance(sent, self._sign)

    def _sign(self, checkpoint: Checkpoint) -> str:
        return cosign(checkpoint, self.cosigner, self.clock() // 1_000)

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


_CLOSE: Final = {"Connection": "close"}


async def _read(request: Request) -> bytes | None:
    """The body; None where it is too large or takes too long."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > BODY_BYTES:
                    return None
    except TimeoutError:
        return None
    return bytes(body)


def _response(found: str | Refused) -> Response:
    if isinstance(found, str):
        return Response(found, 200, None, _TEXT)
    log = logger("gateway.witness")
    if found.fault is Fault.INCONSISTENT:
        # Signed by its log, and no continuation: whoever runs the witness should look at it.
        log.error("a log showed another history", reason=found.text)
    elif found.fault is not Fault.CONFLICT:
        log.info("not cosigned", reason=f"{found.fault.value}: {found.text}")
    if found.fault is Fault.CONFLICT:
        # As a header: starlette adds a charset to the media type of any text.
        return Response(f"{found.held}\n", _STATUSES[found.fault], {"Content-Type": _SIZE})
    return _plain(_STATUSES[found.fault], found.text)


def _plain(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return PlainTextResponse(f"{shown}\n", status, headers)
