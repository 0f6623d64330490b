"""The parts of a gateway, wired: each once, from one ground and one broker."""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gateway.address import AddressPolicy
from gateway.administration.desk import Administration
from gateway.administration.evidence import Scribe
from gateway.administration.key_book import KeyBook
from gateway.administration.signing_keys import SigningKeys
from gateway.administration.watch import Watch
from gateway.auth.bearer import Tokens
from gateway.auth.certificate import ClientCertificates
from gateway.auth.identify import Identifier
from gateway.auth.inbound_webhook import InboundWebhooks
from gateway.auth.key import ApiKeys
from gateway.auth.key_sets import KeySets
from gateway.auth.message_signature import MessageSignatures
from gateway.auth.nonces import Nonces
from gateway.auth.signature_base import site_of
from gateway.bootstrap.anchoring import Anchor, make_anchor
from gateway.bootstrap.aside import aside
from gateway.bootstrap.clock_watch import ClockWatch
from gateway.bootstrap.erasing import make_eraser
from gateway.bootstrap.exporting import Exporting, make_exporting
from gateway.bootstrap.ground import Ground, entropy, ticks
from gateway.bootstrap.importing import make_importer, make_intake
from gateway.bootstrap.inbound import make_ingress
from gateway.bootstrap.registry_access import open_registry
from gateway.bootstrap.showing import make_shown
from gateway.bootstrap.signing import make_keys
from gateway.bootstrap.vouching import vouch_by
from gateway.broker.port import Broker, BrokerError, TopicSpec
from gateway.catalog import Catalog
from gateway.credential_uses import CredentialUses
from gateway.database import clock as database_clock
from gateway.dialler import Dialler
from gateway.drawn import Drawn
from gateway.egress.deliveries import ROLE as RELAY
from gateway.egress.delivery import Attempt
from gateway.egress.health import Tally
from gateway.egress.posting import Chance
from gateway.egress.relay import Relay
from gateway.egress.relay_parts import Parts as RelayParts
from gateway.egress.relay_parts import Terms as RelayTerms
from gateway.erasing.worker import Eraser
from gateway.errors import AwayError
from gateway.external_registry import ExternalRegistry
from gateway.group_commit import GroupCommit
from gateway.honest_clock import HonestClock
from gateway.imports.intake import Intake
from gateway.imports.worker import Importer
from gateway.ingress.accept import Ingress
from gateway.ingress.announcer import Announcer
from gateway.ingress.claims import Answer, Write, write_group
from gateway.ingress.quotas import Quotas
from gateway.ingress.recovery import Recovery
from gateway.leases import Leases
from gateway.metrics import Metrics
from gateway.retention import Retention
from gateway.sequencer.checkpoints import Checkpoints
from gateway.sequencer.guard import Guard
from gateway.sequencer.mark import Installation
from gateway.sequencer.role import Sequencer, Terms
from gateway.sequencer.round import ROLE as SEQUENCE
from gateway.sequencer.territory import anchor_log
from gateway.settings import Settings
from gateway.shown import Shown
from partners.onboarding import Means
from partners.partner import Partner

Step = Callable[[str], None]
"""Called with the name of each numbered step of the protocols once it is done; crash tests kill there."""


_TOLD_SECONDS: Final = 5.0
"""For the processes to hear of a change and its topics to be made, before it is answered."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A wired gateway; nothing runs yet. `outside`: the schema registry, where it is another program.

    `honest`: our clock for all that is signed or becomes evidence.
    """

    ground: Ground
    broker: Broker
    keys: KeyBook
    signing: SigningKeys
    catalog: Catalog
    writes: GroupCommit[Write, Answer]
    administration: Administration
    ingress: Ingress
    announcer: Announcer
    watch: Watch
    recovery: Recovery
    sequencer: Sequencer
    anchor: Anchor
    guard: Guard
    dialler: Dialler
    relay: Relay
    tally: Tally
    retention: Retention
    eraser: Eraser
    clock_watch: ClockWatch
    honest: HonestClock
    shown: Shown
    callers: Identifier
    quotas: Quotas
    intake: Intake
    importer: Importer
    exporting: Exporting
    uses: CredentialUses
    outside: ExternalRegistry | None = None


def wire(
    ground: Ground,
    broker: Broker,
    *,
    step: Step,
    metrics: Metrics,
    report: Callable[[str, int], None],
    guard: Guard | None = None,
) -> Parts:
    """Wire everything. `guard`: the one that opens the gate before `broker`, where there is a gate.

    Raises:
        KeysMissingError, SealError: our signing keys cannot be used.
        StoreError: the database is away.
        SetupError: the schema registry cannot be asked as the settings say.
    """
    outside, honest = open_registry(ground.settings), HonestClock(ground.clock, ticks)
    keys, signing = make_keys(ground)
    with ground.database.begin() as session:
        honest.compare(ground.clock(), database_clock(session))
    catalog = _catalog(ground, broker, outside)
    writes = GroupCommit(ground.database, write_group(ground.settings.claims.lease))
    dialler = _dialler(ground.settings)
    guard, uses = guard or make_guard(ground, broker), CredentialUses(ground.database)
    ingress, takeovers = make_ingress(ground, broker, catalog, writes, keys.ring, honest=honest, step=step)
    quotas, shown = _quotas(ground), make_shown(ground, catalog, keys.ring, honest)
    tally, around = Tally(ground.database), _Outside(broker, step, report, metrics, honest)
    importer = make_importer(ground, catalog, ingress, quotas, metrics=metrics, step=step)
    sequencer = _sequencer(ground, catalog, keys, guard, around)
    return Parts(
        ground=ground,
        broker=broker,
        keys=keys,
        signing=signing,
        catalog=catalog,
        writes=writes,
        administration=_administration(ground, broker, catalog, outside, keys, honest),
        ingress=ingress,
        announcer=_announcer(ground, catalog, ingress, outside),
        watch=_watch(ground, catalog),
        recovery=Recovery(database=ground.database, takeovers=takeovers),
        sequencer=sequencer,
        anchor=make_anchor(ground, dialler, sequencer, metrics),
        guard=guard,
        dialler=dialler,
        relay=_relay(ground, catalog, dialler, keys, tally, around),
        tally=tally,
        retention=_retention(ground, catalog, honest),
        eraser=make_eraser(ground, catalog, honest, step),
        clock_watch=ClockWatch(ground.database, ground.clock, honest),
        honest=honest,
        shown=shown,
        quotas=quotas,
        intake=make_intake(ground, importer),
        importer=importer,
        exporting=make_exporting(ground, quotas.owner, shown, step),
        callers=_callers(ground, dialler, uses),
        uses=uses,
        outside=outside,
    )


def _catalog(ground: Ground, broker: Broker, outside: ExternalRegistry | None) -> Catalog:
    settings = ground.settings
    catalog = Catalog(
        database=ground.database,
        broker=broker,
        topics=lambda partner: topic_specs(partner, settings),
        event_bytes=settings.ingress.body_bytes,
        refresh_seconds=settings.catalog.refresh / 1000,
    )
    catalog.outside, catalog.leaving.clock = outside, ground.clock
    return catalog


def _quotas(ground: Ground) -> Quotas:
    return Quotas(database=ground.database, clock=ground.clock, ticks=ticks, owner=owner())


def _watch(ground: Ground, catalog: Catalog) -> Watch:
    late_ms = ground.settings.audit.merge_delay
    return Watch(database=ground.database, catalog=catalog, clock=ground.clock, late_ms=late_ms)


def topic_specs(partner: Partner, settings: Settings) -> Iterable[TopicSpec]:
    """What a partner's topics should be like."""
    for topic in (partner.topics.inbound, partner.topics.outbound):
        yield TopicSpec(topic, settings.broker.partitions, settings.broker.retention)


def make_guard(ground: Ground, broker: Broker) -> Guard:
    """The guard of this installation; `broker` has no gate before it."""
    return Guard(
        broker=broker,
        database=ground.database,
        us=Installation(f"{ground.host}/log/{ground.house_log}", ground.settings.origin),
        topic=ground.settings.broker.checkpoint_topic,
        clock=ground.clock,
        entropy=entropy,
    )


def owner() -> str:
    """A random id of this process, for leases."""
    return secrets.token_hex(8)


def _retention(ground: Ground, catalog: Catalog, honest: HonestClock) -> Retention:
    return Retention(
        database=ground.database,
        catalog=catalog,
        clock=honest,
        claims_ms=ground.settings.retention.claims,
        parked_ms=ground.settings.retention.content,
        log_host=ground.host,
    )


def _announcer(
    ground: Ground, catalog: Catalog, ingress: Ingress, outside: ExternalRegistry | None
) -> Announcer:
    return Announcer(
        database=ground.database, catalog=catalog, ingress=ingress, clock=ground.clock, outside=outside
    )


def _callers(ground: Ground, dialler: Dialler, uses: CredentialUses) -> Identifier:
    """Every way in which requests prove their caller; last the one that remembers what it has seen."""
    return Identifier(
        (
            ApiKeys(ground.pepper),
            ClientCertificates(),
            Tokens(KeySets(dialler, hosts=ground.settings.oauth.key_hosts)),
            InboundWebhooks(ground.vault.open),
            MessageSignatures(site_of(ground.settings.origin), Nonces(ground.database)),
        ),
        uses.note,
    )


def address_policy(settings: Settings) -> AddressPolicy:
    """Which addresses may be dialled."""
    return AddressPolicy(
        settings.egress.allow, settings.egress.deny, loopback=settings.listen.public.is_loopback
    )


def _dialler(settings: Settings) -> Dialler:
    return Dialler(address_policy(settings), timeout_ms=settings.egress.timeout)


def _relay(
    ground: Ground, catalog: Catalog, dialler: Dialler, keys: KeyBook, tally: Tally, outside: "_Outside"
) -> Relay:
    settings, metrics = ground.settings, outside.metrics

    def observe(attempt: Attempt) -> None:
        tally.note(attempt)
        outcome = type(attempt.decision).__name__.lower().replace("retryat", "retry")
        metrics.attempt(outcome, attempt.answer.failure, attempt.answer.ms)

    return Relay(
        RelayParts(
            database=ground.database,
            leases=_leases(ground, RELAY),
            broker=outside.broker,
            catalog=catalog,
            sender=dialler,
            unseal=ground.vault.open,
            chance=Chance(ground.clock, Drawn(entropy).some),
            vouch=vouch_by(keys.ring, ground.database),
            step=outside.step,
            observe=observe,
            own=keys.sign_webhook,
            doubt=lambda: outside.honest.problem,
        ),
        RelayTerms(
            origin=settings.origin,
            log_host=ground.host,
            house_log=ground.house_log,
            shards=settings.lease.shards,
            tick_ms=settings.egress.tick,
            disable_after_ms=settings.egress.disable_after,
        ),
    )


def _leases(ground: Ground, role: str) -> Leases:
    settings = ground.settings
    return Leases(
        ground.database,
        role,
        owner=owner(),
        shards=settings.lease.shards,
        duration_ms=settings.lease.duration,
    )


def _administration(
    ground: Ground,
    broker: Broker,
    catalog: Catalog,
    outside: ExternalRegistry | None,
    keys: KeyBook,
    honest: HonestClock,
) -> Administration:
    async def told() -> None:
        with suppress(AwayError):
            await keys.refresh()
        # A broker that makes topics by the thousand just now makes the new ones after them.
        with suppress(AwayError, BrokerError, TimeoutError):
            async with asyncio.timeout(_TOLD_SECONDS):
                await (catalog.follow() if broker.away_for_ms() else catalog.refresh())

    settings = ground.settings
    return Administration(
        database=ground.database,
        broker=broker,
        catalog=catalog,
        scribe=Scribe(settings.origin, ground.host, ground.house_log, entropy),
        means=Means(entropy, ground.vault.seal, settings.broker.topic_prefix),
        pepper=ground.pepper,
        clock=honest,
        allow_insecure_loopback=settings.listen.public.is_loopback,
        told=told,
        strict_logical_types=settings.registry.strict_logical_types,
        registry=outside,
    )


@dataclass(frozen=True, slots=True)
class _Outside:
    broker: Broker
    step: Step
    report: Callable[[str, int], None]
    metrics: Metrics
    honest: HonestClock


def _sequencer(ground: Ground, catalog: Catalog, keys: KeyBook, guard: Guard, outside: _Outside) -> Sequencer:
    settings, broker, step = ground.settings, outside.broker, outside.step
    return Sequencer(
        database=ground.database,
        broker=broker,
        catalog=catalog,
        leases=_leases(ground, SEQUENCE),
        checkpoints=Checkpoints(
            database=ground.database,
            broker=broker,
            signers=lambda: keys.current.checkpoints,
            aside=aside,
            anchor=anchor_log(ground.host),
            anchors=lambda: keys.current.anchors,
            leaked=lambda: keys.current.leaked,
            topic=settings.broker.checkpoint_topic,
            clock=outside.honest,
            step=step,
        ),
        guard=guard,
        keys=keys.ring,
        terms=Terms(
            origin=settings.origin,
            host=ground.host,
            house_log=ground.house_log,
            shards=settings.lease.shards,
            tick_ms=settings.audit.tick,
        ),
        clock=outside.honest,
        distrust=lambda: outside.honest.problem,
        entropy=entropy,
        report=outside.report,
        step=step,
    )
