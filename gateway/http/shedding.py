"""Turns events away before anything is made for them: no task, no request, no document.

While a loop has more to do than it can, what it costs to say so is taken from those who were let in. So the
answer is made once, by the way that all refusals go, and only its request id is new each time. Requests that
are not of the plain sort (see `framing`) are turned away on that way itself.
"""

import re
from typing import Final

from gateway.errors import AwayError
from gateway.http.app import NO_SNIFFING, REQUEST_ID_LETTERS, TLS_ONLY, new_request_id
from gateway.http.doors import Doors
from gateway.http.problems import trouble_of

_EVENTS: Final = re.compile(rb"/v1/events(/[A-Za-z0-9._-]+)?(?:\?.*)?", re.ASCII)
_PLACE: Final = "req_" + "-" * REQUEST_ID_LETTERS


class Shed:
    """Answers in place of the application, or not."""

    def __init__(self, doors: Doors) -> None:
        """Make the answers."""
        self._doors = doors
        self._error = AwayError(
            "overloaded", "more requests are under way than can be answered soon; try again"
        )
        self._answers = {is_tls: self._made(is_tls=is_tls) for is_tls in (False, True)}

    def __call__(self, method: bytes, target: bytes, *, is_tls: bool) -> bytes | None:
        """Everything of an answer but its status line and what the server says by itself; None: let it in.

        The status is 503.
        """
        if method != b"POST" or not self._doors.crowd.is_full() or not (found := _EVENTS.fullmatch(target)):
            return None
        request_id = new_request_id(self._doors)
        self._doors.notice(request_id, self._error)
        route = "/v1/events/{type}" if found[1] else "/v1/events"
        self._doors.observe(route, "POST", 503, self._error.code, 0.0)
        return request_id.encode().join(self._answers[is_tls])

    def _made(self, *, is_tls: bool) -> list[bytes]:
        """Between its parts stands the request id."""
        origin = self._doors.values.origin
        response = trouble_of(self._error).response(origin, _PLACE)
        headers = [*response.raw_headers, (b"request-id", _PLACE.encode()), NO_SNIFFING]
        if is_tls or origin.startswith("https:"):
            headers.append(TLS_ONLY)
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        return (b"".join(lines) + b"\r\n" + bytes(response.body)).split(_PLACE.encode())
