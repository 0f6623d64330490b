"""Send one POST or GET to an address that somebody else chose; the only module that does.

The whole exchange stands under one deadline, and under caps of headers and body; `gateway.connections` judges
addresses. Never: a redirect followed, a cookie kept, a proxy taken from the environment, a body decompressed.

Source: RFC 9110, sections 10.2.3 and 15; OWASP SSRF prevention.
"""

import asyncio
import hashlib
import io
import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self
from urllib.parse import urlsplit

from yarl import URL

from gateway.address import AddressPolicy

if TYPE_CHECKING:
    import aiohttp

    from gateway.connections import Lookup, OpenSocket, Pools

Reason = Literal[
    "dns_failed",
    "connect_failed",
    "tls_failed",
    "timed_out",
    "redirected",
    "client_error",
    "server_error",
    "throttled",
    "gone",
    "address_denied",
    "endpoint_auth_failed",
    "response_invalid",
]
"""Why an attempt failed: the closed list that partners see, coarse on purpose."""

BODY_BYTES: Final = 64 * 1024
EXCERPT_BYTES: Final = 1024
_WHOLE_BYTES: Final = 256 * 1024
_RETRY_AFTER: Final = re.compile(r"(?=[0-9])0*+([0-9]{0,9}+)[0-9]*+\Z")
_MOST_DATE: Final = 64
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]{1,253}\Z")
_SIGNED: Final = frozenset({"signature", "signature-input"})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One POST. `headers` hold neither Host nor lengths: these are the transport's.

    `pool`: who it is for; a connection that was opened for one serves no other. `tls`: whom to believe at the
    other end, and who we are there; None: the public authorities, and nobody. `spent_ms`: so much of the
    deadline is gone already.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    pool: str = ""
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    spent_ms: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `status` 0: no answer; `failure` None: a 2xx, read to its end or to the cap.

    `body_sha256` is over the bytes read (at most 64 KiB), empty without an answer; `excerpt` is their first
    1 KiB.
    `retry_after_seconds` is Retry-After in its seconds form, `retry_after_at` in its date form (Unix
    milliseconds). `headers`, names in lower case, are kept of a signed answer alone.
    """

    status: int
    failure: Reason | None
    retry_after_seconds: int | None
    body_sha256: bytes
    excerpt: bytes = field(repr=False)
    ms: int
    retry_after_at: int | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back whole. `failure` None: a 2xx, and `body` is the whole of it.

    Else `body` is empty, but for statuses whose body was asked for.
    """

    status: int
    failure: Reason | None
    body: bytes = field(repr=False)


_JSON: Final = (("Accept", "application/json"),)


class Dialler:
    """Sends requests, each within `timeout_ms` from name to last byte. Use as an async context manager.

    `ports`: the ports that may be dialled; None: any, since the operator's contract file names each endpoint.
    `lookup`, `open_socket` and `tls` are for tests and private authorities; the defaults are the system's.

    What it takes to dial, a client for HTTP and the public authorities, is loaded with the first request: it
    is much of the memory of a process that serves, and many dial nobody.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        timeout_ms: int,
        ports: frozenset[int] | None = None,
        lookup: "Lookup | None" = None,
        tls: ssl.SSLContext | None = None,
        open_socket: "OpenSocket" = socket.socket,
    ) -> None:
        self._policy = policy
        self._timeout = timeout_ms / 1000
        self._ports = ports
        self._lookup = lookup
        self._open_socket = open_socket
        self._tls = tls
        self._pools: Pools | None = None
        self._opening = asyncio.Lock()
        self._is_entered = False
        self._refusal = lru_cache(1_024)(self._refuse_url)

    @property
    def deadline_ms(self) -> int:
        """The longest that `send` takes."""
        return int(self._timeout * 1000)

    async def __aenter__(self) -> Self:
        """Be ready to send; nothing is loaded yet."""
        self._is_entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        self._is_entered = False
        if self._pools is not None:
            await self._pools.close()
            self._pools = None

    async def send(self, outgoing: Outgoing) -> Answer:
        """POST once. Never raises for what the other side does; cancellation passes through.

        Raises:
            RuntimeError: not entered.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        exchange = _Exchange(BODY_BYTES, EXCERPT_BYTES)
        failure = await self._failure("POST", outgoing, exchange)
        return exchange.answer(failure, round((loop.time() - begun) * 1000))

    async def fetch(self, url: str, *, most: int) -> Fetched:
        """GET once, as `send` does, in a pool of the host's; beyond `most` bytes it is `response_invalid`.

        Raises:
            RuntimeError: not entered.
        """
        return await self._whole("GET", Outgoing(url, _JSON, b"", f"GET {url.split('/')[2:3]}"), most)

    async def ask(self, outgoing: Outgoing, *, most: int, told: frozenset[int] = frozenset()) -> Fetched:
        """POST once, under the same rules as `send`, for an answer that is wanted whole; see `fetch`.

        `told`: statuses that are no success, whose body is wanted all the same.

        Raises:
            RuntimeError: not entered.
        """
        return await self._whole("POST", outgoing, most, told)

    async def _whole(
        self, method: str, outgoing: Outgoing, most: int, told: frozenset[int] = frozenset()
    ) -> Fetched:
        exchange = _Exchange(most + 1, most + 1)
        failure = await self._failure(method, outgoing, exchange)
        answer = exchange.answer(failure, 0)
        failure = answer.failure
        if failure is None and exchange.length > most:
            failure = "response_invalid"
        is_told = exchange.length <= most and (failure is None or answer.status in told)
        return Fetched(answer.status, failure, answer.excerpt if is_told else b"")

    async def _failure(self, method: str, outgoing: Outgoing, exchange: "_Exchange") -> Reason | None:
        if not self._is_entered:
            raise RuntimeError("enter the dialler before sending")
        failure = self._refusal(outgoing.url)
        if failure is None:
            pools = self._pools or await self._open()
            from aiohttp import ClientError  # noqa: PLC0415 - loaded just now

            try:
                left = self._timeout - outgoing.spent_ms / 1000
                async with asyncio.timeout(left), pools.use(outgoing.pool) as session:
                    await self._exchange(session, method, outgoing, exchange)
            except (ClientError, OSError, ValueError, RuntimeError, ExceptionGroup) as error:
                failure = _reason_of(error)
        return failure

    async def _open(self) -> "Pools":
        """The pools, with all that they need; on a thread, since to load it takes a fifth of a second."""
        async with self._opening:
            if self._pools is None:
                loop = asyncio.get_running_loop()
                kind, tls = await loop.run_in_executor(None, _load, self._tls)
                self._tls = tls
                self._pools = kind(self._policy, self._lookup, tls, open_socket=self._open_socket)
            return self._pools

    async def _exchange(
        self, session: "aiohttp.ClientSession", method: str, outgoing: Outgoing, exchange: "_Exchange"
    ) -> None:
        url = URL(outgoing.url, encoded=True)
        # In pieces where it is large: one write of megabytes would hold up the loop.
        body = outgoing.body if len(outgoing.body) <= _WHOLE_BYTES else io.BytesIO(outgoing.body)
        sent = body if method == "POST" else None
        async with session.request(
            method,
            url,
            data=sent,
            headers=outgoing.headers,
            allow_redirects=False,
            ssl=outgoing.tls or self._tls or True,
        ) as response:
            exchange.begin(response.status, response.raw_headers)
            while exchange.wants_more:
                piece = await response.content.read(exchange.most + 1 - exchange.length)
                if not piece:
                    break
                exchange.take(piece)
            if not response.content.at_eof():
                response.close()  # more than the cap: the connection goes with it

    def _refuse_url(self, text: str) -> Reason | None:
        try:
            url, read = urlsplit(text), URL(text, encoded=True)
            port = url.port or (443 if url.scheme == "https" else 80)
            # What is dialled is what the second reader makes of it, so both must see the same.
            is_one = (read.host, read.port, read.scheme) == (url.hostname, port, url.scheme)
        except (ValueError, TypeError):
            return "address_denied"
        host = url.hostname or ""
        plain = not (url.username or url.password or url.fragment or "#" in text)
        if not (is_one and text.isascii() and text.isprintable() and plain and _HOST.match(host)):
            return "address_denied"
        if self._ports is not None and port not in self._ports:
            return "address_denied"
        if url.scheme == "https" or (url.scheme == "http" and self._is_loopback(host)):
            return None
        return "address_denied"

    def _is_loopback(self, host: str) -> bool:
        try:
            is_loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            is_loopback = host == "localhost"
        return self._policy.loopback and is_loopback


class _Exchange:
    """The answer as far as it has come. `most`: bytes of the body that are read; `kept`: of these, kept."""

    def __init__(self, most: int, kept: int) -> None:
        self.most = most
        self._kept = kept
        self._status = 0
        self._retry_after: int | None = None
        self._retry_at: int | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._is_oversized = False
        self._digest = hashlib.sha256()
        self._excerpt = bytearray()
        self.length = 0

    @property
    def wants_more(self) -> bool:
        return self.length < self.most and not self._is_oversized

    def begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        from gateway.exchanges import HEADER_BYTES  # noqa: PLC0415 - see `Dialler`

        self._status = status
        fields = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
        self._is_oversized = sum(len(name) + len(value) + 4 for name, value in fields) > HEADER_BYTES
        text = next((value.strip() for name, value in fields if name == "retry-after"), "")
        if found := _RETRY_AFTER.match(text):
            self._retry_after = int(found[1] or 0)  # of more digits the first nine: it is far over a day
        else:
            self._retry_at = _read_date(text)
        if {name for name, _ in fields} >= _SIGNED:
            self._headers = tuple(fields)

    def take(self, piece: bytes) -> None:
        piece = piece[: self.most - self.length]
        self.length += len(piece)
        self._digest.update(piece)
        self._excerpt += piece[: self._kept - len(self._excerpt)]

    def answer(self, failure: Reason | None, ms: int) -> Answer:
        if failure is None:
            failure = "response_invalid" if self._is_oversized else _reason_of_status(self._status)
        digest = self._digest.digest() if self._status else b""
        return Answer(
            self._status,
            failure,
            self._retry_after,
            digest,
            bytes(self._excerpt),
            ms,
            self._retry_at,
            self._headers,
        )


def _read_date(text: str) -> int | None:
    """An HTTP date of any of its three forms, as Unix milliseconds; None: it is none."""
    if not 0 < len(text) <= _MOST_DATE:
        return None
    try:
        found = parsedate_to_datetime(text)
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()) * 1_000
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _reason_of_status(status: int) -> Reason | None:
    match status // 100:
        case 2:
            return None
        case 3:
            return "redirected"
        case 4:
            return "gone" if status == 410 else "throttled" if status == 429 else "client_error"  # noqa: PLR2004 - the statuses are their own names
        case 5:
            return "server_error"
        case _:
            return "response_invalid"


def _load(tls: ssl.SSLContext | None) -> "tuple[type[Pools], ssl.SSLContext]":
    from gateway.connections import Pools  # noqa: PLC0415 - see `Dialler`

    return Pools, tls or default_tls()


@cache
def _reasons() -> tuple[tuple[type[Exception], Reason], ...]:
    """First match wins; what is not named is `response_invalid`."""
    import aiohttp  # noqa: PLC0415 - see `Dialler`

    return (
        (aiohttp.ClientConnectorDNSError, "dns_failed"),
        (aiohttp.ClientSSLError, "tls_failed"),
        (ssl.SSLError, "tls_failed"),
        (TimeoutError, "timed_out"),
        (aiohttp.InvalidURL, "address_denied"),
        (aiohttp.ClientPayloadError, "response_invalid"),
        (aiohttp.ClientResponseError, "response_invalid"),
        (aiohttp.ClientConnectionError, "connect_failed"),
        (OSError, "connect_failed"),
    )


def _reason_of(error: BaseException) -> Reason:
    from gateway.connections import was_denied  # noqa: PLC0415 - see `Dialler`

    if was_denied(error):
        return "address_denied"
    return next((reason for kind, reason in _reasons() if isinstance(error, kind)), "response_invalid")


def default_tls(authorities: str | None = None) -> ssl.SSLContext:
    """What we believe of servers: certificates of these authorities (PEM), else of the public ones.

    Raises:
        ssl.SSLError: the authorities cannot be read.
    """
    context = ssl.create_default_context(cadata=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
