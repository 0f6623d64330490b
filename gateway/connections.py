"""Open connections to addresses that somebody else chose: judged by whoever resolves, opens and uses one.

The address policy stands in three places. The resolver judges all answers (one denied, all refused: a mixed
answer is a sign of rebinding); the socket factory judges the address that is connected to, since a literal in
a URL meets no resolver; and once a connection stands its other end is judged, before anything is sent: it
must not be this machine either, under whatever address. Nobody else resolves a name. A connection that was
opened for one serves no other: each has a pool of its own.

Source: aiohttp 3.14, `TCPConnector(resolver=, socket_factory=)`, `BaseConnector.connect`.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.address import AddressPolicy
from gateway.exchanges import HEADER_BYTES, Exchange

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

READ_BYTES: Final = 64 * 1024
CONNECT_SECONDS: Final = 5.0
MOST_POOLS: Final = 1_024
"""Kept at once; beyond, those that nobody uses are closed, the longest unused first."""

_RESOLVER_THREADS: Final = 64
_MOST_LOOKUPS: Final = 8
"""Of one pool at once, each of another name: one that nobody answers for holds a thread for half a minute."""

_NAME_SECONDS: Final = 10
_IDLE_SECONDS: Final = 4.0

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to all its addresses, as text. Raises OSError where there is none."""

OpenSocket = Callable[[int, int, int], socket.socket]
"""Family, kind and protocol to a socket: the last step before anything is sent."""

_Info = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


class _DeniedError(OSError):
    """The policy refuses the address. An OSError, since aiohttp wraps these on the way out."""


@dataclass(slots=True)
class _Pool:
    session: aiohttp.ClientSession
    users: int = 0


class Pools:
    """A pool of connections for each name, opened when it is first asked for. Needs a running loop."""

    def __init__(
        self,
        policy: AddressPolicy,
        lookup: Lookup | None,
        tls: ssl.SSLContext,
        *,
        open_socket: OpenSocket = socket.socket,
        most: int = MOST_POOLS,
    ) -> None:
        self._policy = policy
        self._open_socket = open_socket
        self._tls = tls
        self._most = most
        self._lookup = lookup
        self._threads = _Threads()
        self._pools: dict[str, _Pool] = {}

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[aiohttp.ClientSession]:
        """Use a pool for one request."""
        pool = self._pools.pop(name, None) or _Pool(self._open())
        self._pools[name] = pool  # at the end: the first is the longest unused
        pool.users += 1
        try:
            if len(self._pools) > self._most:
                await self._close_unused()
            yield pool.session
        finally:
            pool.users -= 1

    async def close(self) -> None:
        """Close all connections."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.session.close()
        self._threads.close()

    async def _close_unused(self) -> None:
        name = next((name for name, pool in self._pools.items() if not pool.users), None)
        if name is not None:
            await self._pools.pop(name).session.close()

    def _open(self) -> aiohttp.ClientSession:
        resolver = _GuardedResolver(self._policy, self._lookup or _Lookups(self._threads).of)
        return aiohttp.ClientSession(
            connector=_GuardedConnector(self._policy, resolver, self._tls, self._open_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS),
            headers={"Accept-Encoding": "identity", "User-Agent": "partner-gateway"},
            max_line_size=HEADER_BYTES // 4,
            max_field_size=HEADER_BYTES // 2,
            read_bufsize=READ_BYTES,
        )


class _GuardedConnector(aiohttp.TCPConnector):
    """Opens to judged addresses only. It sets no limits: lanes do, and waiting for a place is no failure."""

    def __init__(
        self,
        policy: AddressPolicy,
        resolver: "_GuardedResolver",
        tls: ssl.SSLContext,
        open_socket: OpenSocket,
    ) -> None:
        super().__init__(
            resolver=resolver,
            socket_factory=self._make_socket,
            ssl=tls,
            limit=0,
            limit_per_host=0,
            ttl_dns_cache=_NAME_SECONDS,
            keepalive_timeout=_IDLE_SECONDS,
        )
        self._factory = cast("partial[ResponseHandler]", partial(Exchange, loop=self._loop))
        self._policy = policy
        self._open_socket = open_socket
        self._used: WeakSet[Any] = WeakSet()

    async def connect(self, *given: Any, **named: Any) -> aiohttp.connector.Connection:
        """A connection; the other end of a new one is judged once more.

        One to which something came since it was used last is left: that is the answer to no question, and
        would else be taken for the next one's.
        """
        connection = await super().connect(*given, **named)
        while self._is_stale(connection):
            connection.close()
            connection = await super().connect(*given, **named)
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or protocol in self._used:
            return connection
        self._used.add(protocol)
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        try:
            if peer is not None:  # else it is closed again already, and nothing can be sent
                # A system that reaches itself does so from the address that it reaches.
                demand(self._policy, str(peer[0]), is_own=here is not None and here[0] == peer[0])
        except _DeniedError:
            connection.close()
            raise
        return connection

    def _is_stale(self, connection: aiohttp.connector.Connection) -> bool:
        protocol = connection.protocol
        return protocol is not None and protocol in self._used and protocol.should_close

    def _make_socket(self, info: _Info) -> socket.socket:
        family, kind, proto, _, address = info
        demand(self._policy, str(address[0]))
        return self._open_socket(family, kind, proto)


class _GuardedResolver(AbstractResolver):
    """Judges every answer."""

    def __init__(self, policy: AddressPolicy, lookup: Lookup) -> None:
        self._policy = policy
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family  # all families are asked for, so that all answers are judged
        found = await self._lookup(host.rstrip("."), port)
        if not found:
            raise OSError(f"no address for {host}")
        for address in found:
            demand(self._policy, address)
        return [_resolved(host, port, address) for address in found]

    async def close(self) -> None:
        """Nothing here is open."""


class _Threads:
    """Where the system is asked for names: threads of their own, made when the first one is."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    def ask(self, host: str, port: int) -> "Future[list[str]]":
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolver")
        return self._threads.submit(_addresses, host, port)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None


class _Lookups:
    """Asks the system for the names of one pool, a few at once, so that dead names starve nobody else.

    Who gives up frees no thread: the system cannot be stopped. So a place is free once the thread is.
    """

    def __init__(self, threads: _Threads) -> None:
        self._threads = threads
        self._places = asyncio.Semaphore(_MOST_LOOKUPS)

    async def of(self, host: str, port: int) -> Sequence[str]:
        """All addresses of a name; raises OSError where there is none."""
        loop = asyncio.get_running_loop()
        await self._places.acquire()
        asked = self._threads.ask(host, port)

        def free(_: "Future[list[str]]") -> None:
            with suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(self._places.release)

        asked.add_done_callback(free)
        return await asyncio.wrap_future(asked)


def demand(policy: AddressPolicy, address: str, *, is_own: bool = False) -> None:
    """Go on only where the policy allows the address. `is_own`: it is one of this machine.

    Raises:
        _DeniedError: it does not.
    """
    if not policy.judge(address, is_own=is_own).allowed:
        raise _DeniedError("the address policy refuses this address")


def was_denied(error: BaseException | None) -> bool:
    """Whether a `_DeniedError` is behind an error, however deep."""
    seen = 0
    while error is not None and seen < 10:  # noqa: PLR2004 - a chain of causes is short; a cycle must end
        if isinstance(error, _DeniedError) or isinstance(getattr(error, "os_error", None), _DeniedError):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # noqa: TID251 - this module is where names are resolved
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def _resolved(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)
