"""HTTP/1.1 read strictly: what uvicorn with httptools lets pass, and must not.

Caps on request line, header fields and their time, exactly one Host, no trailers, no endless chunk
extensions, a whole body within its time. After any fault the connection is closed: nobody knows where the
next request would begin.

Source: RFC 9112 sections 3.2, 7.1 and 11.2.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.http import framing_sizes as sizes
from gateway.http.flow import Flow
from gateway.http.joined import TAKING_SECONDS, JoinedWrites
from gateway.http.malformed import MALFORMED, document, fault_of
from gateway.http.resting import NOTHING, RestingProtocol
from gateway.http.tls import client_of
from gateway.http.turning_away import ANSWERED, Misspoken
from gateway.http.uvicorn_parts import same_address

HEADER_SECONDS: Final = 10.0
BODY_SECONDS: Final = 30.0
PATIENCE: Final = "gateway.patience"
"""In a request's scope: gives the body so many more seconds, for who reads one that takes long."""
UNREAD: Final = "gateway.unread"
"""In a request's scope: given that scope, whether much of its body is still to come."""

UNREAD_BYTES: Final = 256 * 1024
"""More than this is not read for the sake of a kept connection once the answer is known."""
LINE: Final = "gateway.line"
"""In a request's scope: its connection, for who answers for hours: see `hang_up` and `on_lost`."""
_LAST: Final = (b"connection", b"close")
"""What a server that is about to end says by itself."""

_LONG_CHUNKS: Final = "The framing of the body's chunks is too long."

_OF_ANSWERS: Final = frozenset({"type", "method", "scheme", "http_version"})
"""What of a request is asked for while its answer goes on."""
_UNHEARD: Final = asyncio.Event()
"""In place of the event of each request that wakes who reads its body, where nobody does any more."""


class _FramingError(Exception):
    """Ends the parsing of a connection; never leaves this module."""


class StrictProtocol(RestingProtocol):
    """One connection. Its limits are attributes, so that a test need not wait."""

    __slots__ = (
        "_begun",
        "_chunk_bytes",
        "_chunked",
        "_client",
        "_data",
        "_ended",
        "_fault",
        "_field_bytes",
        "_head_bytes",
        "_in_body",
        "_in_head",
        "_joined",
        "_late_fault",
        "_lengths",
        "_spare_bytes",
        "_timer",
        "on_lost",
    )

    header_seconds = HEADER_SECONDS
    body_seconds = BODY_SECONDS
    taking_seconds = TAKING_SECONDS

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Take what uvicorn gives each connection."""
        super().__init__(config, server_state, app_state, _loop)
        self._fault = MALFORMED
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._in_body = False
        self._begun = self._ended = self._chunked = 0
        self._head_bytes = self._field_bytes = self._spare_bytes = self._chunk_bytes = 0
        self._data = b""
        self._lengths = sizes.NO_LENGTHS
        self._client: dict[object, object] | None = None
        self._idle_since, self._is_resting = None, False
        self._late_fault: str | None = None
        self.on_lost: Callable[[], None] | None = None
        self.pipeline = NOTHING

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A silent connection is given as long as a slow header."""
        self._joined = JoinedWrites(transport, self.loop, self.taking_seconds)
        super().connection_made(self._joined)
        self.server = same_address(self.server)
        self.flow = Flow(self._joined)
        self._client = client_of(transport)
        self._arm(self.header_seconds, "The header did not arrive in time.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer, and tell whoever asked to be told."""
        self._disarm()
        self._joined.lost()
        super().connection_lost(exc)
        told, self.on_lost = self.on_lost, None
        if told is not None:
            told()

    def eof_received(self) -> None:
        """The peer sends no more: the connection ends once what was written is sent, which is up to it."""
        self._joined.end()

    def data_received(self, data: bytes) -> None:
        """Parse, and count what the parser keeps to itself: a header field without an end, chunks."""
        if self.transport.is_closing() or self._late_fault is not None:
            return
        self.wake()
        was_head, begun, ended = self._in_head, self._begun, self._ended
        self._spare_bytes += len(data) - (self._lengths.zeros(data) if self._in_body else 0)
        self._data = data
        super().data_received(data)
        self._data = b""
        if self.transport.is_closing() or self._late_fault is not None:
            return
        if self._begun == self._ended:
            self._judge_chunks()
        if self._ended != ended:
            return  # a whole request was in it: what followed is at most one read of the socket
        if was_head and self._in_head and self._begun - begun <= 1:
            self._head_bytes += len(data)
            if self._head_bytes > sizes.REQUEST_LINE_BYTES + sizes.HEADER_BYTES:
                self._fail(f"The header has more than {sizes.HEADER_BYTES} bytes.")
        elif self._in_body and self._spare_bytes > sizes.most_spare(self._chunked) + sizes.OPEN_CHUNK_BYTES:
            self._fail(_LONG_CHUNKS)

    def _judge_chunks(self) -> None:
        """All that came was of whole requests: what none of their parts explains framed their chunks."""
        spare, most = self._spare_bytes, sizes.most_spare(self._chunked)
        self._spare_bytes = self._chunked = 0
        if spare > most > 0:
            # Its answer was not begun yet: nobody had a turn since its last byte.
            self._fail(_LONG_CHUNKS, is_whole=True)

    def on_message_begin(self) -> None:
        """A request begins: its header has a time of its own."""
        super().on_message_begin()
        self.scope[PATIENCE] = self.be_patient  # type: ignore[typeddict-unknown-key]  # ours, beside those of ASGI
        self.scope[UNREAD] = self.is_unread  # type: ignore[typeddict-unknown-key]  # as above
        self.scope[LINE] = self  # type: ignore[typeddict-unknown-key]  # as above
        if self._client is not None:
            self.scope["extensions"] = {"tls": self._client}
        self._begun += 1
        # Only now: blank lines before a request end no idleness.
        self._idle_since = None
        self._in_head, self._in_body = True, False
        self._head_bytes = self._field_bytes = 0
        self._arm(self.header_seconds, "The header did not arrive in time.")

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        super().on_url(url)
        if len(self.url) > sizes.REQUEST_LINE_BYTES - 32:
            raise self._refusal(f"The request line has more than {sizes.REQUEST_LINE_BYTES} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field; a trailer would change a request that is being answered already."""
        if not self._in_head:
            raise self._refusal("Trailer fields are not taken.")
        super().on_header(name, value)
        self._field_bytes += len(name) + len(value) + 4
        if len(self.headers) > sizes.HEADERS:
            raise self._refusal(f"The header has more than {sizes.HEADERS} fields.")
        if self._field_bytes > sizes.HEADER_BYTES:
            raise self._refusal(f"The header has more than {sizes.HEADER_BYTES} bytes.")

    def on_headers_complete(self) -> None:
        """The header is whole: judge it before anything is started for it."""
        self._spare_bytes -= sizes.head_bytes(self.parser.get_method(), self.url, self._field_bytes)
        is_upgrade = self.parser.should_upgrade()
        version = self.parser.get_http_version()
        fault = fault_of(self.headers, self.url, version, is_upgrade=is_upgrade)
        if fault is not None:
            raise self._refusal(fault)
        is_chunked = any(name == b"transfer-encoding" for name, _ in self.headers)
        earlier: Any = self.cycle  # None before the first request, whatever its annotation says
        is_first = earlier is None or earlier.response_complete
        if is_first and not is_chunked and not is_upgrade and self._turned_away():
            self._in_head = False
            self._arm(self.body_seconds, "The body did not arrive in time.")
            return
        if not self.pipeline:
            self.pipeline = NOTHING if is_first else deque()
        super().on_headers_complete()
        if is_upgrade:
            self.cycle.keep_alive = False
        self._in_head, self._joined.lingers = False, True
        self._in_body = is_chunked
        if is_chunked:
            self._chunked += 1
            self._lengths = sizes.Lengths()
            start = sizes.body_start(self._data, self._spare_bytes, len(self.headers))
            self._spare_bytes -= self._lengths.zeros(self._data, start)
        self._arm(self.body_seconds, "The body did not arrive in time.")

    def _turned_away(self) -> bool:
        """Answer a plain request at once, if it is not let in: its connection is kept, its body small."""
        ask = getattr(self.config, "turn_away", None)
        # Whoever does not read its answers gets no more of them than wait for it already.
        is_read = not self.flow.write_paused
        is_plain = is_read and not self.expect_100_continue and self.parser.should_keep_alive()
        defaults = self.server_state.default_headers
        if ask is None or not is_plain or _LAST in defaults or self._announced() > UNREAD_BYTES:
            return False
        told = ask(self.parser.get_method(), self.url, is_tls=self.scheme == "https")
        if told is None:
            return False
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in defaults)
        self._joined.write(b"HTTP/1.1 503 Service Unavailable\r\n" + lines + told)
        self.server_state.total_requests += 1
        self.cycle = ANSWERED
        return True

    def _announced(self) -> int:
        """Bytes of the body, as its header says."""
        return next((int(value) for name, value in self.headers if name == b"content-length"), 0)

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._chunk_bytes = 0

    def on_chunk_complete(self) -> None:
        """A chunk is whole: what frames it is allowed for."""
        self._spare_bytes -= sizes.chunk_bytes(self._chunk_bytes)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        size = len(body)
        self._chunk_bytes += size
        self._spare_bytes -= size
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._disarm()
        self._ended += 1
        self._joined.lingers = False
        self._in_head, self._in_body = True, False
        self._head_bytes = 0
        super().on_message_complete()
        if self.cycle.response_complete and self._begun == self._ended:
            # Answered before its body came, by us or in our place: nothing else says that it is idle now.
            self.begin_rest()

    def on_response_complete(self) -> None:
        """The answer is whole: a peer that ends its side now still gets it."""
        self._joined.flush()
        self.on_lost, self._joined.is_judged_elsewhere = None, False
        is_last = not self.pipeline
        super().on_response_complete()
        if self._late_fault is not None:
            if is_last:
                self._fail_late(self._late_fault)
            return
        cycle: Any = self.cycle
        if cycle is not None and cycle.response_complete and self._begun == self._ended:
            self.begin_rest()

    @property
    def is_lost(self) -> bool:
        """Whether nobody is at the other end any more, or will not be soon."""
        return self.transport.is_closing()

    def settle(self) -> None:
        """Let go of what the request was made of, once nobody asks for it: its answer goes on for hours.

        Whoever gives it judges for itself how long its reader may take.
        """
        self._joined.is_judged_elsewhere = True
        if self._begun != self._ended or self.pipeline:
            return
        self.headers.clear()
        self.url = b""
        self.cycle.message_event = _UNHEARD
        kept = {name: text for name, text in self.scope.items() if name in _OF_ANSWERS}
        self.scope.clear()  # type: ignore[attr-defined]  # a dictionary, whatever it is declared to be
        self.scope.update(kept)  # type: ignore[typeddict-item]  # as above
        self.drop_parser()

    def hang_up(self) -> None:
        """End the connection at once: what was written and is not taken by the peer is dropped."""
        self._joined.abort()

    def pause_writing(self) -> None:
        """The peer takes less than there is: let writers wait, but not for ever."""
        super().pause_writing()
        self._joined.watch()

    def resume_writing(self) -> None:
        """The peer has taken most of what there was."""
        super().resume_writing()
        self._joined.unwatch()

    def hurry(self, seconds: float) -> None:
        """The program ends: who takes nothing is given so long, and no longer, to take what it asked for."""
        self._joined.hurry(seconds)

    def be_patient(self, seconds: float) -> None:
        """Give the body that is arriving so many seconds from now on."""
        if not self._in_head:
            self._arm(seconds, "The body did not arrive in time.")

    def is_unread(self, scope: object) -> bool:
        """Whether much of a body is still to come, or nobody knows how much, or whether at all.

        `scope`: its request's. Who waits to be told to go on and hears another answer may send none: then the
        next request would be read as this one's body.
        """
        if self.scope is not scope or self._in_head:
            return False
        is_unknown = self._in_body or self.cycle.waiting_for_100_continue
        return is_unknown or self._announced() > UNREAD_BYTES

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: clients offer HTTP/2 as a matter of course."""

    def send_400_response(self, msg: str) -> None:
        """Answer a fault of framing with a problem document, and close."""
        del msg
        self._fail(self._fault)

    def _refusal(self, text: str) -> _FramingError:
        self._fault = text
        return _FramingError(text)

    def _arm(self, seconds: float, text: str) -> None:
        self._disarm()
        fail: Callable[[str], None] = self._fail
        self._timer = self.loop.call_later(seconds, fail, text)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fail(self, text: str, *, is_whole: bool = False) -> None:
        """Answer what is at fault, and close; after those before it, where these wait for their answers.

        `is_whole`: the request is here whole, and it is what fails.
        """
        self._disarm()
        if self.transport.is_closing() or self._late_fault is not None:
            return
        cycle: Any = self.cycle  # None before the first request, whatever its annotation says
        has_head = is_whole or not self._in_head
        self._joined.lingers = False
        is_behind = self.pipeline or not (has_head or cycle is None or cycle.response_complete)
        if is_behind and not is_whole:
            if has_head:
                # Nobody has heard of it yet: it waits for its turn.
                self.pipeline.popleft()
            self._late_fault = text
            return
        # Of several that are whole nobody knows which is at fault.
        if not is_behind and (not has_head or (cycle is not None and not cycle.response_started)):
            self.transport.write(self._words(text))
            if cycle is not None:
                cycle.disconnected = True
        self.transport.close()

    def _words(self, text: str) -> bytes:
        misspoken: Misspoken | None = getattr(self.config, "misspoken", None)
        if misspoken is None:
            return document(text)
        address = "" if self.client is None else self.client[0]
        return misspoken.malformed(text, address, is_tls=self.scheme == "https")

    def _fail_late(self, text: str) -> None:
        """All that came before the fault is answered."""
        if not self.transport.is_closing():
            self.transport.write(self._words(text))
            self.transport.close()
