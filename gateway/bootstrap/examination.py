"""The doctor's round: ask host, database and broker, each for a few seconds at most, and judge what is seen.

Changes nothing: no topic, no key, no migration, no file; dials no partner's address. A question that fails
becomes a finding, and keeps none of the others from being asked.
"""

import asyncio
import resource
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from gateway.bootstrap import host_look
from gateway.bootstrap.database_look import (
    Inside,
    check_sqlite,
    look_inside,
    read_server,
    read_sqlite,
)
from gateway.bootstrap.ground import clock, entropy, is_embedded
from gateway.bootstrap.kafka_look import examine_kafka, judge_keeping
from gateway.bootstrap.offered import verify_offered
from gateway.broker.embedded_inspection import look_embedded
from gateway.broker.port import BrokerError
from gateway.doctor import broker, database, disk, folder, network, tls
from gateway.doctor import clock as clocks
from gateway.doctor.finding import Area, Finding
from gateway.errors import GatewayError, MasterKeyError, SettingsError
from gateway.settings import Settings
from gateway.settings_sources import hide_password
from gateway.sql_engines import sqlite_file
from gateway.vault import Vault, load_master

AREA_SECONDS: Final = 12.0
"""An area that takes longer is given up; all are asked at once."""

KAFKA_SECONDS: Final = 8.0
"""Of these, since the database is asked first."""

T = TypeVar("T")
SETTINGS: Final = Area("settings")
KEYS: Final = Area("keys")


async def examine(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Every finding, area by area."""
    checks: dict[Area, Callable[[], Awaitable[Iterable[Finding]]]] = {
        SETTINGS: lambda: _aside(lambda: _settings(settings)),
        folder.FOLDER: lambda: _aside(lambda: _folder(settings)),
        clocks.CLOCK: lambda: _aside(_time_keeping),
        tls.TLS: lambda: _aside(lambda: _tls(settings)),
        database.DATABASE: lambda: _stores(settings),
        disk.DISK: lambda: _aside(lambda: _disks(settings)),
        network.PORTS: lambda: _aside(lambda: _ports(settings)),
        network.EGRESS: lambda: _aside(lambda: _egress(settings, environ)),
    }
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_bounded(area, check)) for area, check in checks.items()]
    return [_without_passwords(one) for task in tasks for one in task.result()]


def refusals(error: SettingsError) -> list[Finding]:
    """The findings where the settings cannot be loaded: nothing else can be asked then."""
    mend = "mend it; `gateway config show` says what holds and where it comes from"
    return [_without_passwords(SETTINGS.fault(fault, mend)) for fault in error.faults]


async def _bounded(
    area: Area, check: Callable[[], Awaitable[Iterable[Finding]]], *, seconds: float = AREA_SECONDS
) -> list[Finding]:
    try:
        return list(await asyncio.wait_for(check(), seconds))
    except TimeoutError:
        return [area.fault(f"no answer within {seconds:.0f} s", "see whether what it asks hangs")]
    except (GatewayError, BrokerError, OSError) as error:
        return [area.fault(f"{error}", "mend what it names, and ask again")]
    except Exception as error:  # noqa: BLE001 - one check that fails must not hide what the others found
        return [area.fault(f"this check failed: {type(error).__name__}: {error}", "report this as our bug")]


async def _aside(look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Run what may block on a thread."""
    return await asyncio.get_running_loop().run_in_executor(None, lambda: list(look()))


def _without_passwords(finding: Finding) -> Finding:
    return replace(finding, what=hide_password(finding.what), mend=hide_password(finding.mend))


def _settings(settings: Settings) -> Iterable[Finding]:
    try:
        verify_offered(settings)
    except SettingsError as error:
        return [SETTINGS.fault(fault, "take it out") for fault in error.faults]
    return [SETTINGS.ok("every setting is known, and offered")]


def _folder(settings: Settings) -> Iterable[Finding]:
    if not settings.data.is_dir():
        return [folder.judge_missing(str(settings.data))]
    return folder.judge_folder(host_look.look_folder(settings.data))


def _time_keeping() -> Iterable[Finding]:
    signs = host_look.look_time_keepers()
    return [clocks.judge_synchronisation(signs, is_container=host_look.is_container())]


def _tls(settings: Settings) -> Iterable[Finding]:
    listen = settings.listen
    is_beyond = not (listen.public.is_loopback and listen.private.is_loopback)
    doors = tls.Doors(settings.origin, is_beyond, listen.behind_proxy)
    if settings.tls.cert is None or settings.tls.key is None:
        return [tls.judge_without(doors)]
    try:
        certificate, key = settings.tls.cert.read_bytes(), settings.tls.key.read_bytes()
    except OSError as error:
        mend = "check path and rights of tls.cert and tls.key"
        return [tls.TLS.fault(f"{error.filename} cannot be read ({error.strerror})", mend)]
    return tls.judge_files(certificate, key, doors, now=clock())


def _ports(settings: Settings) -> Iterable[Finding]:
    listen = settings.listen
    wanted = {"listen.public": listen.public}
    if listen.private != listen.public:
        wanted["listen.private"] = listen.private
    has_tls = settings.tls.cert is not None
    for name, address in wanted.items():
        yield network.judge_port(host_look.look_port(name, address, tls=has_tls))
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield network.judge_descriptors(-1 if limit == resource.RLIM_INFINITY else limit)


def _egress(settings: Settings, environ: Mapping[str, str]) -> Iterable[Finding]:
    egress = settings.egress
    yield from network.judge_policy(
        [str(one) for one in egress.allow],
        [str(one) for one in egress.deny],
        loopback=settings.listen.public.is_loopback,
    )
    hosts = ("localhost", urlsplit(settings.origin).hostname or "localhost")
    yield from network.judge_names(host_look.look_names(hosts))
    yield network.judge_trust(*host_look.look_authorities())
    yield from network.judge_proxies(host_look.proxies(list(environ)))


def _disks(settings: Settings) -> Iterable[Finding]:
    paths = [settings.data]
    may_take: dict[Path, int] = {}
    file = sqlite_file(settings.database.url)
    if file is not None:
        paths.append(file.parent)
    if is_embedded(settings):
        path = broker_file(settings)
        paths.append(path.parent)
        try:
            used = look_embedded(path).used if path.exists() else 0
        except BrokerError:
            used = 0
        may_take[path.parent] = max(0, settings.broker.embedded_bytes - used)
    for seen in host_look.look_disks(list(dict.fromkeys(paths)), may_take):
        yield from disk.judge_disk(seen)


async def _stores(settings: Settings) -> list[Finding]:
    """Database, keys and broker, in this order: the broker's topics are those of the database's partners."""
    found: list[Finding] = []
    inside = None
    vault, key_words = _vault(settings)
    try:
        inside = await _look_database(settings, vault, found)
    except GatewayError as error:
        mend = (
            "check database.url, and that the server is up" if not sqlite_file(settings.database.url) else ""
        )
        found.append(database.DATABASE.fault(str(error), mend or "restore a backup of the whole folder"))
    found += _judge_keys(settings, inside, key_words)
    if is_embedded(settings):
        found += await _aside(lambda: _embedded(settings, inside))
    else:
        asked = _bounded(broker.BROKER, lambda: examine_kafka(settings, inside), seconds=KAFKA_SECONDS)
        found += await asked
    return found


def _vault(settings: Settings) -> tuple[Vault | None, str]:
    try:
        return Vault(load_master(settings.keys.master_file), entropy), ""
    except MasterKeyError as error:
        return None, error.text


async def _look_database(settings: Settings, vault: Vault | None, found: list[Finding]) -> Inside | None:
    file = sqlite_file(settings.database.url)
    if file is None:
        inside = await read_server(settings.database.url, lambda session: look_inside(session, vault))
        found.append(clocks.judge_difference(*inside.clocks, whose="the database"))
    elif not file.exists():
        found.append(database.judge_missing_file(str(file)))
        return None
    else:
        inside = await _alone(lambda: read_sqlite(file, lambda session: look_inside(session, vault)))
        check, journal = await _alone(lambda: check_sqlite(file))
        kind = host_look.filesystem_of(file)
        seen = database.SqliteSeen(str(file), check, journal, kind, folder.is_network(kind))
        found += database.judge_sqlite(seen)
    found.append(database.judge_revision(inside.revision))
    if inside.postgres is not None:
        found += database.judge_postgres(inside.postgres)
    if inside.origin is not None and inside.origin != settings.origin:
        found.append(
            database.DATABASE.fault(
                f"origin is {settings.origin}, and the logs are named after {inside.origin}, for ever",
                f"set origin to {inside.origin}",
            )
        )
    return inside


def _judge_keys(settings: Settings, inside: Inside | None, why_no_master: str) -> list[Finding]:
    is_set_up = inside is not None and inside.origin is not None
    if why_no_master and not is_set_up and not settings.keys.master_file.exists():
        return [KEYS.warning("there is no master key yet: not set up yet", "run `gateway init`")]
    if why_no_master:
        what, _, mend = why_no_master.partition(": ")
        return [KEYS.fault(what, mend or "restore it from a backup")]
    if inside is not None and inside.keys:
        what, _, mend = inside.keys.partition(": ")
        return [KEYS.fault(what, mend or "restore master key and database from one backup")]
    if not is_set_up:
        return [
            KEYS.not_asked("the master key can be read; what it seals is in a database that was not read")
        ]
    return [KEYS.ok("the master key is this user's alone, and opens our signing keys")]


def _embedded(settings: Settings, inside: Inside | None) -> Iterable[Finding]:
    path = broker_file(settings)
    if not path.exists():
        if inside is not None and inside.reached:
            mend = "restore it and the database from one backup of the whole folder"
            return [broker.BROKER.fault(f"the embedded broker's file {path} is missing", mend)]
        return [broker.BROKER.warning(f"there is no {path} yet", "`gateway up` makes it")]
    try:
        seen = look_embedded(path)
    except BrokerError as error:
        return [broker.BROKER.fault(str(error), "restore the whole folder from a backup")]
    found = [broker.judge_embedded(str(path), seen.used, settings.broker.embedded_bytes)]
    if inside is not None:
        found.append(broker.judge_belonging(inside.reached, seen.places))
    return [*found, judge_keeping(settings)]


def broker_file(settings: Settings) -> Path:
    """The embedded broker's file."""
    return Path(settings.broker.url.partition(":")[2])


async def _alone(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, work)
