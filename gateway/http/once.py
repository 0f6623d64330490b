"""`Idempotency-Key` on changes: asked for twice, carried out once, answered alike.

A secret that was made is in the first answer and in no other: kept to be shown again it would be no secret of
one party any more, and whoever has lost the answer can revoke what was made and make another. The repeat
names what was made, and says that its secret was shown.

Source: draft-ietf-httpapi-idempotency-key-header, section 2.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from starlette.requests import Request
from starlette.responses import Response

from gateway.administration.desk import Administration
from gateway.administration.repeats import Asked, Keeper
from gateway.errors import AwayError, CallerError
from gateway.http.guard import Call
from gateway.http.parameters import flag
from gateway.http.shapes import text
from gateway.http.told import Parameter
from gateway.http.words import json_response

T = TypeVar("T")

MAX_KEY_BYTES: Final = 256
KEY_RULE: Final = f"An Idempotency-Key has 1 to {MAX_KEY_BYTES} printable ASCII characters."
KEY: Final = Parameter(
    "Idempotency-Key",
    "Names this request, in your words: asked for again within a day it is not carried out again, and gets "
    "the same answer, without a secret that the first one showed.",
    text(least=1, most=MAX_KEY_BYTES),
    place="header",
)
ERRORS: Final = ("idempotency_conflict",)
REPLAYED: Final = "true: this was carried out before, under the same Idempotency-Key."
_BOUND: Final = ("if-match", "if-none-match")


@dataclass(frozen=True, slots=True)
class Done:
    """An answer to a change. `shown_once`: members of the body that nobody is shown twice."""

    body: Mapping[str, Any] = field(repr=False)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    shown_once: frozenset[str] = frozenset()

    def response(self) -> Response:
        """As it is sent."""
        return json_response(self.body, self.status, self.headers)

    def kept(self) -> bytes:
        """What is kept of it, to be said again."""
        is_told = self.shown_once.isdisjoint(self.body)
        body = {name: value for name, value in self.body.items() if name not in self.shown_once}
        whole = body if is_told else {**body, "secret_shown_before": True}
        return json.dumps([self.status, dict(self.headers), whole], ensure_ascii=False).encode()


async def once(
    call: Call,
    asked: Mapping[str, Any],
    act: Callable[[Administration], Awaitable[T]],
    answer: Callable[[T], Done],
) -> Response:
    """Carry a change out, or answer as when it was. Without a key, and in a dry run, it is just carried out.

    `asked`: the body, as read; `answer`: what is answered to what the change came to, of that alone.

    Raises:
        CallerError: `idempotency_conflict`, `request_malformed`, and what `act` raises: the key is then free.
    """
    administration, repeats = call.doors.administration, call.doors.repeats
    key = read_key(call.request)
    if key is None or flag(call.query, "dry_run"):
        return answer(await act(administration)).response()
    turn = await repeats.begin(Asked(call.known.credential.id, key, _digest(call, asked)))
    if isinstance(turn, bytes):
        return _again(turn)

    kept = Keeper(turn, lambda result: answer(cast("T", result)).kept())
    try:
        result = await act(administration.keeping(kept))
        if not kept.is_called:
            # Nothing had to be changed, so that there was no transaction to keep the answer in.
            await repeats.settle(turn, answer(result).kept())
    except Exception:
        # Where the outcome is unknown the answer may be there, and then it stays.
        with suppress(AwayError):
            await repeats.give_up(turn)
        raise
    return answer(result).response()


def read_key(request: Request) -> str | None:
    """The key of a request; quotes around it, as the draft has them, are left out.

    Raises:
        CallerError: `request_malformed`.
    """
    found = request.headers.getlist("idempotency-key")
    if not found:
        return None
    key = found[0].strip().removeprefix('"').removesuffix('"')
    is_right = key and key.isascii() and key.isprintable() and len(key) <= MAX_KEY_BYTES
    if len(found) > 1 or not is_right:
        raise CallerError("request_malformed", KEY_RULE)
    return key


def _digest(call: Call, asked: Mapping[str, Any]) -> bytes:
    """Of what is asked for: method, path, query, conditions, and the body whatever its spelling."""
    request = call.request
    conditions = {name: request.headers.get(name) for name in _BOUND}
    path = request.scope["raw_path"].decode("latin-1")
    whole = [request.method, path, sorted(call.query.items()), conditions, asked]
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=str).encode()).digest()


def _again(kept: bytes) -> Response:
    status, headers, body = json.loads(kept)
    return json_response(body, status, {**headers, "Idempotent-Replayed": "true"})
