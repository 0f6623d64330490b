import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from gateway.catalog import Catalog
from gateway.http.catalogue import CATALOGUE
from tests.builders import House, open_house

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("app")) as opened:
        yield opened


async def test_every_answer_has_a_request_id_of_its_own(house: House) -> None:
    async with house.client() as client:
        answers = [await client.get(path) for path in ("/livez", "/nowhere", "/v1/me", "/livez")]
    seen = {answer.headers["request-id"] for answer in answers}
    assert len(seen) == len(answers)
    assert all(one.startswith("req_") for one in seen)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/me/",
        "/V1/ME",
        "//v1/me",
        "/v1/%2e%2e/me",
        "/é",
        "/v1/me%0A",
        "/v1%2Fme",
        "/v1/me%2f",
    ],
)
async def test_paths_that_do_not_exist_are_404_without_a_redirect(house: House, path: str) -> None:
    async with house.client("acme") as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "TRACE", "OPTIONS", "BREW"])
async def test_events_are_posted_and_the_hint_says_where_to_look(house: House, method: str) -> None:
    async with house.client("acme") as client:
        answer = await client.request(method, "/v1/events")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    if method == "GET":
        assert "/v1/history" in answer.json()["hint"]
        assert "/v1/stream" in answer.json()["hint"]


async def test_head_is_get_without_a_body(house: House) -> None:
    async with house.client() as client:
        head = await client.head("/.well-known/jwks.json")
        get = await client.get("/.well-known/jwks.json")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


async def test_no_origin_is_let_in_by_cors(house: House) -> None:
    async with house.client("acme") as client:
        answer = await client.get("/v1/me", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_unknown_parameters_are_refused_on_every_route(house: House) -> None:
    async with house.client("acme") as client:
        answers = [await client.get(f"{path}?colour=red") for path in ("/v1/me", "/v1/history", "/livez")]
    assert {answer.json()["code"] for answer in answers} == {"parameter_invalid"}


async def test_our_side_is_told_where_a_partners_things_are(house: House) -> None:
    async with house.client("operator") as client:
        answer = await client.get("/v1/history")
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert "/v1/partners/{p}/history" in answer.json()["hint"]


async def test_each_error_has_a_page(house: House) -> None:
    async with house.client() as client:
        for code, meaning in CATALOGUE.items():
            page = await client.get(f"/errors/{code}")
            assert (page.status_code, page.json()["status"]) == (200, meaning.status)
        assert (await client.get("/errors/nonsense")).status_code == 404


async def test_what_machines_ask_is_answered(house: House) -> None:
    async with house.client() as client:
        ready = await client.get("/readyz")
        metrics = await client.get("/metrics")
        keys = (await client.get("/.well-known/jwks.json")).json()["keys"]
        discovery = (await client.get("/.well-known/partner-gateway")).json()
    assert ready.json() == {"status": "ready", "missing": []}
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert [(key["alg"], key.get("purpose")) for key in keys] == [("EdDSA", None), ("EdDSA", "webhook")]
    assert discovery["jwks_uri"].endswith("/.well-known/jwks.json")


async def test_not_being_ready_says_what_is_missing(house: House) -> None:
    async def missing() -> list[str]:
        return ["the broker has been away for 5000 ms"]

    house = replace(house, doors=replace(house.doors, ready=missing))
    async with house.client() as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["missing"] == ["the broker has been away for 5000 ms"]
    assert "retry-after" in answer.headers


async def test_types_and_schemas_are_shown(house: House) -> None:
    async with house.client("acme") as client:
        types = (await client.get("/v1/types")).json()["items"]
        one = (await client.get("/v1/types/order.placed")).json()
        schema = await client.get("/v1/types/order.placed/schema?as=avro")
        by_id = await client.get(f"/v1/schemas/{types[0]['versions'][0]['id']}")
        other = await client.get("/v1/types/order.placed/schema?as=xsd")
    assert [(item["type"], item["direction"]) for item in types] == [
        ("order.accepted", "outbound"),
        ("order.placed", "inbound"),
    ]
    assert [item["direction"] for item in one["directions"]] == ["inbound"]
    assert schema.json()["name"] == "Order"
    assert by_id.text == schema.text
    assert (other.status_code, other.json()["code"]) == (400, "parameter_invalid")
    assert "avro" in other.json()["detail"]


async def test_a_schema_is_found_by_its_id_alone(house: House) -> None:
    found = {}
    for name in ("acme", "team", "operator"):
        async with house.client(name) as client:
            found[name] = await client.get("/v1/schemas/1")
            assert (await client.get("/v1/schemas/99")).status_code == 404
    assert {answer.status_code for answer in found.values()} == {200}
    assert len({answer.text for answer in found.values()}) == 1


async def test_a_schema_of_others_is_for_our_side_alone(house: House) -> None:
    other = json.dumps({"type": "record", "name": "Secret", "fields": [{"name": "id", "type": "string"}]})
    text = "gateway: v1\npartner: bolt\nsends:\n  secret.told: {schema: secret.avsc, id: /id}\n"
    async with house.client("operator") as client, house.client("acme") as partner:
        body = {"contract": text, "files": {"secret.avsc": other}}
        assert (await client.put("/v1/partners/bolt/contract", json=body)).status_code == 201
        await house.world.parts.catalog.refresh()
        types = (await client.get("/v1/partners/bolt/types")).json()["items"]
        path = f"schemas/{types[0]['versions'][0]['id']}"
        assert (await client.get(f"/v1/{path}")).text == other
        assert (await client.get(f"/v1/partners/acme/{path}")).status_code == 404
        assert (await partner.get(f"/v1/{path}")).status_code == 404


async def test_a_request_is_observed_by_its_route_not_its_path(house: House) -> None:
    seen: list[tuple[str, str, int]] = []

    def observe(route: str, method: str, status: int, _code: str, seconds: float) -> None:
        assert seconds >= 0
        seen.append((route, method, status))

    house = replace(house, doors=replace(house.doors, observe=observe))
    async with house.client("acme") as client:
        await client.get("/v1/types/order.placed")
        await client.request("BREW", "/v1/types/order.placed")
        await client.get("/nowhere/at/all")
    assert seen == [
        ("/v1/types/{type}", "GET", 200),
        ("/v1/types/{type}", "other", 405),
        ("none", "other", 404),
    ]


async def test_a_good_key_is_not_called_unknown_while_no_key_has_been_read_yet(house: House) -> None:
    unread = Catalog(
        database=house.doors.database,
        broker=house.doors.broker,
        topics=lambda _: (),
        event_bytes=1_000,
        refresh_seconds=1.0,
    )
    early = replace(house, doors=replace(house.doors, catalog=unread))
    async with early.client("acme") as client:
        before = await client.get("/v1/me")
        await unread.follow()
        after = await client.get("/v1/me")
    assert (before.status_code, before.json()["code"]) == (503, "store_unavailable")
    assert "retry-after" in before.headers
    assert after.status_code == 200
