"""The parts of a gateway, wired: each once, from one ground and one broker."""

import random
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gateway.administration.desk import Administration
from gateway.administration.evidence import Scribe
from gateway.bootstrap.ground import Ground, clock, entropy
from gateway.broker.port import Broker, BrokerError, TopicSpec
from gateway.catalog import Catalog
from gateway.errors import AwayError
from gateway.group_commit import GroupCommit
from gateway.ingress.accept import Ingress
from gateway.ingress.claim_book import ClaimBook
from gateway.ingress.claims import Answer, Write, write_group
from gateway.ingress.prepare import Circumstances
from gateway.ingress.publish import Publisher
from gateway.ingress.recovery import Recovery
from gateway.ingress.refusal_fold import RefusalFold
from gateway.ingress.refusals import Refusals
from gateway.ingress.takeover import TakeOvers
from gateway.keys import KeyRing, load
from gateway.leases import Leases
from gateway.sequencer.checkpoints import Checkpoints
from gateway.sequencer.role import ROLE as SEQUENCE
from gateway.sequencer.role import Sequencer, Terms
from gateway.settings import Settings
from partners.onboarding import Means
from partners.partner import Partner

Step = Callable[[str], None]
"""Called with the name of each numbered step of the protocols once it is done; crash tests kill there."""

RECORD_MARGIN: Final = 1_024
"""Bytes of a record that brokers count beyond what we do."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A wired gateway; nothing runs yet."""

    ground: Ground
    broker: Broker
    keys: KeyRing
    catalog: Catalog
    writes: GroupCommit[Write, Answer]
    administration: Administration
    ingress: Ingress
    recovery: Recovery
    sequencer: Sequencer


def wire(ground: Ground, broker: Broker, *, step: Step, report: Callable[[str, int], None]) -> Parts:
    """Wire everything.

    Raises:
        KeysMissingError, SealError: our signing keys cannot be used.
        StoreError: the database is away.
    """
    settings = ground.settings
    with ground.database.begin() as session:
        keys = load(session, ground.vault)
    catalog = Catalog(
        database=ground.database,
        broker=broker,
        topics=lambda partner: topic_specs(partner, settings),
        event_bytes=settings.ingress.body_bytes,
        refresh_seconds=settings.catalog.refresh / 1000,
    )
    writes = GroupCommit(ground.database, write_group(settings.claims.lease))
    ingress, takeovers = _ingress(ground, broker, catalog, writes, keys, step)
    return Parts(
        ground=ground,
        broker=broker,
        keys=keys,
        catalog=catalog,
        writes=writes,
        administration=_administration(ground, catalog),
        ingress=ingress,
        recovery=Recovery(database=ground.database, takeovers=takeovers),
        sequencer=_sequencer(ground, broker, catalog, keys, step, report),
    )


def topic_specs(partner: Partner, settings: Settings) -> Iterable[TopicSpec]:
    """What a partner's topics should be like."""
    for topic in (partner.topics.inbound, partner.topics.outbound):
        yield TopicSpec(topic, settings.broker.partitions, settings.broker.retention)


def owner() -> str:
    """A random id of this process, for leases."""
    return secrets.token_hex(8)


def roll() -> float:
    """Chance for jitter, from 0 to 1."""
    return random.random()  # noqa: S311 - jitter is no secret


def _ingress(
    ground: Ground,
    broker: Broker,
    catalog: Catalog,
    writes: GroupCommit[Write, Answer],
    keys: KeyRing,
    step: Step,
) -> tuple[Ingress, TakeOvers]:
    settings = ground.settings
    publisher = Publisher(broker=broker, catalog=catalog, writes=writes, origin=settings.origin, step=step)
    takeovers = TakeOvers(
        database=ground.database,
        writes=writes,
        broker=broker,
        catalog=catalog,
        publisher=publisher,
        wait_seconds=settings.claims.wait / 1000,
        step=step,
    )

    def circumstances(method: str, credential: str | None, idempotency_key: str | None) -> Circumstances:
        return Circumstances(
            method=method,
            credential=credential,
            idempotency_key=idempotency_key,
            now=clock(),
            origin=settings.origin,
            log_host=ground.host,
            signer=keys.receipt,
            entropy=entropy,
            record_limit=broker.max_record_bytes - RECORD_MARGIN,
        )

    def log_of(slug: str) -> str | None:
        partner = catalog.current.directory.partner(slug)
        return None if partner is None else f"{ground.host}/log/{partner.log}"

    ingress = Ingress(
        catalog=catalog,
        broker=broker,
        book=ClaimBook(
            database=ground.database,
            writes=writes,
            catalog=catalog,
            lease_ms=lambda: settings.claims.lease,
        ),
        publisher=publisher,
        takeovers=takeovers,
        refusals=Refusals(
            fold=RefusalFold(iss=settings.origin, entropy=entropy),
            writes=writes,
            clock=clock,
            entropy=entropy,
            log_of=log_of,
        ),
        circumstances=circumstances,
        answer_seconds=settings.ingress.publish_timeout / 1000,
        step=step,
    )
    return ingress, takeovers


def _administration(ground: Ground, catalog: Catalog) -> Administration:
    async def told() -> None:
        with suppress(AwayError, BrokerError):
            await catalog.refresh()

    settings = ground.settings
    return Administration(
        database=ground.database,
        catalog=catalog,
        scribe=Scribe(settings.origin, ground.host, ground.house_log, entropy),
        means=Means(entropy, ground.vault.seal, settings.broker.topic_prefix),
        pepper=ground.vault.pepper(),
        clock=clock,
        allow_insecure_loopback=settings.listen.public.is_loopback,
        told=told,
    )


def _sequencer(
    ground: Ground,
    broker: Broker,
    catalog: Catalog,
    keys: KeyRing,
    step: Step,
    report: Callable[[str, int], None],
) -> Sequencer:
    settings = ground.settings
    return Sequencer(
        database=ground.database,
        broker=broker,
        catalog=catalog,
        leases=Leases(
            ground.database,
            SEQUENCE,
            owner=owner(),
            shards=settings.lease.shards,
            duration_ms=settings.lease.duration,
        ),
        checkpoints=Checkpoints(
            database=ground.database,
            broker=broker,
            signer=lambda: keys.checkpoint,
            topic=settings.broker.checkpoint_topic,
            clock=clock,
            step=step,
        ),
        keys=lambda: keys,
        terms=Terms(
            origin=settings.origin,
            host=ground.host,
            house_log=ground.house_log,
            checkpoint_topic=settings.broker.checkpoint_topic,
            shards=settings.lease.shards,
            tick_ms=settings.audit.tick,
        ),
        clock=clock,
        entropy=entropy,
        report=report,
        step=step,
    )
