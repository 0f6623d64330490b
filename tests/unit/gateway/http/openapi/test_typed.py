import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import pytest_asyncio

from gateway.channels import Channel
from gateway.http.gates import GATES
from gateway.http.openapi import typed
from gateway.http.openapi.document import Place, Reader, compose
from tests.world import ORDER, World, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
GENERIC = compose(GATES, Place("https://gw.example", "1"), Reader())["paths"]["/v1/events/{type}"]["post"]
ADDRESS = {"type": "record", "name": "Address", "fields": [{"name": "street", "type": "string"}]}
SHIPMENT = {
    "type": "record",
    "name": "com.acme.Shipment",
    "fields": [
        {"name": "sender", "type": ADDRESS},
        {"name": "receiver", "type": "Address"},
        {"name": "labels", "type": {"type": "map", "values": "string"}, "default": {"$ref": "#/$defs/x"}},
    ],
}
PAGE = {"type": "fixed", "name": "Page", "size": 65_536}
LETTER = {"type": "record", "name": "Letter", "fields": [{"name": "page", "type": PAGE}]}
CONTRACT = """\
gateway: v1
partner: acme
sends:
  order.placed: {schema: order.avsc, id: /order_id}
  order_placed: {schema: other.avsc, id: generated}
  shipment.sent: {schema: shipment.avsc}
  letter.sent: {schema: letter.avsc, id: required}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder: Path = tmp_path_factory.mktemp("typed")
    async with running(folder) as opened:
        files = {
            "order.avsc": json.dumps(ORDER),
            "other.avsc": json.dumps({**ORDER, "name": "Other"}),
            "shipment.avsc": json.dumps(SHIPMENT),
            "letter.avsc": json.dumps(LETTER),
        }
        await opened.apply(CONTRACT, files)
        yield opened


def channels(world: World) -> tuple[Channel, ...]:
    return world.parts.catalog.current.channels("acme", "inbound")


async def test_a_type_is_not_called_as_an_operation_that_takes_any(world: World) -> None:
    line = next(one for one in channels(world) if one.event_type == "letter.sent")
    named = [
        replace(line, line=replace(line.line, terms=replace(line.line.terms, event_type=one)))
        for one in ("event", "event.of_type", "event.of.any")
    ]
    document = compose(
        GATES, Place("https://gw.example", "1"), Reader("partner", partner="acme", channels=tuple(named))
    )
    ids = Counter(one["operationId"] for item in document["paths"].values() for one in item.values())
    assert [name for name, times in ids.items() if times > 1] == []
    assert document["paths"]["/v1/events"]["post"]["operationId"] == "sendEvent"
    assert re.fullmatch("sendEvent[0-9a-f]{8}", document["paths"]["/v1/events/event"]["post"]["operationId"])
    assert document["paths"]["/v1/events/event.of.any"]["post"]["operationId"] == "sendEventOfAny"


async def test_types_whose_names_read_alike_get_operations_of_their_own(world: World) -> None:
    found = typed.describe_types(channels(world), GENERIC, "/v1")
    names = [item["post"]["operationId"] for item in found.paths.values()]
    assert len(set(names)) == 4
    assert [name for name in names if name.startswith("sendOrderPlaced")] != ["sendOrderPlaced"] * 2
    assert "sendShipmentSent" in names
    alone = [one for one in channels(world) if one.event_type == "order.placed"]
    (only,) = typed.describe_types(alone, GENERIC, "/v1").paths.values()
    # What is made of the document does not change because a type that reads alike comes beside it.
    assert only["post"]["operationId"] == "sendOrderPlaced"
    assert found.paths["/v1/events/order.placed"]["post"]["operationId"] == "sendOrderPlaced"
    again = typed.describe_types(channels(world)[::-1], GENERIC, "/v1")
    assert again == found


async def test_where_an_id_comes_from_is_said_of_each_type(world: World) -> None:
    found = typed.describe_types(channels(world), GENERIC, "/v1").paths
    assert "`/order_id`" in found["/v1/events/order.placed"]["post"]["description"]
    assert "one is made" in found["/v1/events/order_placed"]["post"]["description"]
    assert "`Idempotency-Key`" in found["/v1/events/shipment.sent"]["post"]["description"]


async def test_shared_definitions_are_found_where_they_went_and_defaults_stay_data(world: World) -> None:
    found = typed.describe_types(channels(world), GENERIC, "/v1")
    shipment = found.schemas["ShipmentSentData"]
    assert shipment["properties"]["receiver"] == {
        "$ref": "#/components/schemas/ShipmentSentData.com.acme.Address"
    }
    assert shipment["properties"]["labels"]["default"] == {"$ref": "#/$defs/x"}
    whole: dict[str, Any] = {"components": {"schemas": found.schemas}, **shipment}
    example = found.paths["/v1/events/shipment.sent"]["post"]["requestBody"]["content"]["application/json"]
    validator = jsonschema.Draft202012Validator(whole)
    assert validator.is_valid(example["example"])
    assert not validator.is_valid({**example["example"], "sender": {}})


async def test_schemas_that_are_too_large_together_are_left_out_by_name(world: World) -> None:
    found = typed.describe_types(channels(world), GENERIC, "/v1", most=600)
    assert found.left_out
    assert len(found.paths) + len(found.left_out) == 4
    assert not any(f"/v1/events/{one}" in found.paths for one in found.left_out)


async def test_a_sample_that_would_be_large_is_left_to_its_own_route(world: World) -> None:
    found = typed.describe_types(channels(world), GENERIC, "/v1").paths["/v1/events/letter.sent"]["post"]
    assert list(found["requestBody"]["content"]["application/json"]) == ["schema"]
