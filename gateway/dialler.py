"""Send one POST or GET to an address that somebody else chose; the only module that does.

The whole exchange stands under one deadline, and under caps of headers and body. The address policy stands in
two places: the resolver judges all answers (one denied, all refused: a mixed answer is a sign of rebinding),
the socket factory judges the address that is connected to (a literal address meets no resolver). Never: a
redirect followed, a cookie kept, a proxy taken from the environment, a body decompressed.

Source: aiohttp 3.14, `TCPConnector(resolver=, socket_factory=)`.
"""

import asyncio
import hashlib
import io
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from gateway.address import AddressPolicy

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

BODY_BYTES = 64 * 1024
HEADER_BYTES = 16 * 1024
EXCERPT_BYTES = 1024
_WHOLE_BYTES = 256 * 1024
_CONNECT_SECONDS = 5.0
_PER_HOST = 64
_RESOLVER_THREADS = 16
_NAME_SECONDS = 10
_IDLE_SECONDS = 4.0
_RETRY_AFTER = re.compile(r"[0-9]{1,9}\Z")
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}\Z")

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to all its addresses, as text. Raises OSError where there is none."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One POST. `headers` hold neither Host nor lengths: these are the transport's.

    `pool`: who it is for; a connection that was opened for one serves no other. `tls`: whom to believe at the
    other end, and who we are there; None: the public authorities, and nobody.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    pool: str = ""
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)


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
    """What a GET brought. `failure` None: a 2xx, and `body` is the whole of it; else `body` is empty."""

    status: int
    failure: Reason | None
    body: bytes = field(repr=False)


class _DeniedError(OSError):
    """The policy refuses the address. An OSError, since aiohttp wraps these on the way out."""


class Dialler:
    """Sends requests, each within `timeout_ms` from name to last byte. Use as an async context manager.

    `ports`: the ports that may be dialled; None: any, since the operator's contract file names each endpoint.
    `lookup` and `tls` are for tests and private authorities; the defaults are the system's.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        timeout_ms: int,
        ports: frozenset[int] | None = None,
        lookup: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = policy
        self._timeout = timeout_ms / 1000
        self._ports = ports
        self._resolver = _GuardedResolver(policy, lookup)
        self._tls = tls or _default_tls()
        self._session: aiohttp.ClientSession | None = None

    @property
    def deadline_ms(self) -> int:
        """The longest that `send` takes."""
        return int(self._timeout * 1000)

    async def __aenter__(self) -> Self:
        """Open the pool; needs a running loop."""
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            socket_factory=self._make_socket,
            ssl=self._tls,
            limit=0,
            limit_per_host=_PER_HOST,
            ttl_dns_cache=_NAME_SECONDS,
            keepalive_timeout=_IDLE_SECONDS,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=_CONNECT_SECONDS, sock_connect=_CONNECT_SECONDS
            ),
            headers={"Accept-Encoding": "identity", "User-Agent": "partner-gateway"},
            max_line_size=HEADER_BYTES // 4,
            max_field_size=HEADER_BYTES // 2,
            read_bufsize=BODY_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

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
        """GET once, under the same rules as `send`. `most`: bytes; a larger body is `response_invalid`.

        Raises:
            RuntimeError: not entered.
        """
        exchange = _Exchange(most + 1, most + 1)
        failure = await self._failure("GET", Outgoing(url, (("Accept", "application/json"),), b""), exchange)
        answer = exchange.answer(failure, 0)
        failure = answer.failure
        if failure is None and exchange.length > most:
            failure = "response_invalid"
        return Fetched(answer.status, failure, b"" if failure else answer.excerpt)

    async def _failure(self, method: str, outgoing: Outgoing, exchange: "_Exchange") -> Reason | None:
        if self._session is None:
            raise RuntimeError("enter the dialler before sending")
        failure = self._refuse_url(outgoing.url)
        if failure is None:
            try:
                async with asyncio.timeout(self._timeout):
                    await self._exchange(self._session, method, outgoing, exchange)
            except (aiohttp.ClientError, OSError, ValueError, RuntimeError, ExceptionGroup) as error:
                failure = _reason_of(error)
        return failure

    async def _exchange(
        self, session: aiohttp.ClientSession, method: str, outgoing: Outgoing, exchange: "_Exchange"
    ) -> None:
        url = URL(outgoing.url, encoded=True)
        # In pieces where it is large: one write of megabytes would hold up the loop.
        body = outgoing.body if len(outgoing.body) <= _WHOLE_BYTES else io.BytesIO(outgoing.body)
        sent = body if method == "POST" else None
        async with session.request(
            method, url, data=sent, headers=outgoing.headers, allow_redirects=False
        ) as response:
            exchange.begin(response)
            while exchange.wants_more:
                piece = await response.content.read(exchange.most + 1 - exchange.length)
                if not piece:
                    break
                exchange.take(piece)
            if not response.content.at_eof():
                response.close()  # more than the cap: the connection goes with it

    def _refuse_url(self, text: str) -> Reason | None:
        try:
            url = urlsplit(text)
            port = url.port or (443 if url.scheme == "https" else 80)
        except ValueError:
            return "address_denied"
        host = url.hostname or ""
        plain = not (url.username or url.password or url.fragment or "#" in text)
        if not (text.isascii() and plain and _HOST.match(host)):
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

    def _make_socket(
        self, info: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
    ) -> socket.socket:
        family, kind, proto, _, address = info
        _demand(self._policy, str(address[0]))
        return socket.socket(family, kind, proto)


class _GuardedResolver(AbstractResolver):
    """Judges every answer; its threads are its own, so that dead names starve nobody else."""

    def __init__(self, policy: AddressPolicy, lookup: Lookup | None) -> None:
        self._policy = policy
        self._lookup = lookup or self._ask_system
        self._threads: ThreadPoolExecutor | None = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family  # all families are asked for, so that all answers are judged
        found = await self._lookup(host.rstrip("."), port)
        if not found:
            raise OSError(f"no address for {host}")
        for address in found:
            _demand(self._policy, address)
        return [_resolved(host, port, address) for address in found]

    async def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def _ask_system(self, host: str, port: int) -> Sequence[str]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolver")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _addresses, host, port)


class _Exchange:
    """The answer as far as it has come. `most`: bytes of the body that are read; `kept`: of these, kept."""

    def __init__(self, most: int, kept: int) -> None:
        self.most = most
        self._kept = kept
        self._status = 0
        self._retry_after: int | None = None
        self._is_oversized = False
        self._digest = hashlib.sha256()
        self._excerpt = bytearray()
        self.length = 0

    @property
    def wants_more(self) -> bool:
        return self.length < self.most and not self._is_oversized

    def begin(self, response: aiohttp.ClientResponse) -> None:
        self._status = response.status
        self._is_oversized = sum(len(k) + len(v) + 4 for k, v in response.raw_headers) > HEADER_BYTES
        text = response.headers.get("Retry-After", "").strip()
        self._retry_after = int(text) if _RETRY_AFTER.match(text) else None

    def take(self, piece: bytes) -> None:
        piece = piece[: self.most - self.length]
        self.length += len(piece)
        self._digest.update(piece)
        self._excerpt += piece[: self._kept - len(self._excerpt)]

    def answer(self, failure: Reason | None, ms: int) -> Answer:
        if failure is None:
            failure = "response_invalid" if self._is_oversized else _reason_of_status(self._status)
        digest = self._digest.digest() if self._status else b""
        return Answer(self._status, failure, self._retry_after, digest, bytes(self._excerpt), ms)


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


_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
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
"""First match wins; what is not named is `response_invalid`."""


def _reason_of(error: BaseException) -> Reason:
    if _was_denied(error):
        return "address_denied"
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "response_invalid")


def _was_denied(error: BaseException | None) -> bool:
    seen = 0
    while error is not None and seen < 10:  # noqa: PLR2004 - a chain of causes is short; a cycle must end
        if isinstance(error, _DeniedError) or isinstance(getattr(error, "os_error", None), _DeniedError):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def _demand(policy: AddressPolicy, address: str) -> None:
    if not policy.judge(address).allowed:
        raise _DeniedError("the address policy refuses this address")


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # noqa: TID251 - this module is where names are resolved
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def _resolved(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)


def _default_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
