"""Server-sent events: one answer that goes on for hours, and costs next to nothing while nothing comes.

The id of each event is the cursor behind it. Every 15 s without an event a comment keeps proxies awake, with
the cursor of now where it has moved on, so that who wants few types resumes where it was. It ends by itself:
when the program ends, when its caller may not read any more, when what comes next is gone (whoever resumes
is told so), and when its client takes nothing for half a minute.

Source: HTML living standard, section 9.2 (Server-sent events).
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.broker.port import BrokerError
from gateway.egress.feed import Batch, Feed
from gateway.egress.stream import Places
from gateway.egress.tail import Bell, Streamed
from gateway.egress.tails import Tails
from gateway.errors import AwayError, CallerError
from gateway.http.framing import LINE
from gateway.http.stream_places import Bound, seal_places
from gateway.instants import format_instant

MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
RETRY_MS: Final = 2_000
EVENTS: Final = 100
"""So many events at most are written at once."""
PAGE_BYTES: Final = 131_072
_AGAIN_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a stream goes by.

    `verify`: refuses a caller that may not read any more; `before`: is awaited before events are shown.
    `beat_seconds`, `stall_seconds`: as in `gateway.http.doors.Values`.
    """

    tails: Tails
    cursor_key: bytes = field(repr=False)
    bound: Bound
    verify: Callable[[], None] = field(repr=False)
    before: Callable[[], Awaitable[None]] | None = field(repr=False)
    beat_seconds: float
    stall_seconds: float

    def cursor(self, places: Places) -> bytes:
        """The cursor of a place."""
        return seal_places(self.cursor_key, self.bound, places).encode()

    def frame(self, one: Streamed) -> bytes:
        """An event as it is written; made once for all who have the same cursors."""
        made = one.kept.get(self.bound)
        if made is None:
            at = format_instant(one.at).encode()
            made = b"id: %b\nrecorded_at: %b\ndata: %b\n\n" % (self.cursor(one.places), at, one.body)
            one.keep(self.bound, made)
        return made


class EventStream(Response):
    """See the module. `release`: called once it has ended."""

    def __init__(
        self,
        feed: Feed,
        begun: tuple[Places, Batch],
        terms: Terms,
        *,
        bell: Bell,
        release: Callable[[], None],
    ) -> None:
        """`begun`: where it began, and what `feed` gave already; `bell`: what was given to it."""
        super().__init__(None, 200, HEADERS)
        self.raw_headers = [one for one in self.raw_headers if one[0] != b"content-length"]
        self._feed = feed
        self._begun: tuple[Places, Batch] | None = begun
        self._terms = terms
        self._release = release
        self.bell = bell
        self._told = b""
        self._is_over = False
        self._is_due = False
        self._line: Any = None
        self._sent_at = 0.0
        self._sending_since: float | None = None

    def look(self, now: float, *, is_changed: bool) -> None:
        """Wake up for a sign of life, or to see who may read; give up a client that takes nothing."""
        since = self._sending_since
        if since is not None and now - since > self._terms.stall_seconds and self._line is not None:
            self._line.hang_up()
        if is_changed or (since is None and now - self._sent_at >= self._terms.beat_seconds):
            self._is_due = True
            self.bell.ring()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write until one of the two sides ends it."""
        del receive
        tails = self._terms.tails
        tails.watch(self)
        try:
            self._line = scope.get(LINE)
            if self._line is not None:
                self._line.on_lost = self._lost
                self._is_over = self._line.is_lost
            headers, self.raw_headers = self.raw_headers, []
            await self._write(send, {"type": "http.response.start", "status": 200, "headers": headers})
            headers.clear()
            if self._line is not None:
                self._line.settle()
            await self._run(send)
            await self._write(send, {"type": "http.response.body", "body": b""})
        finally:
            tails.unwatch(self)
            self._feed.close()
            self._release()

    async def _run(self, send: Send) -> None:
        opening, batch = self._opening()
        while True:
            self._is_due = False
            try:
                self._terms.verify()
                if batch.items and self._terms.before is not None:
                    await self._terms.before()
            except (CallerError, AwayError):
                return
            text = opening + self._text(batch)
            if text:
                opening = b""
                body = {"type": "http.response.body", "body": text, "more_body": True}
                await self._write(send, body)
            if self._has_ended():
                return
            batch = await self._next()

    def _opening(self) -> tuple[bytes, Batch]:
        """What is said first, so that who gets nothing else resumes there too; and what there is already."""
        begun, self._begun = self._begun, None
        places, batch = begun or (self._feed.places, Batch((), caught_up=False))
        self._told = self._terms.cursor(places)
        return b"retry: %d\nid: %b\n\n" % (RETRY_MS, self._told), batch

    def _text(self, batch: Batch) -> bytes:
        if batch.items:
            self._told = b""
            return b"".join(map(self._terms.frame, batch.items))
        silent = asyncio.get_running_loop().time() - self._sent_at
        if silent < self._terms.beat_seconds:
            return b""
        cursor = self._terms.cursor(self._feed.places)
        if cursor == self._told:
            return b":\n\n"
        self._told = cursor
        return b"id: %b\n\n" % cursor

    async def _next(self) -> Batch:
        """What comes next; nothing where something is away, after a while."""
        try:
            return await self._feed.next(EVENTS, self.bell, self._is_wanted)
        except (AwayError, BrokerError):
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_SECONDS):
                    await self.bell.wait()
        except CallerError:
            self._is_over = True
        return Batch((), caught_up=False)

    async def _write(self, send: Send, message: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        self._sending_since = loop.time()
        await send(message)
        self._sending_since, self._sent_at = None, loop.time()

    def _is_wanted(self) -> bool:
        return self._is_due or self._has_ended()

    def _has_ended(self) -> bool:
        return self._is_over or self._terms.tails.stop.is_set()

    def _lost(self) -> None:
        self._is_over = True
        self.bell.ring()
