import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.http.app import make_apps
from gateway.http.gates import GATES
from gateway.http.openapi.document import Place, Reader, compose
from tests.builders import House, open_house

pytestmark = pytest.mark.asyncio(loop_scope="module")
PLACE = Place("https://gw.example", "1.2.3")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("document"), partners=("acme", "globex")) as opened:
        await opened.issue("auditor", "auditor", "acme")
        yield opened


async def ask(house: House, name: str, path: str = "/v1/openapi.json") -> dict[str, Any]:
    async with house.client(name) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    document: dict[str, Any] = answer.json()
    return document


def roles(document: dict[str, Any]) -> set[str]:
    """Those who share an operation with the reader, or none where it is for anybody."""
    found = [one for item in document["paths"].values() for one in item.values()]
    return {role for one in found for role in one.get("x-roles", ())}


async def test_a_partner_reads_a_path_for_each_type_that_it_sends(house: House) -> None:
    document = await ask(house, "acme")
    operation = document["paths"]["/v1/events/order.placed"]["post"]
    assert operation["operationId"] == "sendOrderPlaced"
    assert "/v1/events/order.accepted" not in document["paths"]
    media = operation["requestBody"]["content"]["application/json"]
    assert media["example"] == {"order_id": "order_id", "customer": "customer", "qty": 1}
    assert media["schema"] == {"$ref": "#/components/schemas/OrderPlacedData"}
    data = document["components"]["schemas"]["OrderPlacedData"]
    assert data["required"] == ["order_id", "qty"]
    customer = {"type": ["string", "null"], "maxLength": 262_144, "default": None}
    assert data["properties"]["customer"] == customer
    assert data["properties"]["qty"] == {"type": "integer", "minimum": -(1 << 31), "maximum": (1 << 31) - 1}


async def test_the_example_is_an_event_that_is_taken(house: House) -> None:
    document = await ask(house, "acme")
    content = document["paths"]["/v1/events/order.placed"]["post"]["requestBody"]["content"]
    async with house.client("acme") as client:
        sent = await client.post("/v1/events/order.placed", json=content["application/json"]["example"])
    assert sent.status_code in {200, 201}


@pytest.mark.parametrize("name", ["acme", "auditor", "team", "operator"])
async def test_a_document_holds_what_its_reader_may_call_and_nothing_else(house: House, name: str) -> None:
    role = {"acme": "partner"}.get(name, name)
    document = await ask(house, name)
    for item in document["paths"].values():
        for one in item.values():
            assert role in one.get("x-roles", [role])
    assert ("/v1/partners/{p}/contract" in document["paths"]) == (name in {"team", "operator"})
    assert ("/metrics" in document["paths"]) == (name == "operator")
    assert ("/v1/events/order.placed" in document["paths"]) == (name == "acme")


async def test_our_side_reads_what_it_may_send_to_a_partner(house: House) -> None:
    document = await ask(house, "team", "/v1/partners/globex/openapi.json")
    path = "/v1/partners/globex/events/order.accepted"
    assert document["paths"][path]["post"]["operationId"] == "sendOrderAccepted"
    assert [one["in"] for one in document["paths"][path]["post"]["parameters"]].count("path") == 0
    assert "revision 1" in document["info"]["description"]


async def test_no_partner_reads_of_another(house: House) -> None:
    text = json.dumps([await ask(house, name) for name in ("acme", "auditor")])
    assert "globex" not in text


async def test_a_registry_that_is_elsewhere_is_not_described() -> None:
    here = compose(GATES, PLACE, Reader("operator"))
    elsewhere = compose(GATES, Place("https://gw.example", "1", has_registry=False), Reader("operator"))
    assert [path for path in elsewhere["paths"] if path.startswith("/registry")] == []
    assert "/registry/subjects" in here["paths"]
    assert {one["name"] for one in here["tags"]} - {one["name"] for one in elsewhere["tags"]} == {"Registry"}


async def test_everybody_is_told_how_to_get_the_typed_one() -> None:
    document = compose(GATES, PLACE, Reader())
    assert document["openapi"].startswith("3.1")
    assert document["x-typed-document"]["url"] == "https://gw.example/v1/openapi.json"
    assert document["servers"] == [{"url": "https://gw.example"}]


async def test_each_way_to_prove_oneself_is_told_and_open_routes_ask_for_none() -> None:
    document = compose(GATES, PLACE, Reader())
    ways = {name for one in document["paths"]["/v1/events"]["post"]["security"] for name in one}
    assert ways == set(document["components"]["securitySchemes"])
    assert document["paths"]["/docs"]["get"]["security"] == []
    assert {name for one in document["paths"]["/v1/me"]["get"]["security"] for name in one} == ways - {
        "webhookSignature"
    }


async def test_at_two_listeners_each_document_names_what_is_there(house: House) -> None:
    found: dict[str, dict[str, Any]] = {}
    callers = {"public": "acme", "private": "operator"}
    for name, app in zip(callers, make_apps(house.doors, is_split=True), strict=True):
        headers = {"Authorization": f"Bearer {house.keys[callers[name]]}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://gw.example") as client:
            found[name] = (await client.get("/v1/openapi.json", headers=headers)).json()
            status = await client.get("/v1/status", headers=headers)
            assert (status.status_code == 404) == ("/v1/status" not in found[name]["paths"]), name
    assert [one["url"] for one in found["public"]["servers"]] == [house.doors.values.origin]
    assert [one["url"] for one in found["private"]["servers"]] == ["/"]
    assert "/v1/partners" in found["private"]["paths"]
    assert "/v1/partners" not in found["public"]["paths"]
    assert "/v1/me" in found["public"]["paths"]
    alone = await ask(house, "operator")
    assert [one["url"] for one in alone["servers"]] == [house.doors.values.origin]
    assert alone["paths"].keys() == found["private"]["paths"].keys()
