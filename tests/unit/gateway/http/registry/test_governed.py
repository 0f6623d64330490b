import json
from typing import Any

import pytest

from tests.unit.gateway.http.registry.conftest import Asker, record
from tests.world import ORDER

pytestmark = pytest.mark.asyncio(loop_scope="module")

VALUE = "partners.acme.outbound-value"
NAMED = "partners.acme.outbound-com.acme.Order"
NOTICE = {"type": "record", "name": "Notice", "fields": [{"name": "text", "type": "string"}]}
BOLT = """\
gateway: v1
partner: bolt
name: Bolt
receives:
  order.accepted: {schema: order.avsc, id: /order_id, accept_versions: 2}
  notice.given: {schema: notice.avsc}
"""


def order(**more: Any) -> dict[str, Any]:
    return {**ORDER, **more}


def grown(schema: dict[str, Any], name: str = "note") -> dict[str, Any]:
    field = {"name": name, "type": ["null", "string"], "default": None}
    return {**schema, "fields": [*schema["fields"], field]}


@pytest.mark.parametrize("subject", [VALUE, NAMED])
async def test_a_contracts_schema_is_answered_however_it_is_written(asker: Asker, subject: str) -> None:
    newest = await asker.good(f"GET /subjects/{NAMED}/versions/latest")
    texts = [
        json.dumps(order()),
        json.dumps(order(), indent=2),
        json.dumps(order(doc="Ours", aliases=["Old"])),
    ]
    for text in texts:
        made = await asker.register(subject, text, schemaType="AVRO", references=[])
        assert (made["id"], made["guid"], made["schema"]) == (newest["id"], newest["guid"], newest["schema"])
        found = await asker.good(f"POST /subjects/{subject}?normalize=False&deleted=False", {"schema": text})
        assert (found["subject"], found["id"]) == (subject, newest["id"])
    assert await asker.good(f"GET /subjects/{NAMED}/versions") == [1]


@pytest.mark.parametrize(
    "schema",
    [
        grown(order()),
        order(name="Other"),
        {**order(), "fields": order()["fields"][:2]},
        {**order(), "fields": [{"name": "order_id", "type": {"type": "string", "logicalType": "uuid"}},
                               *order()["fields"][1:]]},
    ],
)  # fmt: skip
async def test_anything_else_is_refused_by_an_error_that_names_the_contract(
    asker: Asker, schema: dict[str, Any]
) -> None:
    for subject in (VALUE, NAMED):
        status, code, message = await asker.refused(
            f"POST /subjects/{subject}/versions", {"schema": json.dumps(schema)}
        )
        assert (status, code) == (422, 42205)
        assert "contract of partner acme" in message
        assert "order.accepted" in message
        assert (await asker.refused(f"POST /subjects/{subject}", {"schema": json.dumps(schema)}))[1] == 40403


@pytest.mark.parametrize("subject", [VALUE, NAMED])
async def test_what_belongs_to_a_contract_is_changed_by_contracts_alone(asker: Asker, subject: str) -> None:
    for line, body in {
        f"DELETE /subjects/{subject}": None,
        f"DELETE /subjects/{subject}?permanent=true": None,
        f"DELETE /subjects/{subject}/versions/1": None,
        f"PUT /config/{subject}": {"compatibility": "NONE"},
        f"DELETE /config/{subject}": None,
        f"PUT /mode/{subject}?force=true": {"mode": "IMPORT"},
        f"DELETE /mode/{subject}": None,
    }.items():
        status, code, message = await asker.refused(line, body, by="operator")
        assert (status, code) == (422, 42205)
        assert "contract of partner acme" in message
    assert await asker.good(f"GET /config/{subject}") == {"compatibilityLevel": "FORWARD"}


@pytest.mark.parametrize("rest", ["key", "com.acme.New", "value-value", ""])
async def test_no_other_subject_of_a_partners_topic_can_be_made(asker: Asker, rest: str) -> None:
    path = f"/subjects/partners.acme.outbound-{rest}/versions"
    assert (await asker.refused(f"POST {path}", {"schema": json.dumps(order())}))[1] == 42205
    assert (await asker.refused(f"GET {path}"))[1] == 40401


async def test_with_a_mode_that_wants_ids_the_contracts_schema_is_still_answered(asker: Asker) -> None:
    newest = await asker.good(f"GET /subjects/{VALUE}/versions/latest")
    body = {"schema": json.dumps(order()), "id": newest["id"]}
    assert (await asker.good(f"POST /subjects/{VALUE}/versions", body))["id"] == newest["id"]
    refused = await asker.refused(f"POST /subjects/{VALUE}/versions", {**body, "id": newest["id"] + 1})
    assert refused[1] == 42205


async def test_types_of_one_topic_share_a_subject_whose_numbers_never_change(asker: Asker) -> None:
    value, named = "partners.bolt.outbound-value", "partners.bolt.outbound-com.acme.Order"
    world = asker.house.world
    first = {"order.avsc": json.dumps(order()), "notice.avsc": json.dumps(NOTICE)}
    await world.apply(BOLT, first, "bolt")
    shown = await asker.good(f"GET /subjects/{value}/versions")
    assert len(shown) == 2
    for number in shown:
        version = await asker.good(f"GET /subjects/{value}/versions/{number}")
        assert (version["version"], version["id"]) == (number, number)
    second = {**first, "order.avsc": json.dumps(grown(order()))}
    await world.apply(BOLT, second, "bolt")
    newest = await asker.good(f"GET /subjects/{value}/versions/latest")
    assert newest["schema"] == second["order.avsc"]
    assert await asker.good(f"GET /subjects/{value}/versions") == sorted([*shown, newest["id"]])
    assert (await asker.good(f"GET /subjects/{named}/versions/latest"))["id"] == newest["id"]
    await world.apply(BOLT.replace("accept_versions: 2", "accept_versions: 1"), second, "bolt")
    old = {"schema": first["order.avsc"]}
    assert (await asker.refused(f"POST /subjects/{value}/versions", old))[1] == 42205
    assert (await asker.refused(f"POST /subjects/{value}", old))[1] == 40403
    former = await asker.good(f"POST /subjects/{value}?deleted=True", old)
    assert former["id"] in await asker.good(f"GET /subjects/{value}/versions?deleted=true")
    assert former["id"] not in await asker.good(f"GET /subjects/{value}/versions")
    assert (await asker.good(f"GET /schemas/ids/{former['id']}"))["schema"] == first["order.avsc"]


async def test_a_changed_schema_is_compared_with_the_line_of_its_name(asker: Asker) -> None:
    removed = json.dumps({**order(), "fields": order()["fields"][:2]})
    for subject in (VALUE, NAMED):
        path = f"POST /compatibility/subjects/{subject}/versions"
        for line in (path, f"{path}/latest"):
            assert await asker.good(line, {"schema": json.dumps(grown(order()))}) == {"is_compatible": True}
            found = await asker.good(f"{line}?verbose=true", {"schema": removed})
            assert found["is_compatible"] is False
            assert "/fields/2" in found["messages"][0]
    other = await asker.good(
        f"POST /compatibility/subjects/{VALUE}/versions?verbose=true", {"schema": record(name="Other")}
    )
    assert "has no type whose schema is named Other" in other["messages"][0]


async def test_a_partner_reads_its_own_subjects_and_no_others(asker: Asker) -> None:
    for subject in (VALUE, NAMED):
        newest = await asker.good(f"GET /subjects/{subject}/versions/latest", by="acme")
        assert (await asker.good(f"GET /schemas/ids/{newest['id']}", by="acme"))["schema"] == newest["schema"]
        assert (await asker.refused(f"GET /subjects/{subject}/versions", by="globex"))[1] == 40401
    assert (await asker.refused("GET /config/" + NAMED, by="globex"))[1] == 40408
