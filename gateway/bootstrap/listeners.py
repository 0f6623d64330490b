"""The doors of this process: applications and servers, made of its parts."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Final

from gateway.administration.consumers import Consumers
from gateway.administration.looks import Looks
from gateway.administration.repeats import Repeats
from gateway.auth.proxy import Proxies
from gateway.bootstrap.certificates import Certificates, KnownClients
from gateway.bootstrap.counting import CountedIngress
from gateway.bootstrap.ground import entropy, ticks
from gateway.bootstrap.measuring import Measuring
from gateway.bootstrap.open_files import most_streams
from gateway.bootstrap.parts import Parts, address_policy
from gateway.bootstrap.rejections import Rejections
from gateway.egress.posting import Chance
from gateway.egress.probing import Challenges, Prober
from gateway.egress.tails import Tails
from gateway.errors import AwayError, StoreDamagedError
from gateway.http.app import make_apps
from gateway.http.doors import Doors, Values
from gateway.http.not_http import NotHttp
from gateway.http.paces import Paces
from gateway.http.probing import ProbeTurns, Probing
from gateway.http.rejection import group_of
from gateway.http.server import Server
from gateway.http.shedding import Shed
from gateway.http.tls_failures import ENDED
from gateway.http.turns import Turns
from gateway.logs import logger
from gateway.metrics import Metrics
from gateway.settings import Listen
from gateway.status import Status
from gateway.version import VERSION

_FOLD_SECONDS: Final = 5.0


def make_doors(
    parts: Parts,
    roles: Sequence[str],
    metrics: Metrics,
    stop: asyncio.Event,
    render: Callable[[], bytes],
    rejections: Rejections | None = None,
) -> Doors:
    """What the routes need. `render`: the text of `/metrics`; `rejections`: who tells the log of them."""
    settings = parts.ground.settings
    status = _make_status(parts, roles)
    pepper = parts.ground.pepper
    told = rejections or Rejections()
    return Doors(
        catalog=parts.catalog,
        ingress=CountedIngress(ingress=parts.ingress, metrics=metrics),
        refused=parts.ingress.refusals.note_early,
        quotas=parts.quotas,
        intake=parts.intake,
        administration=parts.administration,
        database=parts.ground.database,
        broker=parts.broker,
        clock=parts.ground.clock,
        honest=parts.honest,
        entropy=entropy,
        values=_values(parts, pepper),
        callers=parts.callers,
        uses=parts.uses,
        keys=parts.keys.ring,
        signing=parts.signing,
        metrics=render,
        measure=Measuring(status, metrics, parts.ground.clock).measure,
        status=status.look,
        ready=status.ready,
        stop=stop,
        looks=Looks(parts.ground.database, parts.administration.scribe, parts.honest),
        repeats=Repeats(parts.ground.database, entropy),
        paces=Paces(ticks),
        stream_turns=Turns(most_streams()),
        tails=Tails(parts.broker, parts.catalog, stop),
        consumers=Consumers(parts.ground.database, parts.administration.scribe, parts.honest),
        exports=parts.exporting.doors,
        probing=make_probing(parts, pepper),
        shown=parts.shown,
        proxies=Proxies(
            settings.proxy.trusted, settings.proxy.client_cert, metrics.proxy_certificate_ignored
        ),
        version=VERSION,
        observe=partial(_observe, metrics),
        reject=told,
        shaken=partial(_observe_handshake, metrics, told),
        notice=Notices(time.monotonic),
    )


def _values(parts: Parts, pepper: bytes) -> Values:
    settings = parts.ground.settings
    return Values(
        origin=settings.origin,
        log_host=parts.ground.host,
        house_log=parts.ground.house_log,
        cursor_key=sha256(b"gateway/cursor/v1\x00" + pepper).digest(),
        body_bytes=settings.ingress.body_bytes,
        batch_bytes=settings.ingress.batch_bytes,
        batch_events=settings.ingress.batch_events,
        strict_logical_types=settings.registry.strict_logical_types,
        external_registry="" if parts.outside is None else parts.outside.url,
        merge_delay_seconds=-(-settings.audit.merge_delay // 1_000),
    )


def make_probing(parts: Parts, pepper: bytes) -> Probing:
    """What tries endpoints; signs as the relay does, and dials as it does."""
    ground = parts.ground
    chance = Chance(ground.clock, entropy)
    return Probing(
        policy=address_policy(ground.settings),
        unseal=ground.vault.open,
        prober=Prober(parts.dialler, ground.vault.open, chance, parts.keys.sign_webhook),
        challenges=Challenges(sha256(b"gateway/challenge/v1\x00" + pepper).digest()),
        turns=ProbeTurns(ticks),
    )


def _make_status(parts: Parts, roles: Sequence[str]) -> Status:
    return Status(
        database=parts.ground.database,
        broker=parts.broker,
        catalog=parts.catalog,
        clock=parts.ground.clock,
        roles=roles,
        problems=lambda: {
            "guard": parts.guard.problem,
            "clock": parts.clock_watch.problem,
            "sequencer": parts.sequencer.problem,
            "registry": "" if parts.outside is None else parts.outside.problem,
            # One topic that cannot be made is one partner's trouble; without any, nothing can be taken.
            "topics": "" if parts.catalog.current.topic_ids else parts.catalog.problem,
        },
        warnings=lambda: _warnings(parts),
        own_topic=parts.ground.settings.broker.checkpoint_topic,
        anchor=parts.anchor.standing,
    )


def _warnings(parts: Parts) -> Sequence[str]:
    """What an operator has to see to, though requests are served."""
    by_role = {"relay": parts.relay.problem, "sequencer": parts.sequencer.refused}
    return [
        *parts.broker.warnings(),
        *(() if parts.outside is None else parts.outside.warnings()),
        *parts.catalog.warnings(),
        *parts.keys.warnings(),
        *(f"{role}: {words}" for role, words in by_role.items() if words),
        *parts.watch.late,
        *parts.sequencer.lost.values(),
        *parts.sequencer.strangers.values(),
        *parts.sequencer.told.words.values(),
        *parts.ingress.publisher.trouble.warnings(),
        *parts.guard.warnings,
        *parts.recovery.warnings(),
    ]


def make_certificates(parts: Parts) -> Certificates | None:
    """Our end of TLS, which accepts the clients of the moment; None where the settings name no certificate.

    Raises:
        SetupError: the files cannot be used.
    """
    tls = parts.ground.settings.tls
    if tls.cert is None or tls.key is None:
        return None
    clients = KnownClients(lambda: parts.catalog.current.directory, parts.ground.clock)
    return Certificates(tls.cert, tls.key, client_ca=tls.client_ca, clients=clients)


def make_servers(
    doors: Doors, listen: Listen, certificates: Certificates | None, *, is_shared: bool
) -> list[Server]:
    """One server for each address: the public one, and the private one where that is another.

    `is_shared`: other workers listen there too.
    """
    tls = None if certificates is None else certificates.context
    is_split = listen.private != listen.public
    public, private = make_apps(doors, is_split=is_split)
    # Both applications take a partner's events.
    served = [(public, listen.public), (private, listen.private)] if is_split else [(private, listen.public)]
    shed = Shed(doors)
    return [
        Server(app, at, tls=tls, is_shared=is_shared, turn_away=shed, misspoken=NotHttp(doors))
        for app, at in served
    ]


@dataclass(slots=True, eq=False)
class Notices:
    """As `notice`, but of many that were turned away one line tells every few seconds. `ticks`: seconds."""

    ticks: Callable[[], float]
    _told_at: float | None = field(default=None, init=False)
    _more: int = field(default=0, init=False)

    def __call__(self, request_id: str, error: Exception) -> None:
        """Log a request that ended with 5xx, or count it."""
        if not (isinstance(error, AwayError) and error.code == "overloaded"):
            notice(request_id, error)
            return
        now = self.ticks()
        if self._told_at is not None and now - self._told_at < _FOLD_SECONDS:
            self._more += 1
            return
        notice(request_id, error, more=self._more)
        self._told_at, self._more = now, 0


def notice(request_id: str, error: Exception, *, more: int = 0) -> None:
    """Log a request that ended with 5xx. `more`: others like it that were not told.

    What is away, or full, is told the caller by design, however many ask: no error of ours. Damage is.
    """
    is_expected = isinstance(error, AwayError) and not isinstance(error, StoreDamagedError)
    log = logger("gateway.http")
    tell = log.info if is_expected else log.error
    others = {"more": more} if more else {}
    tell("request failed", request_id=request_id, error=f"{type(error).__name__}: {error}", **others)


def _observe_handshake(
    metrics: Metrics, rejections: Rejections, reason: str, detail: str, address: str
) -> None:
    metrics.handshake_failed(reason)
    if reason != ENDED:  # who looks whether the port is open
        rejections.handshake(reason, detail, address)


def _observe(metrics: Metrics, route: str, _method: str, status: int, code: str, seconds: float) -> None:
    group = group_of(route)
    metrics.answered(group, status, code)
    if group == "events":
        metrics.request(seconds * 1000)
