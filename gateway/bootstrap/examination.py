"""The doctor's round: ask host, database and broker, each for a few seconds at most, and judge what is seen.

Changes nothing: no topic, no key, no migration, no file; dials no partner's address. A question that fails
becomes a finding, and keeps none of the others from being asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.address import AddressPolicy
from gateway.bootstrap import host_look, open_files
from gateway.bootstrap.aside import aside
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
from gateway.bootstrap.registry_look import examine_registry
from gateway.bootstrap.witness_look import examine_witnesses
from gateway.broker.embedded_inspection import look_embedded
from gateway.broker.port import BrokerError
from gateway.doctor import broker, database, deliveries, disk, folder, network, registry, tls, witness
from gateway.doctor import clock as clocks
from gateway.doctor.finding import Area, Finding
from gateway.errors import GatewayError, MasterKeyError, SettingsError
from gateway.settings import Settings
from gateway.settings_sources import hide_password
from gateway.sql_engines import sqlite_file
from gateway.vault import Vault, load_master


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds until a question is given up. `area`: of each but the next three, asked one after another."""

    area: float = 12.0
    keys: float = 2.0
    database: float = 10.0
    kafka: float = 8.0

    def of(self, area: Area) -> float:
        """All that an area may take; the database's has keys and broker in it, each with its own bound."""
        stores = self.keys + self.database + max(self.kafka, self.area) + 1
        return stores if area is database.DATABASE else self.area


PATIENT: Final = Patience()
SETTINGS: Final = Area("settings")
KEYS: Final = Area("keys")


@dataclass(slots=True)
class _Seen:
    """What the next questions need. `is_missing`: there is no file of the master key.

    `why_no_master`: why there is no vault; empty without a vault: its file was not read in time.
    `is_new`: the database was looked at, and was never set up.
    """

    vault: Vault | None = None
    why_no_master: str = ""
    is_missing: bool = False
    inside: Inside | None = None
    is_new: bool = False


async def examine(
    settings: Settings, environ: Mapping[str, str], patience: Patience = PATIENT
) -> list[Finding]:
    """Every finding, area by area."""
    checks: dict[Area, Callable[[], Awaitable[Iterable[Finding]]]] = {
        SETTINGS: lambda: _aside(lambda: _settings(settings)),
        folder.FOLDER: lambda: _aside(lambda: _folder(settings)),
        clocks.CLOCK: lambda: _aside(_time_keeping),
        tls.TLS: lambda: _aside(lambda: _tls(settings)),
        database.DATABASE: lambda: _stores(settings, patience),
        registry.REGISTRY: lambda: _aside(lambda: examine_registry(settings)),
        witness.WITNESSES: lambda: _aside(lambda: examine_witnesses(settings)),
        disk.DISK: lambda: _aside(lambda: _disks(settings)),
        network.PORTS: lambda: _aside(lambda: _ports(settings)),
        network.EGRESS: lambda: _aside(lambda: _egress(settings, environ)),
    }
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_bounded(area, check, seconds=patience.of(area)))
            for area, check in checks.items()
        ]
    return [_without_passwords(one) for task in tasks for one in task.result()]


def refusals(error: SettingsError) -> list[Finding]:
    """The findings where the settings cannot be loaded: nothing else can be asked then."""
    mend = "mend it; `gateway config show` says what holds and where it comes from"
    return [_without_passwords(SETTINGS.fault(fault, mend)) for fault in error.faults]


async def _bounded(
    area: Area, check: Callable[[], Awaitable[Iterable[Finding]]], *, seconds: float
) -> list[Finding]:
    try:
        async with asyncio.timeout(seconds):
            return list(await check())
    except TimeoutError:
        return [area.fault(f"no answer within {seconds:g} s", "see whether what it asks hangs")]
    except (GatewayError, BrokerError, OSError) as error:
        return [area.fault(f"{error}", "mend what it names, and ask again")]
    except Exception as error:  # noqa: BLE001 - one check that fails must not hide what the others found
        return [area.fault(f"this check failed: {type(error).__name__}: {error}", "report this as our bug")]


async def _aside(look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Run what may block for ever."""
    return await aside(lambda: list(look()))


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
    yield network.judge_descriptors(open_files.allowed())


def _egress(settings: Settings, environ: Mapping[str, str]) -> Iterable[Finding]:
    egress = settings.egress
    yield from network.judge_policy(
        [str(one) for one in egress.allow],
        [str(one) for one in egress.deny],
        loopback=settings.listen.public.is_loopback,
    )
    own = urlsplit(settings.origin).hostname or "localhost"
    resolved = host_look.look_names(("localhost", own))
    yield from network.judge_names(resolved)
    policy = AddressPolicy(egress.allow, egress.deny)
    may_be_dialled = policy.judge(resolved[own] or "").allowed
    yield from network.judge_own(own, resolved[own], may_be_dialled=may_be_dialled)
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


async def _stores(settings: Settings, patience: Patience) -> list[Finding]:
    """Database, keys and broker, in this order: the broker's topics are those of the database's partners.

    Each has its own time, so that one that is slow hides nothing of the others.
    """
    seen = _Seen()
    found: list[Finding] = []
    keys = await _bounded(KEYS, lambda: _read_master(settings, seen), seconds=patience.keys)
    found += await _bounded(
        database.DATABASE, lambda: _ask_database(settings, seen, found), seconds=patience.database
    )
    found += [*keys, *_judge_keys(seen)]
    if is_embedded(settings):
        look = _aside(lambda: _embedded(settings, seen.inside))
        return found + await _bounded(broker.BROKER, lambda: look, seconds=patience.area)
    asked = examine_kafka(settings, seen.inside)
    return found + await _bounded(broker.BROKER, lambda: asked, seconds=patience.kafka)


async def _read_master(settings: Settings, seen: _Seen) -> Iterable[Finding]:
    file = settings.keys.master_file

    def read() -> tuple[Vault | None, str, bool]:
        try:
            return Vault(load_master(file), entropy), "", False
        except MasterKeyError as error:
            return None, error.text, not file.exists()

    seen.vault, seen.why_no_master, seen.is_missing = await aside(read)
    return ()


async def _ask_database(settings: Settings, seen: _Seen, found: list[Finding]) -> Iterable[Finding]:
    """Add to `found` at once, so that a question without an answer costs none before it."""
    file = sqlite_file(settings.database.url)
    try:
        if file is None:
            await _look_server(settings, seen, found)
        else:
            await _look_file(file, seen, found)
    except GatewayError as error:
        mend = (
            "restore a backup of the whole folder"
            if file
            else "check database.url, and that the server is up"
        )
        return [database.DATABASE.fault(str(error), mend)]
    return _judge_inside(settings, seen.inside)


async def _look_server(settings: Settings, seen: _Seen, found: list[Finding]) -> None:
    inside = await aside(lambda: read_server(settings.database.url, lambda one: look_inside(one, seen.vault)))
    _take(inside, seen)
    found.append(clocks.judge_difference(*inside.clocks, whose="the database"))


async def _look_file(file: Path, seen: _Seen, found: list[Finding]) -> None:
    if not await aside(file.exists):
        found.append(database.judge_missing_file(str(file)))
        seen.is_new = True
        return
    _take(await aside(lambda: read_sqlite(file, lambda one: look_inside(one, seen.vault))), seen)
    check, journal = await aside(lambda: check_sqlite(file))
    kind = await aside(lambda: host_look.filesystem_of(file))
    found += database.judge_sqlite(
        database.SqliteSeen(str(file), check, journal, kind, folder.is_network(kind))
    )


def _take(inside: Inside, seen: _Seen) -> None:
    seen.inside = inside
    seen.is_new = inside.origin is None and not inside.revision.why_not


def _judge_inside(settings: Settings, inside: Inside | None) -> Iterable[Finding]:
    if inside is None:
        return
    yield database.judge_revision(inside.revision)
    if inside.deliveries is not None:
        yield from deliveries.judge(inside.deliveries)
    if inside.postgres is not None:
        yield from database.judge_postgres(inside.postgres)
    if inside.origin is not None and inside.origin != settings.origin:
        yield database.DATABASE.fault(
            f"origin is {settings.origin}, and the logs are named after {inside.origin}, for ever",
            f"set origin to {inside.origin}",
        )


def _judge_keys(seen: _Seen) -> Iterable[Finding]:
    inside = seen.inside
    if seen.vault is None:
        return _judge_no_master(seen)
    if inside is not None and inside.keys:
        what, _, mend = inside.keys.partition(": ")
        return [KEYS.fault(what, mend or "restore master key and database from one backup")]
    if inside is None or inside.origin is None:
        return [
            KEYS.not_asked("the master key can be read; what it seals is in a database that was not read")
        ]
    return [KEYS.ok("the master key is this user's alone, and opens our signing keys")]


def _judge_no_master(seen: _Seen) -> Iterable[Finding]:
    if not seen.why_no_master:
        return []  # its file hangs, as was told
    what, _, mend = seen.why_no_master.partition(": ")
    if not seen.is_missing:
        return [KEYS.fault(what, mend or "restore it from a backup")]
    if seen.is_new:
        return [KEYS.warning("there is no master key yet: not set up yet", "run `gateway init`")]
    if seen.inside is None:
        # To make one beside a database that has keys would be the end of them.
        return [KEYS.not_asked(f"{what}; whether it ever was is not known, as the database was not read")]
    return [KEYS.fault(what, "set keys.master_file, or restore the master key from a backup")]


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
