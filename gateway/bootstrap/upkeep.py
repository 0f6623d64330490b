"""What local commands need to work on an installation: its database, its topics, its keys; opened and closed.

Examining changes nothing and runs beside a gateway. Changing logs needs the gateway stopped: on one machine
the data folder's lock tells, elsewhere the leases do.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from sqlmodel import Session

from audit import log as audit_log
from audit.errors import AuditError
from audit.fsck import Fault
from audit.rebuild import Rebuilt, rebuild
from gateway import facts, keys
from gateway.bootstrap.aside import aside
from gateway.bootstrap.ground import (
    HOUSE_LOG,
    ORIGIN,
    FolderLock,
    Ground,
    clock,
    entropy,
    is_embedded,
    is_sqlite,
    open_broker,
    prepare,
)
from gateway.bootstrap.signing import make_opener
from gateway.broker.embedded_inspection import look_records
from gateway.broker.guest import GuestBroker
from gateway.broker.port import Broker, BrokerError
from gateway.database import Database, take_time
from gateway.errors import SetupError
from gateway.migrations import history
from gateway.sequencer.authors import Authors, keys_by_log
from gateway.sequencer.checkpoints import Checkpoints
from gateway.sequencer.guard import verify_owner
from gateway.sequencer.mark import Installation
from gateway.sequencer.published import Shown, gather, read_shown
from gateway.sequencer.territory import anchor_log
from gateway.settings import Settings
from gateway.sql_engines import sqlite_file
from gateway.upkeep.adoption import adopt
from gateway.upkeep.crew import examining_crew
from gateway.upkeep.epochs import CHANCE_BYTES, Epochs, Opened, Step, Wish
from gateway.upkeep.inspection import Scope, inspect, states_in
from gateway.upkeep.quiet import keep_quiet

_TOPIC_SECONDS: Final = 15.0
"""For a checkpoint topic on Kafka to be read."""


class RebuildError(SetupError):
    """Nodes cannot be made anew from these entries."""

    code = "log_damaged"


@dataclass(slots=True)
class Examination:
    """A look at the logs. `total`: entries that there are to examine. `unread`: why the topic was not read.

    `faults`: looks for them, while the database is open; told how many entries were examined.
    """

    logs: int
    total: int
    unread: str
    faults: Callable[[Callable[[int], None]], Iterator[Fault]]


@contextmanager
def examining(settings: Settings, names: Sequence[str], *, jobs: int | None = None) -> Iterator[Examination]:
    """Examine logs, those of these names (with or without their host) or all.

    `jobs`: processes that examine large logs; None: as many as there are cores.

    Raises:
        SetupError: there is no database, or it was never set up; a log is not there.
        StoreError: it is away.
    """
    shown, unread = _shown(settings)
    with closing(open_database(settings)) as database, database.looking() as session:
        wanted = frozenset(full_name(_host(session), name) for name in names)
        total = sum(one.head.size for one in states_in(session, Scope(lambda _: (), None, wanted)))
    with (
        examining_crew(settings.database.url, total, most=jobs or _cores()) as ranges,
        closing(open_database(settings)) as database,
        database.looking() as session,
    ):
        take_time(session)  # it waits while others examine
        scope = Scope(_keys_of(_host(session), keys.load_public(session)), shown, wanted)
        states = states_in(session, scope)
        total = sum(one.head.size for one in states)
        yield Examination(len(states), total, unread, partial(inspect, session, scope, ranges=ranges))


def rebuild_logs(
    settings: Settings, names: Sequence[str], told: Callable[[int], None], *, is_rehearsal: bool
) -> list[Rebuilt]:
    """Make nodes and heads anew, each log in a transaction of its own.

    Raises:
        RebuildError: a log's entries are not those that were published; that log is as it was.
        BusyError: a sequencer is at work.
        SetupError: as `examining`.
    """
    with alone(settings):
        shown, _ = _shown(settings)
        with closing(open_database(settings)) as database:
            with database.looking() as session:
                host = _host(session)
                wanted = frozenset(full_name(host, name) for name in names)
                states = states_in(session, Scope(lambda _: (), None, wanted))
            plan = _Plan(shown=shown, told=told, is_rehearsal=is_rehearsal, is_alone=is_embedded(settings))
            return [_rebuild(database, one.head.origin, plan) for one in states]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How logs are made anew. `shown`: what the topic holds, if it could be read."""

    shown: Shown | None
    told: Callable[[int], None]
    is_rehearsal: bool
    is_alone: bool


def _rebuild(database: Database, origin: str, plan: _Plan) -> Rebuilt:
    with suppress(_RehearsedError), database.begin() as session:
        take_time(session)
        keep_quiet(session, is_alone=plan.is_alone)
        try:
            now = audit_log.state(session, origin)
            published = audit_log.published_of(now)
            # Of an epoch that another has followed, what was shown may be lost.
            newest = audit_log.is_newest(session, origin)
            if newest and plan.shown is not None and origin in plan.shown.checkpoints:
                published = (*published, plan.shown.checkpoints[origin])
            done = rebuild(session, now, published, plan.told)
        except AuditError as error:
            raise RebuildError(f"{error}; nothing of this log was changed") from error
        if plan.is_rehearsal:
            raise _RehearsedError
    return done


class _RehearsedError(Exception):
    """Undoes what was only to be tried."""


@dataclass(frozen=True, slots=True)
class Begun:
    """New epochs: those that would begin, or those that did. `adopted`: the house's log, where taken over."""

    steps: Sequence[Step] = ()
    opened: Sequence[Opened] = ()
    adopted: str | None = field(default=None)


def drawn(wish: Wish) -> Wish:
    """The wish with the chance by which numbers are drawn: a rehearsal of it shows those that will begin."""
    return replace(wish, chance=entropy(CHANCE_BYTES))


def new_epochs(settings: Settings, wish: Wish, *, is_rehearsal: bool) -> Begun:
    """Begin new epochs of logs.

    Raises:
        SetupError: a gateway is at work, or there is nothing that this database could go on with.
        StoreError, BrokerError: one of them is away; run it again.
    """
    with alone(settings):
        return asyncio.run(_new_epochs(settings, wish, is_rehearsal=is_rehearsal))


async def _new_epochs(settings: Settings, wish: Wish, *, is_rehearsal: bool) -> Begun:
    ground = prepare(settings, "role")
    broker: Broker | None = None
    try:
        broker = open_broker(settings)
        with ground.database.looking() as session:
            authors = _authors(session)
        shown = await read_shown(broker, settings.broker.checkpoint_topic, authors)
        adopted = _take_place(ground, shown, wish, is_rehearsal=is_rehearsal)
        epochs = _epochs(ground, broker)
        if is_rehearsal:
            return Begun(
                await ground.database.read(lambda session: epochs.plan(session, shown, wish)), (), adopted
            )
        return Begun((), await epochs.begin(shown, wish), adopted)
    finally:
        if broker is not None:
            await broker.close()
        ground.database.close()


def _take_place(ground: Ground, shown: Shown, wish: Wish, *, is_rehearsal: bool) -> str | None:
    """Make sure that the topics are ours, or (where all logs are to begin anew) take them over."""
    settings = ground.settings
    us = Installation(f"{ground.host}/log/{ground.house_log}", settings.origin)
    if shown.owner is None or shown.owner.log == us.log:
        return None
    if not wish.is_for_all:
        verify_owner(shown.owner, us, settings.broker.checkpoint_topic)
    with suppress(_RehearsedError), ground.database.begin() as session:
        adopt(session, us, shown.owner, fact=HOUSE_LOG, entropy=entropy)
        if is_rehearsal:
            raise _RehearsedError
    return shown.owner.log


def _epochs(ground: Ground, broker: Broker) -> Epochs:
    with ground.database.begin() as session:
        ring = keys.load(session, make_opener(ground))
    return Epochs(
        database=ground.database,
        checkpoints=Checkpoints(
            database=ground.database,
            broker=broker,
            signers=lambda: ring.checkpoints,
            aside=aside,
            topic=ground.settings.broker.checkpoint_topic,
            clock=clock,
            step=lambda _: None,
            anchor=anchor_log(ground.host),
            anchors=lambda: ring.anchors,
        ),
        keys=_keys_of(ground.host, ring.known),
        issuer=ground.settings.origin,
        host=ground.host,
        clock=clock,
        entropy=entropy,
        # One process at most has the embedded broker, and here we have it.
        is_alone=is_embedded(ground.settings),
    )


def _keys_of(host: str, known: Sequence[keys.PublicKey]) -> Callable[[str], Sequence[bytes]]:
    """The public halves of who may have signed checkpoints of a log, by its origin."""
    keys_of = keys_by_log(host, known)
    return lambda origin: [one.public_key for one in keys_of(origin)]


def _authors(session: Session) -> Authors:
    return Authors(keys_by_log(_host(session), keys.load_public(session)))


def open_database(settings: Settings) -> Database:
    """The installation's database, of this program's revision.

    Raises:
        SetupError: it is not there, was never set up, or has another revision.
    """
    file = sqlite_file(settings.database.url)
    if file is not None and not file.exists():
        raise SetupError(f"there is no database {file}: name its folder with --data")
    database = Database(settings.database.url)
    try:
        with database.looking() as session:
            history.verify_revision(session)
            _host(session)
    except BaseException:
        database.close()
        raise
    return database


def full_name(host: str, name: str) -> str:
    """The name of a log, with its host, as people may write it: with an epoch, or without host."""
    log = name if "/log/" in name else f"{host}/log/{name}"
    head, _, last = log.rpartition("/")
    return head if last.isdigit() and head.count("/") > 1 else log


def _cores() -> int:
    """Cores that this process may use, eight at most: the database has its share of the work."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(allowed or 1, 8)


def _host(session: Session) -> str:
    origin = facts.load(session, ORIGIN)
    if origin is None:
        raise SetupError("this database was never set up: run `gateway init` once, or `gateway up`")
    return origin.partition("://")[2]


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """The data folder to ourselves, where what we change lies in it."""
    if not (is_embedded(settings) or is_sqlite(settings.database.url)):
        yield
        return
    if not settings.data.exists():
        raise SetupError(f"there is no data folder {settings.data}: name it with --data")
    lock = FolderLock(settings.data)
    try:
        yield
    finally:
        lock.release()


def _shown(settings: Settings) -> tuple[Shown | None, str]:
    """What the checkpoint topic holds; else why it was not read, in words."""
    topic = settings.broker.checkpoint_topic
    with closing(open_database(settings)) as database, database.looking() as session:
        authors = _authors(session)
    try:
        if is_embedded(settings):
            file = Path(settings.broker.url.partition(":")[2])
            return gather(lambda: look_records(file, topic), authors), ""
        return asyncio.run(_shown_on_kafka(settings, topic, authors)), ""
    except (BrokerError, SetupError, TimeoutError) as error:
        return None, str(error) or "the broker does not answer"


async def _shown_on_kafka(settings: Settings, topic: str, authors: Authors) -> Shown:
    broker = open_broker(settings)
    try:
        async with asyncio.timeout(_TOPIC_SECONDS):
            return await read_shown(GuestBroker(broker), topic, authors)
    finally:
        await broker.close()
