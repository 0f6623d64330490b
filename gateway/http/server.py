"""A listener as a role: uvicorn inside the loop that is already running, with our protocol and our TLS."""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

import uvicorn.server
from starlette.types import ASGIApp

from gateway.errors import SetupError
from gateway.http.framing import StrictProtocol
from gateway.http.tls_line import READ_BYTES, TlsLine
from gateway.http.turning_away import Misspoken, StrictConfig, TurnAway
from gateway.units import Address

KEEP_ALIVE_SECONDS: Final = 75
GRACE_SECONDS: Final = 10
LEAVE_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.02
HURRY_SECONDS: Final = 2.0
"""Who takes nothing of its answer for so long is not waited for at the end."""

BACKLOG: Final = 2_048
_REST_TICKS: Final = 20
"""Idle connections are looked through once in so many ticks of uvicorn's, a tenth of a second each."""


def bind(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """Bind a listening socket; port 0 lets the system choose.

    `is_shared`: other processes of this user listen there too, and the system deals connections out to them.

    Raises:
        SetupError: the port is in use, needs other rights, or the address is not of this machine.
    """
    return _bound(host, port, is_shared=is_shared, listens=True)


def reserve(host: str, port: int) -> socket.socket:
    """Keep a port for processes that will share it; nothing listens yet, so that nobody waits for them.

    Raises:
        SetupError: as `bind`.
    """
    # Without sharing first: a second program that shares would be dealt some of our connections.
    bind(host, port).close()
    return _bound(host, port, is_shared=True, listens=False)


def _bound(host: str, port: int, *, is_shared: bool, listens: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
        if listens:
            made.listen(BACKLOG)
            made.settimeout(0)
    except OSError as error:
        made.close()
        raise SetupError(_why(host, port, error)) from error
    return made


class Server:
    """Serves one application at one address."""

    def __init__(
        self,
        app: ASGIApp,
        address: Address,
        *,
        tls: ssl.SSLContext | None = None,
        is_shared: bool = False,
        turn_away: TurnAway | None = None,
        misspoken: Misspoken | None = None,
    ) -> None:
        """`tls` None: plain HTTP, for loopback or behind a proxy. `is_shared`: as `bind`.

        `turn_away`, `misspoken`: who answers in place of the application.
        """
        self._address = address
        self._is_shared = is_shared
        self._socket: socket.socket | None = None
        config = StrictConfig(
            app,
            loop="none",
            http=StrictProtocol if tls is None else _over(tls, misspoken),
            ws="none",
            lifespan="off",
            log_config=None,
            # What uvicorn warns of (a bad request, an upgrade) anybody can cause, as often as they like.
            log_level=logging.ERROR,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            backlog=BACKLOG,
        )
        config.turn_away, config.misspoken = turn_away, misspoken
        self._server = _QuietServer(config)

    @property
    def port(self) -> int:
        """The port that it listens on, once it listens."""
        return self._address.port if self._socket is None else int(self._socket.getsockname()[1])

    async def listen(self) -> None:
        """Bind the port, so that a start that cannot succeed fails before it announces anything.

        Raises:
            SetupError: as `bind`.
        """
        if self._socket is None:
            self._socket = bind(self._address.host, self._address.port, is_shared=self._is_shared)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`; then take no more, and give requests in flight some seconds to end.

        Raises:
            SetupError: as `bind`, where `listen` was not called.
        """
        await self.listen()
        sockets = [] if self._socket is None else [self._socket]
        try:
            await self._serve(sockets, stop)
        finally:
            for one in sockets:
                one.close()
            self._socket = None

    async def _serve(self, sockets: list[socket.socket], stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self._server.serve(sockets=sockets))
            waiting = tasks.create_task(stop.wait())
            await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
            self._server.should_exit = True
            waiting.cancel()


class _QuietServer(uvicorn.server.Server):
    """Leaves the signals to the program: a library must not decide when it ends.

    Leaves politely: a kept connection that is closed while a request is on its way to it is a reset to the
    client. So each gets one more answer, which says that it is the last; those that ask nothing are closed
    after `LEAVE_SECONDS`, and those that take nothing of what they asked for after `HURRY_SECONDS` more.
    """

    async def on_tick(self, counter: int) -> bool:
        """Whether to end; every now and then let idle connections rest."""
        if counter % _REST_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in tuple(self.server_state.connections):
                if isinstance(connection, StrictProtocol):
                    connection.rest(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, answer what comes, close."""
        for server in self.servers:
            server.close()
        for connection in self.server_state.connections:
            cycle: Any = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                cycle.keep_alive = False
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                while self.server_state.connections:  # noqa: ASYNC110 - a set of uvicorn's, which tells nobody
                    await asyncio.sleep(LOOK_SECONDS)
        for connection in self.server_state.connections:
            if isinstance(connection, StrictProtocol):
                connection.hurry(HURRY_SECONDS)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _over(tls: ssl.SSLContext, misspoken: Misspoken | None) -> Any:
    """What makes the protocol of a connection, in the place of its class."""
    told = () if misspoken is None else (misspoken.handshake,)
    buffer = memoryview(bytearray(READ_BYTES))

    def make(*parts: Any, **named: Any) -> TlsLine:
        return TlsLine(StrictProtocol(*parts, **named), tls, buffer, *told)

    return make


def _why(host: str, port: int, error: OSError) -> str:
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    match error.errno:
        case errno.EADDRINUSE:
            return f"port in use: {shown} is taken by another program; choose another with --port"
        case errno.EACCES:
            return f"port not allowed: {shown} needs more rights; choose one above 1023 with --port"
        case errno.EADDRNOTAVAIL:
            return f"address not here: {host} is none of this machine; use 127.0.0.1, or 0.0.0.0 with TLS"
        case _:
            return f"cannot listen on {shown}: {error.strerror}"
