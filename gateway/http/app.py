"""The applications, made from the route table: one for the public listener, one for the private.

Every request gets a request id, exactly one answer, and no trace of our code in it. A listener that is both
public and private serves the private application, which has every route.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from re import Pattern
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import QuotaExceededError
from gateway.http.doors import Doors, Listener
from gateway.http.framing import UNREAD
from gateway.http.gates import GATES
from gateway.http.guard import Call, Gate, admit
from gateway.http.malformed import HSTS
from gateway.http.problems import Trouble, trouble_of
from gateway.http.registry import shape as registry
from gateway.http.registry.elsewhere import moved
from gateway.http.rejection import NO_CODE, NO_ROUTE, Rejection, address_of, whose
from gateway.http.words import ProblemResponse

_HINTS: Final[Mapping[tuple[str, str], str]] = {
    ("GET", "/v1/events"): "What was sent is in GET /v1/history; what is to be received in GET /v1/stream.",
    ("GET", "/v1/events/{type}"): "What was sent is in GET /v1/history; the type is at GET /v1/types/{type}.",
}
_ELSEWHERE: Final = "Operators, teams and machines ask the private address (listen.private), not this one."
REQUEST_ID_LETTERS: Final = 24
LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz234567" * 8
"""A letter for each byte, all of them as likely."""
NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")
TLS_ONLY: Final = (b"strict-transport-security", HSTS.encode())
"""Said where the connection, or the origin that clients know, is TLS: a proxy may end it before us."""


def make_apps(doors: Doors, *, is_split: bool = False) -> tuple[ASGIApp, ASGIApp]:
    """The public application, which knows nobody of our own side, and the private one, which has every route.

    `is_split`: each has a listener of its own; else the private one has the only one.
    """
    outside = replace(_at(doors, "public"), callers=replace(doors.callers, takes_house=False))
    public = [gate for gate in GATES if gate.is_public]
    return (
        make_app(outside, public, elsewhere={gate.path for gate in GATES} - {gate.path for gate in public}),
        make_app(_at(doors, "private") if is_split else doors, GATES),
    )


def new_request_id(doors: Doors) -> str:
    """A name for a request, which nobody can guess."""
    return "req_" + doors.entropy(REQUEST_ID_LETTERS).translate(LETTERS).decode()


def _at(doors: Doors, listener: Listener) -> Doors:
    """The same doors, at one of two listeners."""
    return replace(doors, values=replace(doors.values, listener=listener))


def make_app(doors: Doors, gates: Sequence[Gate], elsewhere: Collection[str] = ()) -> ASGIApp:
    """An application of these gates and no others.

    `elsewhere`: paths that another listener serves: who asks here is told so. They stand in the documents, so
    that is no secret; where that listener is, is one.
    """
    known: dict[bool, list[tuple[Pattern[str], _Door]]] = {True: [], False: []}
    offered = moved(gates, doors.values.external_registry)
    for path, some in groupby(sorted(offered, key=_place), key=lambda gate: gate.path):
        door = _Door(doors, path, {gate.method: gate for gate in some})
        known[path.startswith(registry.PREFIX)].append((compile_path(path)[0], door))
    absent = _Door(doors, "", {}, _ELSEWHERE)
    for path in sorted(elsewhere):
        known[path.startswith(registry.PREFIX)].append((compile_path(path)[0], absent))
    return _Paths(known[False], known[True], _Door(doors, "", {}))


def _place(gate: Gate) -> tuple[bool, str]:
    """The order of paths: those that events take first, since one is tried after the other."""
    return not gate.path.startswith("/v1/events"), gate.path


@dataclass(frozen=True, slots=True, eq=False)
class _Paths:
    """The door of each path, in the order in which they are tried, and the one of all others.

    `registry`: of paths that are matched as they were sent, since a subject may hold a slash.
    """

    known: Sequence[tuple[Pattern[str], "_Door"]]
    registry: Sequence[tuple[Pattern[str], "_Door"]]
    unknown: "_Door"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door, path, doors = self.unknown, scope["path"], self.known
        if path.startswith(registry.PREFIX):
            path, doors = scope["raw_path"].decode("ascii", "replace"), self.registry
        elif b"%2f" in scope["raw_path"].lower():
            # A slash that does not part: whoever judges paths before us would read another one.
            doors = ()
        for pattern, one in doors:
            if found := pattern.fullmatch(path):
                scope["path_params"] = found.groupdict()
                door = one
                break
        await door(scope, receive, send)


@dataclass(frozen=True, slots=True, eq=False)
class _Door:
    """All methods of one path; a path of its own for those that do not exist."""

    doors: Doors
    path: str
    gates: Mapping[str, Gate]
    hint: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # No websockets are offered; the server was told so and asks nothing of the kind.
            await send({"type": "websocket.close", "code": 1000})
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        request_id = new_request_id(self.doors)
        request = Request(scope, receive)
        try:
            response = await self._answer(request, request_id)
        except ClientDisconnect:
            return
        is_unread = scope.get(UNREAD)
        if is_unread is not None and is_unread(scope):
            # Who is refused early hears it early: a gigabyte is not read to be thrown away.
            response.headers["Connection"] = "close"
        response.raw_headers += [(b"request-id", request_id.encode()), NO_SNIFFING]
        if scope["scheme"] == "https" or self.doors.values.origin.startswith("https:"):
            response.raw_headers.append(TLS_ONLY)
        await response(scope, receive, _without_body(send) if scope["method"] == "HEAD" else send)
        code = response.code if isinstance(response, ProblemResponse) else NO_CODE
        seconds = loop.time() - began
        self.doors.observe(self.path or NO_ROUTE, self._method(scope), response.status_code, code, seconds)

    async def _answer(self, request: Request, request_id: str) -> Response:
        try:
            response = await self._asked(request, request_id)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: whatever it was, the caller gets an answer
            if isinstance(error, QuotaExceededError):
                await self.doors.brake.hold(error.who)
            refusal = self._refusal(request, error, request_id)
            if refusal.status_code >= 500:  # noqa: PLR2004 - ours to look at
                self.doors.notice(request_id, error)
            else:
                self._note(request, refusal, request_id, error)
            return refusal
        if isinstance(response, ProblemResponse):
            self._note(request, response, request_id)
        return response

    async def _asked(self, request: Request, request_id: str) -> Response:
        gate = self.gates.get("GET" if request.method == "HEAD" else request.method)
        if gate is None:
            return self._refusal(request, self._no_gate(request), request_id)
        if gate.is_event:
            # It takes its place once its body is here; who would get none hears it before that.
            self.doors.crowd.verify_room()
        return await _answered(gate, await admit(gate, self.doors, request, request_id))

    def _note(
        self, request: Request, refusal: ProblemResponse, request_id: str, error: Exception | None = None
    ) -> None:
        """Let the log know of a refusal, so that an operator finds it by its request id."""
        scope = request.scope
        credential, partner = whose(scope, error)
        one = Rejection(
            request_id,
            self.path or NO_ROUTE,
            self._method(scope),
            refusal.status_code,
            refusal.code,
            address_of(scope, self.doors.proxies),
            credential,
            partner,
        )
        self.doors.reject(one)

    def _method(self, scope: Scope) -> str:
        return scope["method"] if scope["method"] in self.gates else "other"

    def _refusal(self, request: Request, error: Exception | Trouble, request_id: str) -> ProblemResponse:
        if request.scope["path"].startswith(registry.PREFIX):
            return registry.refusal(request, error, request_id)
        trouble = error if isinstance(error, Trouble) else trouble_of(error)
        return trouble.response(self.doors.values.origin, request_id)

    def _no_gate(self, request: Request) -> Trouble:
        if not self.gates:
            return Trouble("not_found", "There is no such path.", self.hint)
        offered = sorted({*self.gates, *(["HEAD"] if "GET" in self.gates else [])})
        hint = _HINTS.get((request.method, self.path.replace("/v1/partners/{p}/", "/v1/")), "")
        detail = f"This path takes {', '.join(offered)}."
        return Trouble("method_not_allowed", detail, hint, headers={"Allow": ", ".join(offered)})


async def _answered(gate: Gate, call: Call) -> Response:
    response = await gate.answer(call)
    if call.pace:
        response.headers.update(call.pace)
    return response


def _without_body(send: Send) -> Send:
    async def headers_only(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return headers_only
