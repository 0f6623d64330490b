"""What an endpoint demands of us is told by nobody: neither by logs, evidence and values, nor by files."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import select
from sqlmodel import col

from audit.pressing import expand
from audit.rows import EntryRow, PendingRow
from gateway.bootstrap.ground import clock
from gateway.logs import configure
from partners import store
from partners.access import access_place, encode_access, parse_access
from partners.endpoint import Endpoint
from tests.certificates import certified, private_pem
from tests.issuers import issuing
from tests.world import CONTRACT, World, running

FIELD = "field-s3cret-0123456789"
CLIENT = "client-s3cret-0123456789"
TOKEN = "token-s3cret-0123456789"
OURS = certified("gateway")
KEY = private_pem(OURS.key)
SECRETS = (FIELD, CLIENT, TOKEN, KEY.splitlines()[1])


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root, out = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    configure("debug", "json", clock, out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def demands(url: str) -> dict[str, dict[str, Any]]:
    grant = {"kind": "oauth2", "client_id": "gw", "client_secret": CLIENT}
    return {
        "fields": {"kind": "headers", "headers": {"X-Api-Key": FIELD, "Authorization": f"Bearer {FIELD}"}},
        "good": {**grant, "token_url": f"{url}/token"},
        "echo": {**grant, "token_url": f"{url}/echo"},
        "mtls": {"kind": "mtls", "certificate": OURS.pem, "private_key": KEY},
        "broken": {"kind": "none"},
    }


def demand_all(world: World, wanted: dict[str, dict[str, Any]]) -> tuple[Endpoint, ...]:
    ground = world.parts.ground
    with ground.database.begin() as session:
        store.lock(session)
        for endpoint in store.endpoints(session, "acme"):
            raw = encode_access(parse_access(wanted[endpoint.name], allow_insecure_loopback=True))
            raw = f'{{"kind":"mtls","demand":"{KEY}"}}'.encode() if endpoint.name == "broken" else raw
            store.set_access(session, endpoint, ground.vault.seal(raw, access_place(endpoint.id)), now=1)
        store.bump_partner(session, "acme")
        return store.endpoints(session, "acme")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - asks a database and a list
            await asyncio.sleep(0.05)


def contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.iterdir() if file.is_file()]


def told_by(world: World) -> list[bytes]:
    with world.parts.ground.database.begin() as session:
        pending = session.execute(select(col(PendingRow.raw))).scalars().all()
        entries = session.execute(select(col(EntryRow.evidence))).scalars().all()
    return [expand(raw) for raw in (*pending, *entries) if raw is not None]


async def test_no_secret_of_an_endpoint_is_told(tmp_path: Path, log: io.StringIO) -> None:
    async with issuing() as issuer, running(tmp_path) as world:
        token = json.dumps({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 600}).encode()
        issuer.answers = {
            "/token": (200, "", token),
            "/echo": (400, f"X-Echo: {CLIENT}\r\n", f"no client {CLIENT}".encode()),
            "/fields": (500, "", b"oops"),
            "/good": (401, "", b"oops"),
            "/mtls": (204, "", b""),
        }
        declared = "".join(
            f'    - {{name: {name}, url: "{issuer.url}/{name}"}}\n' for name in demands(issuer.url)
        )
        await world.apply(f"{CONTRACT}endpoints:\n  verification: none\n  declared:\n{declared}")
        endpoints = demand_all(world, demands(issuer.url))
        await world.parts.catalog.refresh()
        stop = asyncio.Event()
        parts = world.parts
        async with parts.dialler, asyncio.TaskGroup() as tasks:
            tasks.create_task(parts.relay.run(stop))
            await world.send({"order_id": "A-1", "qty": 1}, direction="outbound")
            await until(lambda: {"/token", "/echo", "/fields", "/good", "/mtls"} <= set(issuer.asked))
            await until(lambda: "relay.no_token" in log.getvalue() and "secret_unusable" in log.getvalue())
            await until(lambda: sum(b"delivery.attempted" in raw for raw in told_by(world)) >= 4)
            told = told_by(world)
            stop.set()
    assert any(b"endpoint_auth_failed" in raw for raw in told)
    printed = [log.getvalue(), repr(parts), repr(endpoints), repr(parts.relay)]
    files = contents(tmp_path)
    for text in SECRETS:
        assert [each for each in printed if text in each] == []
        assert [raw for raw in (*told, *files) if text.encode() in raw] == []
