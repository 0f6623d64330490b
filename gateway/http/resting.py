"""A connection between two requests: it keeps little, and is not kept for ever."""

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.http.uvicorn_parts import INHERITED, new_parser

RESTING_SECONDS: Final = 2.0
"""Idle for so long, a connection gives up what the next request can make anew."""
NOTHING: Final[Any] = ()
"""A pipeline in which nothing waits, headers and scope of no request: idle connections share it."""


class RestingProtocol(HttpToolsProtocol):
    """Thousands of connections wait for their next request: none keeps the last one meanwhile."""

    __slots__ = (*INHERITED, "_idle_since", "_is_resting")

    _idle_since: float | None
    _is_resting: bool

    def begin_rest(self) -> None:
        """Let go of the last request. Not where a part of the next one's header is there already."""
        self.cycle = None  # type: ignore[assignment]  # as before the first request
        # Made anew with the next request.
        self.headers = self.scope = self.pipeline = NOTHING
        self.url = b""
        # In place of a timer for each: `rest` is called every few seconds.
        self._unset_keepalive_if_required()
        self._idle_since = self.loop.time()

    def rest(self, now: float) -> None:
        """Close a connection that was idle too long; let one that is idle keep little. `now`: of the loop."""
        if self._idle_since is None:
            return
        idle = now - self._idle_since
        if idle >= self.timeout_keep_alive:
            self.timeout_keep_alive_handler()
        elif idle >= RESTING_SECONDS:
            self.drop_parser()

    def drop_parser(self) -> None:
        """Keep no parser until something comes."""
        self.parser, self._is_resting = None, True  # type: ignore[assignment]  # made anew with the next

    def wake(self) -> None:
        """Something comes."""
        if self._is_resting:
            self.parser, self._is_resting = new_parser(self), False
