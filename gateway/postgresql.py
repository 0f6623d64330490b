"""Connections to PostgreSQL that never wait without bound, and to the newest of several servers.

libpq bounds connecting and a peer that is gone, but not one that was paused or whose disk hangs: its kernel
still acknowledges. So each wait for an answer ends after a while, and so does its connection. A COMMIT is
never cancelled: one that waits for a standby would become visible here before the standby has it.
"""

import re
import select
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import ConnectionTimeout, _WaitTimeout
from psycopg.pq import TransactionStatus

from gateway.errors import SetupError

T = TypeVar("T")

CONNECT_SECONDS: Final = 2
"""For each server that the URL names."""

IDLE_SECONDS: Final = 2.0
"""For the first word of a connection that lay in the pool, and for the first words of a new one."""

SURE_SECONDS: Final = 1.0
"""One that lay in the pool for less is asked nothing before it is used again: a host is rarely gone so soon
without a word, and the question costs a sixth of a small transaction."""

_STATEMENT_MS: Final = 7_000
_GRACE_SECONDS: Final = 1.0
_INTERVAL_SECONDS: Final = 0.1
_TIMELINE_DIGITS: Final = 8

_IDLE_IN_TRANSACTION_MS: Final = 5_000
"""A process that is paused amid a transaction keeps its locks; others would pass over its shards for ever."""

_OPTIONS: Final = (
    f"-c lock_timeout=1500 -c statement_timeout={_STATEMENT_MS}"
    f" -c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS}"
    # It compiles for longer than any statement of ours runs.
    " -c jit=off"
)
_READ_WRITE: Final = "read-write"
_PARAMETERS: Final[Mapping[str, Any]] = {
    "application_name": "gateway",
    "connect_timeout": CONNECT_SECONDS,
    # A standby is no database to decide in, and the one that is none may change.
    "target_session_attrs": _READ_WRITE,
    # A host that went without a word is found in 10 s.
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

_STARTED: Final = "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint"
_IDENTITY: Final = f"SELECT {_STARTED}, pg_walfile_name(pg_current_wal_lsn())"

_FULL_WORDS: Final = (
    "PostgreSQL has no connection left for us: raise its max_connections (or the limit of this user or "
    "database) above the number of gateway processes times {pool}, or run fewer of them"
)
_CREDENTIALS_WORDS: Final = (
    "PostgreSQL does not let us in: check user and password in database.url, and its pg_hba.conf"
)
_STANDBY_WORDS: Final = (
    "every server of database.url that answers is a standby: promote one, or name the primary too"
)
_NO_AUTHORITY_WORDS: Final = (
    "the file of the authority that PostgreSQL's certificate is checked by cannot be read: add "
    "sslrootcert=/PATH/ca.pem to database.url, or sslrootcert=system for those that this system trusts; "
    "without it libpq looks into ~/.postgresql/root.crt only"
)
_NO_TLS_WORDS: Final = (
    "the server speaks no TLS, and sslmode in database.url asks for it: set ssl = on there, with a "
    "certificate, or check host and port"
)
_CERTIFICATE_WORDS: Final = (
    "PostgreSQL's certificate cannot be trusted: sslrootcert in database.url must name the authority that "
    "signed it, and it must not have ended"
)
_HOST_WORDS: Final = (
    "PostgreSQL's certificate is for another host: name the server in database.url as its certificate does"
)
_OWN_CERTIFICATE_WORDS: Final = (
    "our own certificate for PostgreSQL cannot be used: sslcert and sslkey in database.url must be PEM files "
    "that belong together, the key readable by this user alone"
)
_WORDS: Final = (
    ('root certificate file "', _NO_AUTHORITY_WORDS),
    ("server does not support SSL", _NO_TLS_WORDS),
    ("certificate verify failed", _CERTIFICATE_WORDS),
    ("does not match host name", _HOST_WORDS),
    ('certificate file "', _OWN_CERTIFICATE_WORDS),
    ('private key file "', _OWN_CERTIFICATE_WORDS),
    ("too many clients already", _FULL_WORDS),
    ("remaining connection slots are reserved", _FULL_WORDS),
    ("too many connections for", _FULL_WORDS),
    ("password authentication failed", _CREDENTIALS_WORDS),
    ("no pg_hba.conf entry", _CREDENTIALS_WORDS),
    ("no password supplied", _CREDENTIALS_WORDS),
    ('role "', _CREDENTIALS_WORDS),
    ('database ".*" does not exist', "PostgreSQL has no such database: create it, or correct database.url"),
    ("session is read-only", _STANDBY_WORDS),
    ("server is in hot standby mode", _STANDBY_WORDS),
    ("timeout expired", "the database does not answer"),
)
"""A refused connection has no code, only PostgreSQL's words; those of another language mean the last line.
Each sign is a regular expression; the first that is found counts."""

_REFUSED: Final = (
    "the database cannot be reached: is it running, and does database.url name its host and port?"
)


@dataclass(frozen=True, slots=True)
class Server:
    """One life of one server: another one after each restart, and after a failover.

    `started_at_us`: by its own clock, Unix microseconds. `timeline`: grows with each promotion; 0 where the
    server does not tell.
    """

    started_at_us: int
    timeline: int


class _SilentError(psycopg.OperationalError):
    """The server did not answer in time; the connection is closed."""

    is_silence = True
    words = "the database does not answer"


class _UnreachedError(psycopg.OperationalError):
    """No server that may be used could be reached. `words`: what it means, and how to mend it."""

    def __init__(self, text: str, words: str, *, is_silence: bool) -> None:
        """`is_silence`: it took its time."""
        super().__init__(text)
        self.words = words
        self.is_silence = is_silence


class BoundedConnection(psycopg.Connection[Any]):
    """One whose waits end.

    Attributes:
        patience: seconds that the server has for each answer; None where it may take any time.
        is_at_work: in somebody's transaction, not in the pool.
        server: whom it reached.
    """

    patience: float | None = IDLE_SECONDS
    is_at_work = False
    server: Server = Server(0, 0)
    _is_committing = False
    _rested_at = float("-inf")

    def rest(self) -> None:
        """Lie in the pool from now on."""
        self.patience, self.is_at_work, self._rested_at = IDLE_SECONDS, False, time.monotonic()

    def is_surely_there(self) -> bool:
        """Whether it was at work just now, and the server has not said a word, or ended it, since then."""
        if self.closed or time.monotonic() - self._rested_at >= SURE_SECONDS:
            return False
        heard = select.poll()
        heard.register(self.fileno(), select.POLLIN)
        return not heard.poll(0)

    def wait(self, gen: PQGen[T], interval: float = _INTERVAL_SECONDS, timeout: float | None = None) -> T:
        """Run one exchange with the server.

        Raises:
            psycopg.OperationalError: no answer in time; it has `words`, and is closed.
        """
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except _WaitTimeout as error:
            if timeout is not None:
                raise
            return self._interrupt(gen, error)

    def commit(self) -> None:
        """Commit; its wait is never cancelled, only left."""
        self._is_committing = True
        try:
            super().commit()
        finally:
            self._is_committing = False

    def _interrupt(self, gen: PQGen[T], error: psycopg.OperationalError) -> T:
        """Ask the server to cancel, so that no backend stays behind; else leave."""
        is_active = self.pgconn.transaction_status == TransactionStatus.ACTIVE
        if self.is_at_work and is_active and not self._is_committing:
            try:
                self.cancel_safe(timeout=_GRACE_SECONDS)
                return super().wait(_resumed(gen), _INTERVAL_SECONDS, _GRACE_SECONDS)
            except psycopg.errors.QueryCanceled:
                raise
            except psycopg.OperationalError:
                # It answers to nothing; told below.
                pass
        self.close()
        raise _SilentError(f"no answer within {self.patience} s") from error


class Cluster:
    """The servers that a URL names: usually one, or a primary and its standbys. Used from many threads.

    `pool`: how many connections the process may have; only for words.
    """

    def __init__(self, url: str, *, pool: int) -> None:
        """Read the URL; connects to nothing.

        Raises:
            SetupError: libpq cannot read it, or it asks for a standby.
        """
        try:
            given = conninfo_to_dict(url)
        except psycopg.Error:
            # Without its cause: libpq's words quote the URL, which may hold a password.
            raise SetupError(
                "database.url cannot be read: use postgresql://USER@HOST:PORT/NAME, several servers as "
                "HOST:PORT,HOST:PORT, and write special characters of user and password as %XX"
            ) from None
        sessions = given.get("target_session_attrs") or _READ_WRITE
        if sessions != _READ_WRITE:
            raise SetupError(
                f"database.url has target_session_attrs={sessions}: take it out; {_READ_WRITE} is always "
                "set, since a standby is never used"
            )
        options = f"{_OPTIONS} {given.pop('options', None) or ''}".strip()
        self._pool = pool
        self._attempts = list(_split({**_PARAMETERS, **given, "options": options}))
        self._lock = threading.Lock()
        self._first = 0
        self._newest = Server(0, 0)

    @property
    def newest(self) -> Server:
        """Whom the newest connection reached."""
        return self._newest

    def connect(self, context: Any = None) -> BoundedConnection:
        """Connect to the first server that may be used, beginning with the one that was used last.

        Raises:
            psycopg.OperationalError: there is none; `words` say why, and how to mend it.
        """
        failures: list[psycopg.Error] = []
        for number in self._order():
            try:
                made = BoundedConnection.connect(**self._attempts[number], context=context, autocommit=True)
            except psycopg.Error as error:
                failures.append(error)
                continue
            try:
                made.server = _identity(made)
                self._take(number, made.server)
                made.autocommit = False
            except psycopg.Error as error:
                made.close()
                failures.append(error)
                continue
            return made
        raise self._unreached(failures)

    def _order(self) -> list[int]:
        return sorted(range(len(self._attempts)), key=lambda number: number != self._first)

    def _take(self, number: int, server: Server) -> None:
        with self._lock:
            if 0 < server.timeline < self._newest.timeline:
                raise _outdated(server, self._newest)
            self._first = number
            self._newest = server

    def _unreached(self, failures: list[psycopg.Error]) -> _UnreachedError:
        text = "; ".join(str(error) for error in failures)
        is_silence = any(isinstance(error, ConnectionTimeout | _SilentError) for error in failures)
        own = [error.words for error in failures if isinstance(error, _UnreachedError)]
        told = own or [words for sign, words in _WORDS if re.search(sign, text)]
        return _UnreachedError(text, (told or [_REFUSED])[0].format(pool=self._pool), is_silence=is_silence)


def _identity(connection: BoundedConnection) -> Server:
    try:
        row = connection.execute(_IDENTITY).fetchone()
    except psycopg.errors.DatabaseError as error:
        if connection.closed or error.sqlstate is None:
            raise
        # Some that call themselves PostgreSQL have no WAL to speak of.
        row = connection.execute(f"SELECT {_STARTED}, '0'".encode()).fetchone()
    if row is None:
        raise psycopg.InternalError("the server does not say when it was started")
    return Server(int(row[0]), int(row[1][:_TIMELINE_DIGITS], 16))


def _outdated(server: Server, newest: Server) -> _UnreachedError:
    words = (
        f"the only server of database.url that answers is of timeline {server.timeline}, and this process "
        f"has worked with timeline {newest.timeline}: it is a primary that was replaced, so stop it, and "
        "bring the new one back. If it is the right one after all, restart the gateway"
    )
    return _UnreachedError(words, words, is_silence=False)


def _split(parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The parameters of each server by itself."""
    hosts = str(parameters.get("host") or "").split(",")
    ports = str(parameters.get("port") or "").split(",")
    if len(hosts) == 1 or parameters.get("hostaddr"):
        yield dict(parameters)
        return
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise SetupError(f"database.url names {len(hosts)} hosts and {len(ports)} ports: name one for each")
    for host, port in zip(hosts, ports, strict=True):
        yield {**parameters, "host": host, "port": port}


def _resumed(gen: PQGen[T]) -> PQGen[T]:
    """Go on with an exchange in which nothing had happened yet."""
    ready: Any = 0
    while True:
        try:
            wanted = gen.send(ready)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]  # a generator's result has no type here
        ready = yield wanted
