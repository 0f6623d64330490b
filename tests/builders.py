"""A gateway with its routes: the parts of `tests.world`, the real applications, clients with keys."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from gateway.administration.consumers import Consumers
from gateway.administration.looks import Looks
from gateway.administration.repeats import Repeats
from gateway.bootstrap.ground import clock, entropy, ticks
from gateway.bootstrap.listeners import make_probing
from gateway.broker.port import Broker
from gateway.egress.tails import Tails
from gateway.http.app import make_apps
from gateway.http.doors import Doors, Values
from gateway.http.paces import Paces
from gateway.metrics import Metrics
from gateway.status import Status
from partners.credential import Credential, Role, Scope
from partners.issuing import WantedCredential
from tests.world import OPERATOR, Flags, World, running

ORIGIN = "http://127.0.0.1:8080"


@dataclass
class House:
    """A running gateway with its doors, and keys by name."""

    world: World
    doors: Doors
    keys: dict[str, str] = field(default_factory=dict)
    credentials: dict[str, Credential] = field(default_factory=dict)
    notices: list[Exception] = field(default_factory=list)
    apps: dict[int, tuple[Doors, tuple[Any, Any]]] = field(default_factory=dict)
    """Those of each value of doors, by its identity: making them takes longer than most requests."""

    async def issue(
        self,
        name: str,
        role: Role,
        partner: str | None = None,
        *,
        scopes: frozenset[Scope] | None = None,
        not_after: int | None = None,
        send_types: frozenset[str] | None = None,
        events_per_second: int | None = None,
    ) -> str:
        """Make an API key and remember it under a name."""
        wanted = WantedCredential(
            partner,
            role,
            name,
            scopes,
            not_after,
            send_types=send_types,
            events_per_second=events_per_second,
        )
        change = await self.world.parts.administration.create_credential(wanted, by=OPERATOR)
        assert change.text is not None
        self.keys[name] = change.text
        self.credentials[name] = change.credential
        return change.text

    def client(self, name: str | None = None, *, private: bool = True) -> httpx.AsyncClient:
        """A client of the private application (which has every route), or of the public one."""
        if id(self.doors) not in self.apps:
            self.apps[id(self.doors)] = (self.doors, make_apps(self.doors))
        _, (public_app, private_app) = self.apps[id(self.doors)]
        app = private_app if private else public_app
        headers = {} if name is None else {"Authorization": f"Bearer {self.keys[name]}"}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=ORIGIN, headers=headers, timeout=20
        )


def make_doors(world: World, **values: Any) -> Doors:
    """The doors of a world; `values`: limits in place of the usual ones."""
    parts = world.parts
    metrics, stop = Metrics(), asyncio.Event()
    status = Status(
        database=parts.ground.database,
        broker=parts.broker,
        catalog=parts.catalog,
        clock=clock,
        roles=("serve",),
        problems=dict,
    )
    return Doors(
        catalog=parts.catalog,
        ingress=parts.ingress,
        refused=parts.ingress.refusals.note_early,
        quotas=parts.quotas,
        intake=parts.intake,
        administration=parts.administration,
        database=parts.ground.database,
        broker=parts.broker,
        clock=clock,
        honest=clock,
        entropy=entropy,
        values=Values(
            origin=parts.ground.settings.origin,
            log_host=parts.ground.host,
            house_log=parts.ground.house_log,
            cursor_key=secrets.token_bytes(32),
            **values,
        ),
        callers=parts.callers,
        uses=parts.uses,
        keys=parts.keys.ring,
        signing=parts.signing,
        metrics=metrics.render,
        status=status.look,
        ready=status.ready,
        stop=stop,
        looks=Looks(parts.ground.database, parts.administration.scribe, clock),
        repeats=Repeats(parts.ground.database, entropy),
        exports=parts.exporting.doors,
        # Tests ask as fast as they can.
        probing=make_probing(parts, b"pepper"),
        shown=parts.shown,
        paces=Paces(ticks, 1_000_000, 1_000_000),
        tails=Tails(parts.broker, parts.catalog, stop),
        consumers=Consumers(parts.ground.database, parts.administration.scribe, clock),
        version="0.0.0",
    )


@asynccontextmanager
async def open_house(
    folder: Path,
    *,
    broker: Broker | None = None,
    partners: tuple[str, ...] = ("acme",),
    flags: Flags | None = None,
    url: str | None = None,
    **values: int,
) -> AsyncIterator[House]:
    """A running gateway with partners, and the keys `operator`, `team`, and for each partner its slug's."""
    async with running(folder, broker=broker, flags=flags, url=url) as world:
        for slug in partners:
            await world.apply(CONTRACTS.replace("{slug}", slug), slug=slug)
        house = House(world, make_doors(world, **values))
        await house.issue("operator", "operator")
        await house.issue("team", "team")
        for slug in partners:
            await house.issue(slug, "partner", slug)
        asked = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(house.doors.tails.run(asked))
            try:
                yield house
            finally:
                asked.set()


CONTRACTS = """\
gateway: v1
partner: {slug}
name: The company
sends:
  order.placed: {schema: order.avsc, id: /order_id, key: /customer}
receives:
  order.accepted: {schema: order.avsc, id: /order_id}
"""
