"""SIGKILL at every numbered step of the protocols, many times over the same data, and blind repeats."""

import asyncio
import base64
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from audit.note import parse_verifier_key
from tests.acceptance.running import AS_SHIPPED, CONTRACT, Gateway
from tests.acknowledging import pem_of
from tests.faults.inspection import (
    Findings,
    inspect,
    look_at_acknowledgements,
    look_at_deliveries,
    look_at_entries,
    look_at_topics,
)
from tests.faults.program import Fault
from tests.faults.receiver import Receiver, receiving
from tests.faults.remains import Embedded
from tests.faults.workload import Sender
from tests.signing import private_key

STEPS = (
    "inbound.1.signed",
    "inbound.2.claimed",
    "inbound.3.produced",
    "inbound.4.confirmed",
    "outbound.1.leased",
    "outbound.2.matched",
    "outbound.2.posted",
    "outbound.3.before",
    "outbound.3.committed",
    "outbound.4.retried",
    "proof.1.leased",
    "proof.2.checked",
    "proof.3.committed",
    "proof.4.published",
    "proof.4.served",
    "anchor.1.round",
)
ONCE = {"outbound.1.leased", "proof.1.leased", "anchor.1.round"}
"""What one process does only when it begins, or seldom: always killed at the first time."""

TAKEN_OVER = "inbound.3.taken_over"
"""Needs a claim without a record, hence the kill after a claim just before it."""

Kill = tuple[str, int] | float
"""A step and its occurrence, or seconds after which the kill comes from outside."""

HASTE = {"lease.duration": "1s", "claims.lease": "1s", "audit.tick": "20ms", "egress.tick": "20ms"}
HASTE |= {"audit.anchor_interval": "1s"}
KILL_SECONDS = 120.0
SETTLED_SECONDS = 90.0
WAVE_SECONDS = 0.1
SEEDS = range(int(os.environ.get("KILL_SEEDS", "3")))
"""`make faults` kills in more orders."""

SIGNER = private_key("ed25519")
ENDPOINTS = """\
authentication: {accept: [api_key, message_signature]}
delivery: {retry: [0s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s, 1s]}
endpoints:
  verification: none
  declared:
    - {name: hook, url: "URL"}
"""


def plan(seed: int) -> list[tuple[str, int]]:
    """Every step once, in an order of the seed's; seed 0 kills at each first time, the others later."""
    chance = Random(seed)  # noqa: S311 - a plan that is the same in every run
    steps = chance.sample(STEPS, len(STEPS))
    kills = []
    for step in steps:
        kills.append((step, 1 if seed == 0 or step in ONCE else chance.randint(2, 6)))
        if step == "inbound.2.claimed":
            kills.append((TAKEN_OVER, 1))
    return kills


def register(gateway: Gateway) -> str:
    """Give acme the key that signs its receiver's answers; its id."""
    body = {"kind": "public_key", "public_key": pem_of(SIGNER).decode()}
    with gateway.operator() as client:
        made = client.post("/v1/partners/acme/credentials", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def load_until_killed(gateway: Gateway, sender: Sender) -> None:
    """Send until the process has killed itself; it may do so before it is ready."""
    assert gateway.process is not None
    process = gateway.process
    try:
        async with asyncio.timeout(KILL_SECONDS):
            if await asyncio.to_thread(gateway.wait_ready):
                while process.poll() is None:
                    await sender.send_new()
    except TimeoutError as error:
        said = f"it never killed itself; answers so far: {dict(sender.answers)}; {gateway.said()}"
        raise AssertionError(said) from error
    assert process.wait() == -signal.SIGKILL, gateway.said()


async def load_and_kill(gateway: Gateway, sender: Sender, seconds: float) -> None:
    """Send, and kill from outside after so many seconds, whatever is under way."""
    async with asyncio.TaskGroup() as tasks:
        killing = tasks.create_task(_kill_later(gateway, seconds))
        while not killing.done():
            await sender.send_new()


async def _kill_later(gateway: Gateway, seconds: float) -> None:
    await asyncio.sleep(seconds)
    gateway.kill()


async def settled(gateway: Gateway, receiver: Receiver, sender: Sender) -> None:
    """Wait until everything is sequenced, published and delivered."""
    status: dict[str, Any] = {}
    async with gateway.async_client(gateway.operator_key()) as client:
        try:
            async with asyncio.timeout(SETTLED_SECONDS):
                while not (is_settled(status) and receiver.taken >= sender.told.of("outbound")):
                    await asyncio.sleep(0.1)
                    status = (await client.get("/v1/status")).raise_for_status().json()
        except TimeoutError as error:
            missing = len(sender.told.of("outbound") - receiver.taken)
            raise AssertionError(f"{missing} have not arrived; {status}; {gateway.said()}") from error
    assert status["warnings"] == []


def is_settled(status: dict[str, Any]) -> bool:
    """Whether nothing waits, as the gateway itself says; of no status nothing is known."""
    return bool(
        status
        and status["claims"]["unconfirmed"] == 0
        and all(one["size"] == one["published"] for one in status["logs"])
        and not any(one["sequence"] or one.get("relay") for one in status["lag"])
        and not status["deliveries"]["states"]
        and not status["deliveries"]["backlog"]
    )


def published(gateway: Gateway, seen: dict[str, set[bytes]]) -> list[bytes]:
    """Remember the checkpoints that are served now; the keys that sign them."""
    with gateway.operator() as client:
        for one in client.get("/v1/status").json()["logs"]:
            answer = client.get("/log/" + one["origin"].split("/log/")[1] + "/checkpoint")
            if answer.status_code == 200:
                seen.setdefault(one["origin"], set()).add(answer.content)
        keys = client.get("/.well-known/partner-gateway").json()["checkpoint_keys"]
        anchors = client.get("/log/anchor/keys").text.splitlines()
    return [base64.b64decode(key) for key in keys] + [parse_verifier_key(key).public_key for key in anchors]


async def listed(gateway: Gateway) -> list[str]:
    """The refs of all events in acme's history, over HTTP, page by page; but for the gateway's own."""
    refs: list[str] = []
    query = {"limit": "100", "state": "accepted"}
    async with gateway.async_client(gateway.operator_key()) as client:
        while True:
            page = (await client.get("/v1/partners/acme/history", params=query)).json()
            refs += [one["ref"] for one in page["items"] if not one["type"].startswith("gateway.")]
            if page["next"] is None:
                return refs
            query["cursor"] = page["next"]


async def run_kills(folder: Path, kills: Sequence[Kill], flags: dict[str, str | int]) -> None:
    """One folder through many kills, then everything that must be true of it."""
    gateway = Gateway(folder, flags)
    seen: dict[str, set[bytes]] = {}
    with receiving() as receiver:
        try:
            gateway.start(fault=Fault())
            applied = gateway.apply(CONTRACT + ENDPOINTS.replace("URL", receiver.url))
            assert applied.status_code == 201, applied.text
            receiver.signer = (SIGNER, register(gateway))
            sender = Sender.to(gateway)
            sender.wave_seconds = WAVE_SECONDS
            await sender.send_new()
            published(gateway, seen)
            gateway.kill()
            for kill in kills:
                if isinstance(kill, float):
                    gateway.start(fault=Fault())
                    await load_and_kill(gateway, sender, kill)
                else:
                    gateway.launch(fault=Fault(kill=kill))
                    await load_until_killed(gateway, sender)
            gateway.start(fault=Fault())
            published(gateway, seen)
            await sender.finish(SETTLED_SECONDS)
            await sender.send_all_again()
            await settled(gateway, receiver, sender)
            keys = published(gateway, seen)
            refs = await listed(gateway)
            assert sorted(refs) == sorted(sender.told.events)
            assert gateway.stop() == 0, gateway.said()
        finally:
            gateway.kill()
    assert sender.events == len(sender.told.events)
    found = inspect(Embedded(folder), sender.told, seen, keys)
    look_at_deliveries(found, Embedded(folder), receiver, sender.told)
    look_at_acknowledgements(found, Embedded(folder), pem_of(SIGNER))
    assert found.counts["acknowledgements"] >= len(sender.told.of("outbound"))
    assert found.words() == []
    assert found.counts["accepted entries"] == sender.events


@pytest.mark.faults
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", SEEDS)
async def test_kills_at_every_step_lose_nothing_and_double_nothing(tmp_path: Path, seed: int) -> None:
    await run_kills(tmp_path / "data", plan(seed), dict(HASTE))


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_with_the_default_times_nothing_is_lost_or_doubled_either(tmp_path: Path) -> None:
    # But for the anchor's: a round a minute would make this a wait.
    await run_kills(tmp_path / "data", plan(4), {**AS_SHIPPED, "audit.anchor_interval": "1s"})


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_kills_at_any_moment_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    chance = Random(5)  # noqa: S311 - as in plan
    moments = [chance.uniform(0.02, 0.8) for _ in range(8)]
    await run_kills(tmp_path / "data", moments, dict(HASTE))


@pytest.mark.faults
async def test_a_stop_under_load_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "data", dict(HASTE))
    try:
        gateway.start(fault=Fault())
        gateway.apply()
        sender = Sender.to(gateway)
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(asyncio.to_thread(gateway.stop))
            while not stopping.done():
                await sender.send_new()
        assert stopping.result() == 0, gateway.said()
        acknowledged = set(sender.told.events)
        gateway.start(fault=Fault())
        await sender.finish(SETTLED_SECONDS)
        await sender.send_all_again()
        assert sorted(await listed(gateway)) == sorted(sender.told.events)
        assert acknowledged <= sender.told.events.keys()
        assert gateway.stop() == 0, gateway.said()
    finally:
        gateway.kill()
    assert "Traceback" not in gateway.log.read_text()
    found = Findings()
    look_at_entries(found, Embedded(tmp_path / "data"), sender.told)
    look_at_topics(found, Embedded(tmp_path / "data"), sender.told)
    assert found.words() == []


def test_the_plans_hold_every_step_and_fifty_kills() -> None:
    plans = [plan(seed) for seed in SEEDS]
    assert sum(map(len, plans)) >= 50
    assert all({step for step, _ in one} == {*STEPS, TAKEN_OVER} for one in plans)
