"""Requests that are answered in place of the application, before anything is made for them."""

import asyncio
from typing import Any, Final, Protocol

from uvicorn.config import Config


class TurnAway(Protocol):
    """Who may answer a request in place of the application: 503, and nothing is made for it."""

    def __call__(self, method: bytes, target: bytes, *, is_tls: bool) -> bytes | None:
        """Header fields and body of the answer; None: let it in."""
        ...


class Misspoken(Protocol):
    """Who hears of what is no HTTP/1.1, or comes to no TLS; `address`: the peer's, empty if not known."""

    def malformed(self, text: str, address: str, *, is_tls: bool) -> bytes:
        """The whole answer to what is no HTTP/1.1. `text`: what is wrong with it."""
        ...

    def handshake(self, reason: str, detail: str, address: str) -> None:
        """A handshake came to nothing: as `gateway.http.tls_failures` has it."""
        ...


class StrictConfig(Config):
    """What uvicorn is told, and who answers in place of the application."""

    turn_away: TurnAway | None = None
    misspoken: Misspoken | None = None


class Answered:
    """In the place of a request that was turned away: what comes of its body is dropped. One for all."""

    __slots__ = ("disconnected", "message_event")

    response_complete = response_started = True

    def __init__(self) -> None:
        self.message_event = asyncio.Event()
        self.disconnected = False


ANSWERED: Final[Any] = Answered()
