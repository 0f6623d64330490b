"""What a program stands on: data folder and its lock, master key, database, facts that never change."""

import fcntl
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from sqlmodel import Session

from gateway import facts
from gateway.administration.evidence import Author, Scribe
from gateway.broker.kafka_properties import KafkaProperties, load_kafka_properties
from gateway.broker.port import Broker, BrokerError
from gateway.database import Database
from gateway.database import clock as database_clock
from gateway.errors import SetupError, StoreDamagedError
from gateway.honest_clock import MAX_DIFFERENCE_MS, difference, words_of_difference
from gateway.keys import create_missing
from gateway.logs import logger
from gateway.migrations import history
from gateway.sealing.pepper import keep_pepper, load_pepper
from gateway.settings import Settings
from gateway.sql_engines import sqlite_file
from gateway.vault import MasterKey, Vault, load_master, make_master
from partners import store
from partners.issuing import WantedCredential, create_credential
from partners.minting import Means

ORIGIN: Final = "origin"
HOUSE_LOG: Final = "house_log"
OPERATOR_KEY: Final = "operator.key"
_DRAFT: Final = "operator.key.new"
"""Becomes the operator's key file once the database knows that key; an older one is never overwritten."""


def clock() -> int:
    """Unix milliseconds of this host."""
    return time.time_ns() // 1_000_000


def ticks() -> int:
    """Milliseconds of a clock that nobody sets."""
    return time.monotonic_ns() // 1_000_000


def entropy(count: int) -> bytes:
    """`count` random bytes of the system."""
    return os.urandom(count)


class FolderLock:
    """The data folder, held by this process until it ends; the system lets go if it is killed."""

    def __init__(self, folder: Path) -> None:
        """Make the folder where it is missing, and lock it.

        Raises:
            SetupError: another process has it, or it cannot be written.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._handle)
            raise SetupError(
                f"the data folder {folder} is in use by another gateway: stop that one, "
                "or name another with --data"
            ) from error

    def release(self) -> None:
        """Let go; idempotent."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


@dataclass(frozen=True, slots=True)
class Ground:
    """Opened and checked: everything that the roles are built on.

    `host`: the origin without its scheme, first part of every log's name. `clock`: this host's, Unix ms.
    """

    settings: Settings
    database: Database
    vault: Vault
    pepper: bytes = field(repr=False)
    host: str
    house_log: str
    new_operator_key: str | None = field(repr=False)
    clock: Callable[[], int] = clock


Mode = Literal["up", "init", "anew", "role"]


def prepare(settings: Settings, mode: Mode, now: Callable[[], int] = clock) -> Ground:
    """Open the ground; `up` and `init` make what is missing, a single role refuses to start without it.

    `anew`: as `init`, and makes an operator's key although one is in force.

    `now`: the host's clock from here on.

    Raises:
        SetupError: says what is missing, wrong or damaged, and how to mend it.
        StoreError: the database is away.
    """
    makes = mode != "role"
    master = None if makes else load_master(settings.keys.master_file)
    if makes:
        _make_folder(settings.data)
    database = Database(settings.database.url)
    try:
        return replace(_prepare(settings, database, master, mode), clock=now)
    except StoreDamagedError as error:
        database.close()
        raise SetupError(f"{sqlite_file(settings.database.url)}: {error.text}") from error
    except BaseException:
        database.close()
        raise


def _prepare(settings: Settings, database: Database, master: MasterKey | None, mode: Mode) -> Ground:
    makes = mode != "role"
    origin = settings.origin
    host = urlsplit(origin).netloc
    with database.begin() as session:
        if makes and (mode != "up" or database.is_sqlite):
            history.upgrade(session)
        history.verify_revision(session)
        is_new = facts.load(session, ORIGIN) is None
    # A lost key is not made anew beside what it has sealed: the new file would stand in the old one's place.
    path = settings.keys.master_file
    vault = Vault(master or _master(path, makes=is_new), entropy, lambda: load_master(path))
    text = None
    with database.begin() as session:
        pepper = load_pepper(session, vault)
        house_log = _facts(session, origin, makes=makes)
        if makes:
            keep_pepper(session, vault)
            scribe = Scribe(origin, host, house_log, entropy)
            text = _first_start(session, vault, scribe, settings.data, is_anew=mode == "anew")
        if text is not None:
            # Before the COMMIT: killed in between, the next start makes another key and another draft. The
            # other way round, nobody would ever see the only operator's key.
            _draft_key(settings.data, text)
    if makes:
        _keep_key(settings.data)
    return Ground(settings, database, vault, pepper, host, house_log, text)


def keep_private() -> None:
    """Whatever this process writes from now on, only its own user may read."""
    os.umask(0o077)


def open_broker(settings: Settings) -> Broker:
    """The broker that the settings name.

    Raises:
        SetupError: the URL is no broker's, the embedded one is in use or unusable, or Kafka's properties
            are wrong.
    """
    kind, _, rest = settings.broker.url.partition(":")
    properties = None
    try:
        if kind == "embedded":
            from gateway.broker.embedded import EmbeddedBroker  # noqa: PLC0415 - only one of the two is loaded

            if settings.broker.properties_file is not None:
                raise SetupError(
                    "broker.properties_file is for Kafka, and broker.url is embedded: set broker.url to "
                    "kafka://HOST:PORT, or take broker.properties_file out"
                )
            return EmbeddedBroker.open(
                Path(rest), clock=clock, entropy=entropy, limit_bytes=settings.broker.embedded_bytes
            )
        if kind == "kafka":
            from gateway.broker.kafka import KafkaBroker  # noqa: PLC0415 - as above

            servers = rest.removeprefix("//")
            properties = _kafka_properties(settings.broker.properties_file, servers)
            return KafkaBroker.open(
                servers,
                clock=clock,
                properties=properties.settings if properties else {},
                replication=settings.broker.replication,
                message_timeout_ms=settings.broker.message_timeout,
            )
    except BrokerError as error:
        raise SetupError(properties.locate(str(error)) if properties else str(error)) from error
    raise SetupError(f"broker.url begins with {kind!r}: use embedded:FILE or kafka://HOST:PORT")


def is_embedded(settings: Settings) -> bool:
    """Whether only one process can have this broker."""
    return settings.broker.url.startswith("embedded:")


def is_sqlite(url: str) -> bool:
    """Whether the database is a file, of one machine and one writer."""
    return url.startswith("sqlite")


def _kafka_properties(path: Path | None, servers: str) -> KafkaProperties | None:
    """What the provider's file says, its warnings told."""
    if path is None:
        return None
    properties = load_kafka_properties(path)
    warnings = list(properties.warnings)
    if properties.settings.get("bootstrap.servers", servers) != servers:
        line = properties.origins["bootstrap.servers"].line
        warnings.append(f"{path}:{line}: bootstrap.servers: is left out: broker.url names the servers")
    log = logger("gateway.broker")
    for words in warnings:
        log.warning("broker.properties_file", reason=words)
    return properties


def _master(path: Path, *, makes: bool) -> MasterKey:
    if makes and not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return make_master(path, entropy)
    return load_master(path)


def _facts(session: Session, origin: str, *, makes: bool) -> str:
    stored = facts.load(session, ORIGIN)
    if stored is None and not makes:
        raise SetupError("this database was never set up: run `gateway init` once, or `gateway up`")
    stored = facts.keep(session, ORIGIN, origin)
    if stored != origin:
        raise SetupError(
            f"origin is {origin}, but the logs of this database are named after {stored}, for ever: "
            f"set origin to {stored}, or start with another data folder"
        )
    return facts.keep(session, HOUSE_LOG, secrets.token_hex(8))


def _first_start(
    session: Session, vault: Vault, scribe: Scribe, folder: Path, *, is_anew: bool
) -> str | None:
    """Make signing keys and an operator's key where none is in force; the text of the latter, once.

    `is_anew`: the latter also where one is, and its file is not here.
    """
    now = clock()
    author = Author("operator", None)
    for key in create_missing(session, vault, now=now, entropy=entropy):
        _verify_clock(session, now)
        scribe.key(session, key, "created", author, now=now)
    operators = [one for one in store.credentials(session, owner=None) if one.role == "operator"]
    has_one = any(one.is_active(now) and "manage" in one.scopes for one in operators)
    if has_one and not is_anew:
        return None
    if has_one and (path := folder / OPERATOR_KEY).exists():
        raise SetupError(
            f"{path} is there: make another one with that key (gateway credentials create --role operator), "
            "or move the file away where it is of no use"
        )
    if operators:
        # All expired, or the file is gone: whoever holds this folder and its master key may have another one.
        _lay_aside(folder)
    wanted = WantedCredential(None, "operator", "first")
    means = Means(load_pepper(session, vault), entropy, vault.seal)
    change = create_credential(session, wanted, means=means, now=now)
    scribe.credential(session, None, change.credential, "created", author, now=now)
    return change.text


def _verify_clock(session: Session, now: int) -> None:
    """Make no evidence by a clock that is off."""
    ahead = difference(now, database_clock(session), clock())
    if abs(ahead) > MAX_DIFFERENCE_MS:
        raise SetupError(f"{words_of_difference(ahead)}. Signing keys are made once it is.")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> SetupError:
    return SetupError(
        f"the data folder {folder} cannot be written ({error.strerror}): give this user the right, "
        "or name another with --data"
    )


def _lay_aside(folder: Path) -> None:
    path = folder / OPERATOR_KEY
    if path.exists():
        path.replace(path.with_suffix(".expired"))


def _draft_key(folder: Path, text: str) -> None:
    if (folder / OPERATOR_KEY).exists():
        raise SetupError(
            f"the database is new, but {folder / OPERATOR_KEY} belongs to an earlier one: restore that "
            "database; to begin anew, name another folder with --data, or move this one's files away"
        )
    _write_secret(folder / _DRAFT, text)


def _keep_key(folder: Path) -> None:
    """The key is in the database: a draft that a kill has left behind becomes its file too."""
    draft, path = folder / _DRAFT, folder / OPERATOR_KEY
    if draft.exists() and not path.exists():
        draft.replace(path)


def _write_secret(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            os.fchmod(handle, 0o600)
            file.write(text + "\n")
            file.flush()
            os.fsync(handle)
    except OSError as error:
        raise SetupError(
            f"the operator's key cannot be written to {path} ({error.strerror}): give this user the right, "
            "or name another folder with --data"
        ) from error
