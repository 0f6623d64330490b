"""A running gateway: all roles in one process, or one role of many; started, announced, stopped."""

import asyncio
import faulthandler
import gc
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import uvloop

from gateway import leases
from gateway.administration.coming import Companion
from gateway.administration.desk import ContractText, Wish
from gateway.administration.evidence import Author
from gateway.administration.refusals import problem_lines
from gateway.bootstrap.announcing import announce_doors, operator_lines
from gateway.bootstrap.belonging import verify_belongs
from gateway.bootstrap.ending import ended, listen_for_the_end
from gateway.bootstrap.fellows import Fellows
from gateway.bootstrap.ground import (
    FolderLock,
    Ground,
    clock,
    entropy,
    is_embedded,
    is_sqlite,
    keep_private,
    open_broker,
    prepare,
)
from gateway.bootstrap.listeners import make_certificates, make_doors, make_servers
from gateway.bootstrap.offered import verify_offered
from gateway.bootstrap.open_files import raise_limit
from gateway.bootstrap.parts import Parts, Step, make_guard, wire
from gateway.bootstrap.posting import Postings
from gateway.bootstrap.rejections import Rejections
from gateway.bootstrap.workers import Seat, Workers
from gateway.broker.gated import GatedBroker
from gateway.broker.guest import GuestBroker
from gateway.broker.port import Broker, BrokerError
from gateway.contract_folder import beside, in_order, load_contract
from gateway.errors import AwayError, CallerError, RoleStoppedError, SetupError
from gateway.exports import store as exports
from gateway.http.server import bind
from gateway.http.tls import make_dev_certificate
from gateway.imports import store as imports
from gateway.ingress.claims import expire_leases
from gateway.logs import configure, logger
from gateway.metrics import Metrics
from gateway.roles import Named, run_roles
from gateway.sequencer.guard import Guard
from gateway.settings import Settings

RoleName = Literal["serve", "relay", "sequence"]
ALL_ROLES: Final[tuple[RoleName, ...]] = ("serve", "relay", "sequence")
SWITCH_SECONDS: Final = 0.0005
"""Beside a busy thread a wake-up of the loop waited 5.3 ms with Python's default, 0.7 ms with this."""

NEW_OBJECTS: Final = 10_000
"""Between two looks of the garbage collector; with Python's 700 it took 6 % of the time of a busy door."""

GUARD_SECONDS: Final = 2.0
"""How long a start waits for the broker before it opens its doors; taking events waits on."""

DEV_TLS: Final = "tls"


@dataclass(frozen=True, slots=True)
class Options:
    """What a start asks for beside the settings.

    `contracts`: files to apply at once. `announce`: gets each line for the terminal. `step`: for crash tests.
    `welcome`: is called once the doors are open, and returns more lines. `seat`: one worker of several.
    `clock`: this host's, Unix milliseconds; tests set it wrong.
    """

    mode: Literal["up", "role"] = "up"
    roles: tuple[RoleName, ...] = ALL_ROLES
    contracts: tuple[Path, ...] = ()
    announce: Callable[[str], None] = print
    step: Step = field(default=lambda _: None)
    ca_file: Path | None = None
    welcome: Callable[[Parts], Awaitable[Sequence[str]]] | None = None
    seat: Seat | None = None
    clock: Callable[[], int] = clock


def dev_tls(folder: Path) -> tuple[Path, Path]:
    """Certificate and key for this machine's own names, made in the data folder where they are missing.

    Raises:
        SetupError: the folder cannot be written.
    """
    keep_private()
    return make_dev_certificate(folder / DEV_TLS, now=clock(), entropy=entropy)


def init(settings: Settings, announce: Callable[[str], None], *, new_operator_key: bool = False) -> None:
    """Set up a database once: tables, master key, signing keys, operator's key.

    `new_operator_key`: another one, though one is in force: whoever holds this folder and its master key may
    have it.

    Raises:
        SettingsError: a setting is not offered.
        SetupError: says what stands in the way.
    """
    verify_offered(settings)
    keep_private()
    ground = prepare(settings, "anew" if new_operator_key else "init")
    try:
        announce(f"data       {settings.data}")
        announce(f"origin     {settings.origin}")
        for line in operator_lines(ground):
            announce(line)
    finally:
        ground.database.close()


def run(settings: Settings, options: Options) -> None:
    """Run until a signal asks to stop.

    Raises:
        SetupError: says what stands in the way of a start.
        RoleStoppedError: a role failed; the cause is chained.
    """
    _begin(settings, options.clock)
    if options.mode == "role":
        _verify_several(settings)
    lock = FolderLock(settings.data) if options.mode == "up" else None
    try:
        uvloop.run(_run(settings, options))
    finally:
        ended()
        if lock is not None:
            lock.release()


def fan_out(settings: Settings, count: int, final: frozenset[int]) -> Seat | int:
    """Become `count` workers; in each, the seat to `run` with, and here, once all have ended, an exit code.

    `final`: exit codes of a worker that end all, since another start would end no better.

    Raises:
        SetupError: broker, database, system or ports cannot be shared.
    """
    _begin(settings, clock)
    _verify_several(settings)
    if is_sqlite(settings.database.url):
        raise SetupError("--workers needs PostgreSQL, since SQLite has one writer: set database.url")
    addresses = {settings.listen.public, settings.listen.private}
    return Workers(tuple(addresses), count, final).run()


def _begin(settings: Settings, now: Callable[[], int]) -> None:
    verify_offered(settings)
    # A library that ends the process in C leaves at least the stacks of its threads.
    faulthandler.enable()
    configure(settings.log.level, settings.log.format, now)
    for name in ("alembic", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_SECONDS)
    raise_limit()
    keep_private()


def _verify_several(settings: Settings) -> None:
    if is_embedded(settings):
        raise SetupError(
            "the embedded broker belongs to one process: run `gateway up`, or set broker.url to kafka://HOST:PORT"
        )


def _end_leases(ground: Ground) -> None:
    """Go on at once after a kill, where nobody else can be at work.

    The lock of the data folder tells that of a database in it; one on a server may have other instances.
    """
    is_ours = ground.database.is_sqlite
    with ground.database.begin() as session:
        if is_ours or not leases.are_shared(session):
            leases.expire_all(session)
        if is_ours:
            expire_leases(session)
            imports.expire_leases(session)
            exports.expire_leases(session)


async def _run(settings: Settings, options: Options) -> None:
    if "serve" in options.roles and options.seat is None:
        # A start that cannot listen must fail before it makes keys that are shown only once.
        for address in {settings.listen.public, settings.listen.private}:
            bind(address.host, address.port).close()
    ground = prepare(settings, options.mode, options.clock)
    broker: Broker | None = None
    try:
        if options.mode == "up":
            _end_leases(ground)
        broker = open_broker(settings)
        if "serve" not in options.roles:
            broker = GuestBroker(broker)
        if is_embedded(settings):
            await verify_belongs(ground.database, broker)
        metrics = Metrics()
        guard = make_guard(ground, broker)
        gated = GatedBroker(broker, closed_for_ms=_closed_for_ms(guard))
        report = _reporter(metrics)
        parts = wire(ground, gated, step=options.step, metrics=metrics, report=report, guard=guard)
        await _guard(guard)
        with suppress(AwayError, BrokerError):
            await (parts.catalog.refresh() if guard.has_passed else parts.catalog.follow())
        await _serve(parts, options, metrics)
    finally:
        if broker is not None:
            await broker.close()
        ground.database.close()


async def _guard(guard: Guard) -> None:
    """Refuse to start on topics that are another's, or on a database that is behind.

    A broker that does not answer soon does not hold up the doors: the gate stays shut meanwhile, and the
    guard's own role goes on asking.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(GUARD_SECONDS):
            await asyncio.shield(guard.settle())
    if guard.refusal is not None:
        raise guard.refusal


def spare_the_collector() -> None:
    """What was made for the start lives as long as the process: nothing of it is looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 20)


def _closed_for_ms(guard: Guard) -> Callable[[], int]:
    since = time.monotonic()
    return lambda: 0 if guard.has_passed else max(1, int((time.monotonic() - since) * 1_000))


async def _serve(parts: Parts, options: Options, metrics: Metrics) -> None:
    stop = asyncio.Event()
    listen_for_the_end(stop, parent=None if options.seat is None else options.seat.parent)
    async with parts.dialler:
        roles = await _roles(parts, options, metrics, stop)
        spare_the_collector()
        try:
            await run_roles(roles, stop, metrics=metrics, monotonic=time.monotonic)
        except RoleStoppedError as error:
            if isinstance(error.__cause__, SetupError):
                raise error.__cause__ from error
            raise
        finally:
            await parts.writes.close()
            parts.keys.opener.close()
            if parts.outside is not None:
                parts.outside.close()


async def _roles(parts: Parts, options: Options, metrics: Metrics, stop: asyncio.Event) -> Sequence[Named]:
    """The roles of this process, in the order in which they are to stop: doors first, what they need last."""
    roles: list[Named] = []
    if "serve" in options.roles:
        roles += await _open_doors(parts, options, metrics, stop)
        roles.append(Named("imports", parts.importer))
        roles.append(Named("exports", parts.exporting.role))
        roles.append(Named("announcer", parts.announcer))
        roles.append(Named("watch", parts.watch))
        roles.append(Named("ingress", parts.ingress))
        roles.append(Named("quotas", parts.quotas))
        roles.append(Named("administration", parts.administration))
        roles.append(Named("uses", parts.uses))
        roles.append(Named("retention", parts.retention))
        roles.append(Named("eraser", parts.eraser))
    else:
        options.announce(f"data       {parts.ground.settings.data.resolve()}")
        options.announce(f"origin     {parts.ground.settings.origin}")
        options.announce(f"roles      {', '.join(options.roles)}")
    if options.mode == "up":
        roles.append(Named("recovery", parts.recovery))
    if "relay" in options.roles:
        roles.append(Named("relay", parts.relay))
        roles.append(Named("tally", parts.tally))
    if "sequence" in options.roles:
        roles.append(Named("sequencer", parts.sequencer))
        roles.append(Named("anchor", parts.anchor.rounds))
        if parts.anchor.witnesses is not None:
            roles.append(Named("witnesses", parts.anchor.witnesses))
    roles.append(Named("clock", parts.clock_watch))
    if parts.outside is not None:
        roles.append(Named("registry", parts.outside))
    roles.append(Named("catalog", parts.catalog))
    roles.append(Named("keys", parts.keys))
    roles.append(Named("guard", parts.guard))
    return roles


async def _open_doors(
    parts: Parts, options: Options, metrics: Metrics, stop: asyncio.Event
) -> Sequence[Named]:
    """Listen, and say so; the roles of the doors."""
    settings, seat = parts.ground.settings, options.seat
    postings = Postings(metrics, seat)
    roles = [Named("postings", postings)]
    certificates = make_certificates(parts)
    if certificates is not None:
        roles.append(Named("certificates", certificates))
    if seat is not None:
        fellows = Fellows(seat.board, seat.number, parts.catalog)
        parts.administration.told = fellows.telling(parts.administration.told)
        roles.append(Named("fellows", fellows))
    rejections = Rejections()
    roles.append(Named("rejections", rejections))
    doors = make_doors(parts, options.roles, metrics, stop, postings.render, rejections)
    servers = make_servers(doors, settings.listen, certificates, is_shared=seat is not None)
    for one in servers:
        await one.listen()
    await _open(parts, options)
    return [*(Named("server", one) for one in servers), Named("streams", doors.tails), *roles]


async def _open(parts: Parts, options: Options) -> None:
    """Say that the doors are open; one worker of several does."""
    await _apply(parts, options)
    if options.seat is None or not options.seat.is_quiet:
        announce_doors(parts.ground, options.ca_file, options.announce)
    for line in [] if options.welcome is None else await options.welcome(parts):
        options.announce(line)
    if options.seat is not None:
        options.seat.opened()


async def _apply(parts: Parts, options: Options) -> None:
    loaded = [(load_contract(path), path) for path in options.contracts]
    paths: dict[str, Path] = {}
    for one, path in loaded:
        other = paths.setdefault(one.partner, path)
        if other.resolve() != path.resolve():
            raise SetupError(f"{other} and {path} are both of the partner {one.partner}: keep one")
    ordered = in_order([one for one, _ in loaded])
    for local in ordered:
        path = paths[local.partner]
        later = (one for one in beside(local, ordered) if not one.is_first)
        companions = (Companion(one.contract.text, one.contract.name, one.files) for one in later)
        sent = ContractText(local.text, local.name, local.files, tuple(companions))
        by = Author("operator", None)
        try:
            outcome = await parts.administration.put_contract(local.partner, sent, Wish(), by=by)
        except CallerError as error:
            mended = f"Start without it, and see what `gateway plan -f {path}` says of it."
            said = [f"{path} was not applied: {error.text.rstrip('.')}. {mended}", *problem_lines(error)]
            raise SetupError("\n".join(said)) from error
        options.announce(outcome.plan)
        for name, secret in outcome.secrets:
            options.announce(f"secret of endpoint {name}, shown once: {secret}")


_TOPIC_WORDS: Final = frozenset({"retention_hole", "topic_changed", "topic_truncated"})


def _reporter(metrics: Metrics) -> Callable[[str, int], None]:
    log = logger("gateway.sequencer")

    def report(word: str, count: int) -> None:
        if word == "entry":
            metrics.log_append(count, 0)
        elif word in _TOPIC_WORDS:
            log.error("a topic is not what it was", reason=word)
        elif word != "repeat" and count:
            metrics.forged(count)
            log.warning("record not sequenced", reason=word, count=count)

    return report
