"""What is no HTTP/1.1 is answered as all refusals are: a problem document with a request id, counted, logged.

What does not even come to TLS is counted and logged too.
"""

from typing import Final

from gateway.http.app import new_request_id
from gateway.http.catalogue import CATALOGUE
from gateway.http.doors import Doors
from gateway.http.malformed import document
from gateway.http.rejection import NO_ROUTE, Rejection
from gateway.metrics import OTHER

_CODE: Final = "request_malformed"


class NotHttp:
    """Hears, for a listener, of whoever sent what cannot be read."""

    def __init__(self, doors: Doors) -> None:
        """`doors`: whose log and metrics hear of it."""
        self._doors = doors

    def handshake(self, reason: str, detail: str, address: str) -> None:
        """A handshake came to nothing."""
        self._doors.shaken(reason, detail, address)

    def malformed(self, text: str, address: str, *, is_tls: bool) -> bytes:
        """The whole answer. `text`: what is wrong, in words of ours; `address`: of the peer."""
        request_id, status = new_request_id(self._doors), CATALOGUE[_CODE].status
        self._doors.observe(NO_ROUTE, OTHER, status, _CODE, 0.0)
        self._doors.reject(Rejection(request_id, NO_ROUTE, OTHER, status, _CODE, address))
        origin = self._doors.values.origin
        is_known_by_tls = is_tls or origin.startswith("https:")
        return document(text, origin=origin, request_id=request_id, is_tls=is_known_by_tls)
