"""The listeners' TLS, made anew when its files change or the clients' certificates do: nothing restarts.

Connections that stand keep what they began with. A pair that does not fit, as while one of two files is
written already, leaves the last good context in use.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.auth.certificate import trusted
from gateway.errors import SetupError
from gateway.http.tls import LiveContext, server_context
from gateway.logs import logger
from gateway.waits import rest
from partners.directory import Directory

LOOK_SECONDS: Final = 2.0
FOLLOW_SECONDS: Final = 0.25
"""How soon a handshake accepts a certificate that the catalogue has; to look costs nothing."""

_Seen = tuple[tuple[int, ...], ...]
Clients = Callable[[], Sequence[bytes]]


class KnownClients:
    """What handshakes have to accept for the credentials of the moment, DER."""

    def __init__(self, directory: Callable[[], Directory], clock: Callable[[], int]) -> None:
        """`directory`: of the moment. `clock`: Unix milliseconds."""
        self._directory = directory
        self._clock = clock
        self._seen: Directory | None = None
        self._found: tuple[bytes, ...] = ()

    def __call__(self) -> tuple[bytes, ...]:
        """The same object, as long as nothing has changed."""
        directory = self._directory()
        if directory is not self._seen:
            found = trusted(directory.credentials("mtls"), now=self._clock())
            self._seen = directory
            self._found = self._found if found == self._found else found
        return self._found


class Certificates:
    """A role, and the context that all listeners share."""

    def __init__(
        self, certificate: Path, key: Path, *, client_ca: Path | None = None, clients: Clients = tuple
    ) -> None:
        """Load all.

        `client_ca`: whom certificates of clients may be issued by, PEM; `clients`: the same, and clients'
        own, DER, as of now. Both are for the handshake alone: they make nobody a caller.

        Raises:
            SetupError: a file is missing, unreadable, or they do not fit together.
        """
        self._files = (certificate, key)
        self._client_ca = client_ca
        self._clients = clients
        self._seen = self._look()
        self._accepted: Sequence[bytes] = clients()
        self.context = LiveContext(self._make())

    async def run(self, stop: asyncio.Event) -> None:
        """Look now and then, until `stop`."""
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while not stop.is_set():
            await rest(stop, FOLLOW_SECONDS)
            if self._clients() is self._accepted and loop.time() - looked < LOOK_SECONDS:
                continue
            # On a thread: with a thousand certificates to accept it takes tens of milliseconds.
            await loop.run_in_executor(None, self.follow)
            looked = loop.time()

    def follow(self) -> None:
        """Make another context where the files have changed and fit, or other clients are to be accepted."""
        seen, accepted = self._look(), self._clients()
        if seen == self._seen and accepted is self._accepted:
            return
        is_renewed, self._seen, self._accepted = seen != self._seen, seen, accepted
        problem = self._replace()
        if problem:
            logger("gateway.http").error("certificate not renewed; the last one stays", reason=problem)
        elif is_renewed:
            logger("gateway.http").info("certificate renewed")

    def _replace(self) -> str:
        """What is wrong with the files, in words; else they are in use now."""
        try:
            self.context.now = self._make()
        except SetupError as error:
            return str(error)
        return ""

    def _make(self) -> ssl.SSLContext:
        return server_context(*self._files, clients=(*_authorities(self._client_ca), *self._accepted))

    def _look(self) -> _Seen:
        found: list[tuple[int, ...]] = []
        for path in (*self._files, *(() if self._client_ca is None else (self._client_ca,))):
            try:
                what = path.stat()
            except OSError:
                found.append(())
            else:
                # The last one changes with owner and rights too: a key that could not be read is tried again.
                found.append((what.st_mtime_ns, what.st_size, what.st_ino, what.st_ctime_ns))
        return tuple(found)


def _authorities(file: Path | None) -> list[bytes]:
    if file is None:
        return []
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
        return [one.public_bytes(Encoding.DER) for one in found]
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it holds no certificates"
        raise SetupError(
            f"TLS: {file} cannot be used ({why}): tls.client_ca must be PEM certificates, one after another"
        ) from error
