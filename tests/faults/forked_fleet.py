"""A fleet whose processes can be told to kill themselves, and what a run on it needs to see."""

import asyncio
import base64
import json
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import get_args

import httpx

from audit.note import parse_verifier_key
from gateway.bootstrap.program import RoleName
from tests.acceptance.running import ORDER, Gateway
from tests.faults.acknowledged import Acknowledged
from tests.faults.inspection import Findings, inspect, look_at_deliveries, look_at_order
from tests.faults.program import Fault, Forked
from tests.faults.receiver import Receiver
from tests.faults.remains import OnServers
from tests.faults.workload import Sender
from tests.fleet import HASTE, Fleet, fleet_on, waiting
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

ROLES: tuple[RoleName, ...] = get_args(RoleName)
KILL_SECONDS = 90.0
RETRIES = "retry: [0s" + ", 1s" * 30 + "]"

CONTRACT = """\
gateway: v1
partner: SLUG
name: SLUG
sends:
  order.placed: {schema: order.avsc, id: /order_id, key: /customer}
receives:
  order.accepted: {schema: order.avsc, id: /order_id, key: /customer}
delivery: {RETRIES}
endpoints:
  verification: none
  declared:
    - {name: hook, url: "URL/SLUG", order: ORDER}
"""


class Member(Gateway):
    """One process. A role is started by fork, so that a fault can be put into it; `init` is a command."""

    def launch(self, *command: str, fault: Fault | None = None) -> Popen[bytes] | Forked:
        """Start it without waiting."""
        for role in ROLES:
            if command == (role,):
                assert self.process is None or self.process.poll() is not None, "one process at a time"
                settings = {"listen.public": f"127.0.0.1:{self.port}", "log.format": "json", **self.flags}
                flags = {"data": str(self.folder), **settings}
                self.process = Forked(flags, fault or Fault(), self.log, role)
                return self.process
        return super().launch(*command, fault=fault)


@dataclass
class ForkedFleet(Fleet):
    """Members by name as in `Fleet`. `kills`: by step, or by `any moment`, those that happened."""

    kills: Counter[str] = field(default_factory=Counter)

    def add(self, role: str, **flags: str | int) -> Gateway:
        """One more process of a role, not started yet."""
        made = super().add(role, **flags)
        self.members[self._name(made)] = _as_member(made)
        return self.members[self._name(_as_member(made))]

    async def kill_in_turn(self, name: str, kills: Sequence[tuple[str, int]]) -> None:
        """Let one member kill itself at each of these steps, one after the other, and go on after that."""
        member, role = self.members[name], name.split("-", maxsplit=1)[0]
        for kill in kills:
            process = member.launch(role, fault=Fault(kill=kill))
            try:
                await asyncio.to_thread(process.wait, KILL_SECONDS)
            except TimeoutError as error:
                raise AssertionError(f"{name} never came to {kill}: {self.said()}") from error
            assert process.poll() == -signal.SIGKILL, f"{name} at {kill}: {member.said()}"
            self.kills[kill[0]] += 1
        member.launch(role)

    def _name(self, member: Gateway) -> str:
        return member.folder.name


def _as_member(one: Gateway) -> Member:
    return one if isinstance(one, Member) else Member(folder=one.folder, flags=one.flags, port=one.port)


def doors_of(fleet: Fleet) -> Sequence[Gateway]:
    """Every `serve`."""
    return [one for name, one in fleet.members.items() if name.startswith("serve-")]


def remains_of(fleet: Fleet) -> OnServers:
    """What it leaves, by its settings."""
    flags = {name: str(value) for name, value in fleet.flags.items()}
    return OnServers(
        flags["database.url"],
        flags["broker.url"].removeprefix("kafka://"),
        flags["broker.topic_prefix"],
        flags["broker.checkpoint_topic"],
    )


def _is_all_entered(fleet: Fleet) -> bool:
    return list(remains_of(fleet).rows("SELECT count(*) FROM audit_pending")) == [(0,)]


async def stop_all(fleet: Fleet) -> None:
    """SIGTERM to all, doors first and the log last; each must be there, and end well.

    A door writes down at its end what it has refused: the sequencers stop when that is in the log.
    """
    for role in ROLES:
        if role == "sequence":
            await asyncio.to_thread(fleet.until, partial(_is_all_entered, fleet))
        for name, one in fleet.members.items():
            if name.startswith(role):
                assert one.process is not None
                assert one.process.poll() is None, f"{name} has ended by itself: {one.said()}"
                assert await asyncio.to_thread(one.stop) == 0, f"{name}: {one.said()}"


@contextmanager
def forked_fleet_on(
    folder: Path,
    kafka: KafkaServer,
    postgres: PostgresServer,
    flags: Mapping[str, str | int] | None = None,
    *,
    has_haste: bool = True,
) -> Iterator[ForkedFleet]:
    """As `fleet_on`; in haste with short leases and ticks, else with the defaults."""
    times = {**HASTE, "audit.tick": "20ms"} if has_haste else {}
    with fleet_on(folder, kafka, postgres, {**times, **(flags or {})}) as plain:
        members: dict[str, Gateway] = {name: _as_member(one) for name, one in plain.members.items()}
        made = ForkedFleet(plain.folder, plain.flags, members)
        try:
            yield made
        finally:
            made.kill()


def onboard(fleet: Fleet, receiver: Receiver, orders: Mapping[str, str]) -> dict[str, str]:
    """Bring a contract of each partner into force, with an endpoint in this order; their API keys.

    Waits until every `serve` that runs knows of them.
    """
    keys = {}
    with fleet.first.operator() as client:
        for slug, order in orders.items():
            text = CONTRACT.replace("SLUG", slug).replace("URL", receiver.url).replace("ORDER", order)
            body = {
                "contract": text.replace("RETRIES", RETRIES),
                "files": {"order.avsc": json.dumps(ORDER)},
            }
            put = client.put(f"/v1/partners/{slug}/contract", json=body)
            assert put.status_code == 201, put.text
            made = client.post(f"/v1/partners/{slug}/credentials", json={"role": "partner"})
            keys[slug] = str(made.raise_for_status().json()["secret"])
    for door in doors_of(fleet):
        for key in keys.values():
            with door.client(key) as partner:
                fleet.until(partial(_is_known, partner))
    return keys


def _is_known(partner: httpx.Client) -> bool:
    return partner.get("/v1/me").status_code == 200


@dataclass
class Watcher:
    """Remembers every checkpoint that it sees served, by origin, and the keys that sign them."""

    seen: dict[str, set[bytes]] = field(default_factory=dict)
    keys: list[bytes] = field(default_factory=list)

    async def look(self, door: Gateway) -> None:
        """Fetch all that is served now; a door that is closed has nothing to show."""
        try:
            async with door.async_client(door.operator_key()) as client:
                status = await client.get("/v1/status")
                if status.status_code != 200:
                    return
                for one in status.json()["logs"]:
                    await self._fetch(client, one["origin"])
                found = await client.get("/.well-known/partner-gateway")
                anchors = await client.get("/log/anchor/keys")
                if (found.status_code, anchors.status_code) != (200, 200):
                    return
                self.keys = [base64.b64decode(key) for key in found.json()["checkpoint_keys"]]
                self.keys += [parse_verifier_key(key).public_key for key in anchors.text.splitlines()]
        except httpx.TransportError:
            return

    async def _fetch(self, client: httpx.AsyncClient, origin: str) -> None:
        answer = await client.get("/log/" + origin.split("/log/")[1] + "/checkpoint")
        if answer.status_code == 200:
            self.seen.setdefault(origin, set()).add(answer.content)


async def come_to_rest(fleet: Fleet, receiver: Receiver, told: Acknowledged, seconds: float = 90.0) -> None:
    """Wait until everything is sequenced, published and delivered."""
    waits = "nothing was seen yet"
    with fleet.first.operator() as client:
        try:
            async with asyncio.timeout(seconds):
                while waits:
                    await asyncio.sleep(0.1)
                    waits = await asyncio.to_thread(waiting, client)
                    if not receiver.taken >= told.of("outbound"):
                        waits += ", deliveries that have not arrived"
        except TimeoutError as error:
            raise AssertionError(f"still waits: {waits}; {fleet.said()}") from error


def verify_whole(
    fleet: Fleet, receiver: Receiver, sender: Sender, watcher: Watcher, orders: Mapping[str, str]
) -> Findings:
    """Nothing was lost and nothing doubled; what was counted on the way."""
    remains = remains_of(fleet)
    found = inspect(remains, sender.told, watcher.seen, watcher.keys)
    look_at_deliveries(found, remains, receiver, sender.told)
    look_at_order(found, remains, receiver, orders)
    assert not (wrong := found.words()), wrong
    assert found.counts["accepted entries"] == sender.events == len(sender.told.events)
    return found
