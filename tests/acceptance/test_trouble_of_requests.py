"""Bad requests and contracts against the real program: each is told what is wrong; nothing is lost by it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.administration.desk import Administration, ContractText, Wish
from gateway.administration.evidence import Author, Scribe
from gateway.bootstrap.ground import clock, entropy
from gateway.broker.embedded import EmbeddedBroker
from gateway.catalog import Catalog
from gateway.database import Database
from gateway.vault import Vault, load_master
from partners.onboarding import Means
from tests.acceptance.running import CONTRACT, ORDER, ROOT, Gateway, orders, take
from tests.acceptance.stacks import STACKS, open_stack
from tests.faults.program import Fault
from tests.standstill import stopwatch

PATH = "/v1/events/order.placed"
WAIT_SECONDS = 60.0
JSON = "application/json"
FOLLOWED_SECONDS = 4
"""Two are promised; the others are for a machine that is busy. When it stands still is not counted."""


@pytest.fixture(scope="module", params=STACKS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway of each stack for all requests of this module, with acme's contract."""
    with ExitStack() as held:
        stack = open_stack(request, held)
        gateway = Gateway(tmp_path_factory.mktemp("requests") / "data", stack=stack)
        held.callback(gateway.kill)
        gateway.start(fault=Fault())
        assert gateway.apply().status_code == 201
        yield gateway
        assert gateway.stop() == 0, gateway.said()
        assert "Traceback" not in gateway.log.read_text()


@pytest.fixture(scope="module")
def acme(running: Gateway) -> Iterator[httpx.Client]:
    with running.client(running.partner_key()) as client:
        yield client


def claims(gateway: Gateway) -> int:
    ((count,),) = gateway.rows("SELECT count(*) FROM gateway_claim WHERE event_type NOT LIKE 'gateway.%'")
    return int(count)


def verify_told(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """A problem document whose code has a page that says how to mend it."""
    assert answer.status_code == status, answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["detail"]
    page = httpx.get(problem["type"], timeout=WAIT_SECONDS, trust_env=False).json()
    assert page["mend"]
    return problem


NESTED = b'{"order_id":' + b"[" * 5_000 + b"]" * 5_000 + b',"qty":1}'
BAD_BODIES = {
    "another media type": (b"<order/>", "text/xml", 415, "media_type_unsupported", None),
    "a coding that we do not take": (b"x", JSON, 415, "content_encoding_unsupported", None),
    "an oversized body": (
        b'{"order_id":"' + b"x" * 1_100_000 + b'","qty":1}',
        JSON,
        413,
        "body_too_large",
        None,
    ),
    "too many events": (
        b'{"order_id":"1","qty":1}\n' * 1_001,
        "application/x-ndjson",
        413,
        "body_too_large",
        None,
    ),
    "no body": (b"", JSON, 400, "body_malformed", None),
    "no JSON": (b'{"order_id":', JSON, 400, "body_malformed", None),
    "invalid UTF-8": (b'{"order_id":"\xff\xfe","qty":1}', JSON, 400, "body_malformed", None),
    "duplicate keys": (
        b'{"order_id":"1","order_id":"2","qty":1}',
        JSON,
        422,
        "event_invalid",
        ("/order_id", "duplicate_key"),
    ),
    "an integer beyond int": (
        b'{"order_id":"1","qty":2147483648}',
        JSON,
        422,
        "event_invalid",
        ("/qty", "range"),
    ),
    "an integer of 5,000 digits": (
        b'{"order_id":"1","qty":' + b"9" * 5_000 + b"}",
        JSON,
        422,
        "event_invalid",
        ("/qty", "range"),
    ),
    "deep nesting": (NESTED, JSON, 422, "event_invalid", ("/order_id", "type")),
    "nothing but brackets": (b"[" * 500_000, JSON, 400, "body_malformed", None),
}


@pytest.mark.parametrize("name", sorted(BAD_BODIES))
def test_a_bad_body_is_told_and_leaves_no_claim(running: Gateway, acme: httpx.Client, name: str) -> None:
    body, media_type, status, code, fault = BAD_BODIES[name]
    before = claims(running)
    headers = {"Content-Type": media_type}
    if code == "content_encoding_unsupported":
        headers["Content-Encoding"] = "br"
    problem = verify_told(acme.post(PATH, content=body, headers=headers), status, code)
    if fault is not None:
        assert fault in {(one["pointer"], one["code"]) for one in problem["errors"]}
    if code == "media_type_unsupported":
        assert JSON in acme.post(PATH, content=body, headers=headers).headers["Accept-Post"]
    assert claims(running) == before


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/9\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_malformed_http_is_one_400_and_a_closed_connection(running: Gateway, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(raw)
        said = b""
        while piece := connection.recv(65_536):
            said += piece
    assert said.startswith(b"HTTP/1.1 4")
    assert said.count(b"HTTP/1.1 ") == 1
    assert b'"code":"request_malformed"' in said
    with running.client() as client:
        assert client.get("/livez").status_code == 200


def test_an_unknown_type_names_the_types_and_the_near_one(acme: httpx.Client) -> None:
    answer = acme.post("/v1/events/order.plaecd", json=orders(0, 1)[0])
    problem = verify_told(answer, 422, "event_type_unknown")
    assert "order.placed" in problem["detail"]
    assert problem["hint"] == "Did you mean order.placed?"


def test_an_unknown_partner_is_not_found(running: Gateway) -> None:
    with running.operator() as client:
        verify_told(client.post("/v1/partners/nobody/events/order.accepted", json={}), 404, "not_found")
        verify_told(client.get("/v1/partners/nobody"), 404, "not_found")


def test_a_revoked_key_is_told_so_at_once_and_a_wrong_one_is_only_unknown(running: Gateway) -> None:
    key = running.partner_key()
    with running.client(key) as leaked, running.operator() as operator:
        mine = leaked.get("/v1/me").json()["credential"]["id"]
        path = f"/v1/partners/acme/credentials/{mine}"
        assert operator.delete(path, params={"reason": "leaked"}).status_code == 200
        verify_told(leaked.post(PATH, json=orders(0, 1)[0]), 401, "credential_revoked")
    last = "a" if key[-1] != "a" else "b"
    with running.client(key[:-1] + last) as forger:
        verify_told(forger.post(PATH, json=orders(0, 1)[0]), 401, "credential_invalid")
    with running.client() as nobody:
        verify_told(nobody.post(PATH, json=orders(0, 1)[0]), 401, "credential_missing")


RECURSIVE = {
    "type": "record",
    "name": "T",
    "fields": [{"name": "t", "type": ["null", "T"], "default": None}],
}
ZERO_WIDTH = {
    "type": "record",
    "name": "Z",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "z", "type": {"type": "array", "items": "null"}},
    ],
}
LARGE = {
    "type": "record",
    "name": "L",
    "fields": [{"name": f"f{number}", "type": "string", "doc": "x" * 1_000} for number in range(600)],
}


@pytest.mark.parametrize(
    ("schema", "words"),
    [(RECURSIVE, "T contains itself"), (ZERO_WIDTH, "take no bytes"), (LARGE, "bytes")],
    ids=["recursive", "zero width", "too large"],
)
def test_a_schema_that_must_not_be_used_is_refused_with_its_place(
    running: Gateway, acme: httpx.Client, schema: dict[str, Any], words: str
) -> None:
    answer = running.apply(CONTRACT, {"order.avsc": json.dumps(schema)})
    problem = verify_told(answer, 422, "contract_invalid")
    assert problem["errors"][0]["file"] == "order.avsc"
    assert any(words in one["detail"] for one in problem["errors"])
    assert acme.get("/v1/types/order.placed/schema").json()["name"] == "Order"


@pytest.mark.parametrize(
    ("contract", "line", "pointer"),
    [
        (CONTRACT.replace("sends", "sedns"), 4, "/sedns"),
        (CONTRACT.replace("id: /order_id, key", "id: order_id, key"), 5, "/sends/order.placed/id"),
        (CONTRACT + "limits: {events_per_second: many}\n", 8, "/limits/events_per_second"),
        ("gateway: v1\npartner: [acme\n", 3, ""),
        (CONTRACT + "name: twice\n", 8, "/name"),
    ],
)
def test_a_contract_with_errors_names_line_and_pointer_and_changes_nothing(
    running: Gateway, contract: str, line: int, pointer: str
) -> None:
    with running.operator() as client:
        before = client.get("/v1/partners/acme").json()
        problem = verify_told(running.apply(contract), 422, "contract_invalid")
        assert (line, pointer) in {(one["line"], one["pointer"]) for one in problem["errors"]}
        assert all(one["detail"] for one in problem["errors"])
        assert client.get("/v1/partners/acme").json() == before


def until_offered(client: httpx.Client, event_type: str) -> float:
    """Seconds until the type can be sent."""
    body = {**orders(0, 1)[0], "order_id": event_type}
    with stopwatch() as watch:
        while (answer := client.post(f"/v1/events/{event_type}", json=body)).status_code == 422:
            assert watch.seconds() < WAIT_SECONDS, answer.text
            time.sleep(0.05)
        seconds = watch.seconds()
    # What follows is the broker's time, not the contract's.
    take(client, f"/v1/events/{event_type}", body)
    return seconds


def test_gateway_apply_from_another_process_is_followed_without_a_restart(
    running: Gateway, acme: httpx.Client, tmp_path: Path
) -> None:
    wider = CONTRACT.replace("receives:", "  order.changed: {schema: change.avsc, id: /order_id}\nreceives:")
    (tmp_path / "acme.yaml").write_text(wider)
    (tmp_path / "order.avsc").write_text(json.dumps(ORDER))
    (tmp_path / "change.avsc").write_text(json.dumps({**ORDER, "name": "Change"}))
    line = [sys.executable, "-m", "gateway", "apply", "-f", str(tmp_path / "acme.yaml"), "--yes"]
    environ = {"GATEWAY_URL": running.url, "GATEWAY_KEY": running.operator_key()}
    done = subprocess.run(
        line, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert until_offered(acme, "order.changed") < FOLLOWED_SECONDS


def test_a_change_that_another_instance_wrote_is_followed_by_itself(
    running: Gateway, acme: httpx.Client, tmp_path: Path
) -> None:
    assert acme.post("/v1/events/order.moved", json={}).status_code == 422
    asyncio.run(apply_beside(running, tmp_path))
    assert until_offered(acme, "order.moved") < FOLLOWED_SECONDS


async def apply_beside(gateway: Gateway, folder: Path) -> None:
    """Apply a contract through the same database, past the running process."""
    database = Database(gateway.stack.url(gateway.folder))
    vault = Vault(load_master(gateway.folder / "master.key"), entropy)
    ((house_log,),) = gateway.rows("SELECT value FROM gateway_meta WHERE name = 'house_log'")
    prefix = str(gateway.settings().get("broker.topic_prefix", "partners."))

    async def nobody() -> None:
        """Tell nobody: the running process has to find out by itself."""

    broker = EmbeddedBroker.open(folder / "other.db", clock=clock, entropy=entropy, limit_bytes=1_000_000)
    catalog = Catalog(
        database=database, broker=broker, topics=lambda _: (), event_bytes=1_000_000, refresh_seconds=1
    )
    with closing(database):
        other = Administration(
            database=database,
            broker=broker,
            catalog=catalog,
            scribe=Scribe(gateway.url, gateway.url.removeprefix("http://"), house_log, entropy),
            means=Means(entropy, vault.seal, prefix),
            pepper=vault.pepper(),
            clock=clock,
            allow_insecure_loopback=True,
            told=nobody,
        )
        wider = CONTRACT.replace("receives:", "  order.moved: {schema: move.avsc, id: /order_id}\nreceives:")
        files = {"order.avsc": json.dumps(ORDER), "move.avsc": json.dumps({**ORDER, "name": "Move"})}
        sent = ContractText(wider, "acme.yaml", files)
        wish = Wish(allow=frozenset({"destructive"}))
        await other.put_contract("acme", sent, wish, by=Author("operator", None))
        await broker.close()
