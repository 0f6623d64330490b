"""Statements of receivers over HTTP: what proves that a delivery arrived, once and for all."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from audit import outcomes
from audit.acknowledgement import verify_acknowledgement
from audit.evidence import Kind
from audit.papers import Keys
from audit.ref import format_ref
from audit.whole import verify_files
from gateway.egress.delivery import Delivered, RetryAt, format_delivery
from gateway.rows import AcknowledgementRow
from tests.acknowledging import pem_of, statement
from tests.builders import CONTRACTS, House, open_house
from tests.signing import private_key
from tests.unit.gateway.http.test_deliveries_over_http import (
    ENDPOINTS,
    delivery,
    endpoint,
    keep,
    tried,
    voice,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

KIND = "ed25519"
KEY = private_key(KIND)
JOSE = {"Content-Type": "application/jose"}
TERMS = "authentication: {accept: [api_key, message_signature]}\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("acks"), partners=("acme", "globex")) as opened:
        await opened.world.apply(CONTRACTS.replace("{slug}", "acme") + TERMS + ENDPOINTS)
        await opened.world.apply(CONTRACTS.replace("{slug}", "globex") + TERMS, slug="globex")
        await opened.world.parts.catalog.refresh()
        for slug in ("acme", "globex"):
            async with opened.client(slug) as client:
                body = {"kind": "public_key", "public_key": pem_of(KEY).decode()}
                made = await client.post("/v1/credentials", json=body)
                assert made.status_code == 201, made.text
                opened.keys[f"public {slug}"] = made.json()["id"]
        await opened.world.parts.catalog.refresh()
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client("acme") as opened:
        yield opened


def said(house: House, event_id: str, slug: str = "acme", **changes: Any) -> bytes:
    claims = {"webhook_id": format_ref(delivery(house, event_id).ref), "content_sha256": "22" * 32, **changes}
    return statement(KEY, KIND, house.keys[f"public {slug}"], claims)


def path_of(house: House, event_id: str, name: str = "main") -> str:
    return f"/v1/deliveries/{format_delivery(endpoint(house, name), delivery(house, event_id).ref)}/ack"


def entries(house: House, event_id: str) -> list[Any]:
    with house.world.parts.ground.database.begin() as session:
        told = outcomes.tell(session, voice(house).log, endpoint(house), delivery(house, event_id).ref)
    return [one.evidence for one in told if one.evidence.kind is Kind.ACKNOWLEDGED]


async def test_a_statement_is_in_the_log_once_and_proves_what_it_says(
    house: House, client: httpx.AsyncClient
) -> None:
    tried(house, delivery(house, "A-1"), Delivered())
    path = path_of(house, "A-1")
    tried_out = await client.post(f"{path}?dry_run=true", content=said(house, "A-1"), headers=JOSE)
    assert (tried_out.status_code, tried_out.json()["dry_run"]) == (200, True)
    assert entries(house, "A-1") == []
    made = await client.post(path, content=said(house, "A-1"), headers=JOSE)
    assert made.status_code == 201, made.text
    assert made.json()["credential"] == house.keys["public acme"]
    # The same again, and another one, say nothing new.
    repeats: tuple[dict[str, Any], ...] = ({}, {"received_at": 7})
    for more in repeats:
        again = await client.post(path, content=said(house, "A-1", **more), headers=JOSE)
        assert (again.status_code, again.json()) == (200, made.json())
    (evidence,) = entries(house, "A-1")
    verdict = verify_acknowledgement(evidence, pem_of(KEY))
    assert "22" * 32 in verdict.proved[1]
    shown = await client.get(f"/v1/history/{format_ref(delivery(house, 'A-1').ref)}?wait=10")
    assert shown.status_code == 200


async def test_another_statement_is_no_repeat_of_one_that_was_kept(
    house: House, client: httpx.AsyncClient
) -> None:
    tried(house, delivery(house, "A-11"), Delivered())
    path = path_of(house, "A-11")
    made = await client.post(path, content=said(house, "A-11"), headers=JOSE)
    assert made.status_code == 201, made.text
    other = said(house, "A-11", content_sha256="33" * 32)
    for query in ("", "?dry_run=true"):
        refused = await client.post(f"{path}{query}", content=other, headers=JOSE)
        assert (refused.status_code, refused.json().get("code")) == (422, "acknowledgement_invalid")
    assert len(entries(house, "A-11")) == 1


async def test_the_delivery_shows_it_as_a_document_that_its_key_alone_proves(
    house: House, client: httpx.AsyncClient
) -> None:
    tried(house, delivery(house, "A-9"), Delivered())
    path = path_of(house, "A-9").removesuffix("/ack")
    assert (await client.get(path)).json()["acknowledgement"] is None
    token = said(house, "A-9")
    assert (await client.post(f"{path}/ack", content=token, headers=JOSE)).status_code == 201
    shown = (await client.get(path)).json()
    found = shown["acknowledgement"]
    assert (found["token"], found["key"]) == (token.decode(), house.keys["public acme"])
    assert (found["delivery"], found["ref"]) == (shown["id"], shown["ref"])
    pinned = Keys(parties=(pem_of(KEY),))
    for paper in (found, shown):
        assert verify_files([json.dumps(paper).encode()], pinned).proved


async def test_what_was_not_answered_by_a_2xx_can_be_acknowledged_too(
    house: House, client: httpx.AsyncClient
) -> None:
    tried(house, delivery(house, "A-2"), RetryAt(1), "timed_out")
    keep(house, delivery(house, "A-2"), "pending", "timed_out")
    made = await client.post(path_of(house, "A-2"), content=said(house, "A-2"), headers=JOSE)
    assert made.status_code == 201, made.text


@pytest.mark.parametrize(
    ("changes", "whose"),
    [
        ({"content_sha256": "33" * 32}, "acme"),
        ({"webhook_id": "evt_other"}, "acme"),
        ({"endpoint": "ep_other"}, "acme"),
        ({}, "globex"),
    ],
)
async def test_what_does_not_prove_it_is_refused_and_leaves_no_trace(
    house: House, client: httpx.AsyncClient, changes: dict[str, object], whose: str
) -> None:
    tried(house, delivery(house, "A-3"), Delivered())
    raw = said(house, "A-3", whose, **changes)
    refused = await client.post(path_of(house, "A-3"), content=raw, headers=JOSE)
    assert (refused.status_code, refused.json()["code"]) == (422, "acknowledgement_invalid")
    assert entries(house, "A-3") == []
    with house.world.parts.ground.database.begin() as session:
        assert session.get(AcknowledgementRow, (endpoint(house), delivery(house, "A-3").ref)) is None


async def test_what_was_never_tried_cannot_be_acknowledged(house: House, client: httpx.AsyncClient) -> None:
    keep(house, delivery(house, "A-4"), "held", "paused")
    refused = await client.post(path_of(house, "A-4"), content=said(house, "A-4"), headers=JOSE)
    assert (refused.status_code, refused.json()["code"]) == (422, "acknowledgement_invalid")


async def test_a_foreign_unknown_or_malformed_delivery_is_not_found(house: House) -> None:
    tried(house, delivery(house, "A-5"), Delivered())
    async with house.client("globex") as stranger:
        paths = (path_of(house, "A-5"), path_of(house, "nobody's"), "/v1/deliveries/dlv_x/ack")
        for path in paths:
            answer = await stranger.post(path, content=said(house, "A-5", "globex"), headers=JOSE)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415, "media_type_unsupported"),
        (JOSE, b"x" * 9_000, 413, "body_too_large"),
        (JOSE, b"", 422, "acknowledgement_invalid"),
        ({**JOSE, "Content-Encoding": "br"}, b"x", 415, "content_encoding_unsupported"),
        ({**JOSE, "Content-Encoding": "gzip"}, b"x", 400, "body_malformed"),
    ],
)
async def test_a_body_that_is_no_statement_is_refused(
    house: House, client: httpx.AsyncClient, headers: dict[str, str], content: bytes, status: int, code: str
) -> None:
    tried(house, delivery(house, "A-6"), Delivered())
    refused = await client.post(path_of(house, "A-6"), content=content, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
