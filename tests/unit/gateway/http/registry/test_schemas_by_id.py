from uuid import UUID

import pytest

from tests.unit.gateway.http.registry.conftest import Asker, record

pytestmark = pytest.mark.asyncio(loop_scope="module")


def schema_of(subject: str) -> str:
    """A schema that no other test registers."""
    return record({"name": "a", "type": "int"}, name="N_" + subject.replace("-", "_"))


async def test_a_schema_is_found_by_its_id_whatever_subject_is_named(asker: Asker, subject: str) -> None:
    schema = schema_of(subject)
    made = await asker.register(subject, schema)
    plain = {"guid": made["guid"], "schema": schema}
    for query in ("", "?subject=other", "?subject=%00", "?format=serialized&reference_format=x"):
        assert await asker.good(f"GET /schemas/ids/{made['id']}{query}") == plain
    where = {"subject": subject, "version": 1, "id": made["id"]}
    assert await asker.good(f"GET /schemas/ids/{made['id']}?subject={subject}") == {**plain, **where}
    assert (await asker.ask(f"GET /schemas/ids/{made['id']}/schema")).text == schema


async def test_the_largest_id_is_told_where_asked(asker: Asker, subject: str) -> None:
    made = await asker.register(subject, schema_of(subject))
    for by in ("team", "operator"):
        found = await asker.good(f"GET /schemas/ids/{made['id']}?fetchMaxId=true", by=by)
        assert found["maxId"] == made["id"]


async def test_uses_of_a_schema(asker: Asker, subject: str) -> None:
    schema = schema_of(subject)
    made = await asker.register(subject, schema)
    await asker.register(f"{subject}.b", schema)
    path = f"GET /schemas/ids/{made['id']}"
    assert await asker.good(f"{path}/subjects") == [subject, f"{subject}.b"]
    assert await asker.good(f"{path}/subjects?subject={subject}&offset=0&limit=-1") == [subject]
    assert await asker.good(f"{path}/versions?limit=1") == [{"subject": subject, "version": 1}]
    await asker.good(f"DELETE /subjects/{subject}")
    assert await asker.good(f"{path}/subjects") == [f"{subject}.b"]
    assert await asker.good(f"{path}/subjects?deleted=True") == [subject, f"{subject}.b"]


async def test_softly_deleted_schemas_stay_readable_and_those_deleted_for_good_do_not(
    asker: Asker, subject: str
) -> None:
    made = await asker.register(subject, schema_of(subject))
    await asker.good(f"DELETE /subjects/{subject}")
    paths = (f"/schemas/ids/{made['id']}", f"/schemas/guids/{made['guid']}")
    for path in paths:
        await asker.good(f"GET {path}")
    await asker.good(f"DELETE /subjects/{subject}?permanent=true")
    for path in paths:
        assert (await asker.refused(f"GET {path}"))[:2] == (404, 40403)


async def test_a_schema_is_found_by_its_guid_however_that_is_written(asker: Asker, subject: str) -> None:
    made = await asker.register(subject, schema_of(subject))
    for guid in (made["guid"], made["guid"].upper(), UUID(made["guid"]).hex):
        assert (await asker.good(f"GET /schemas/guids/{guid}"))["schema"] == made["schema"]
        assert await asker.good(f"GET /schemas/guids/{guid}/ids") == [made["id"]]


@pytest.mark.parametrize(
    "word", ["0", "-1", "99999", "4294967295", "99999999999", "x", "1.0", "%00", "%D9%A1"]
)
async def test_an_id_that_nobody_has_is_unknown(asker: Asker, word: str) -> None:
    for path in (f"/schemas/ids/{word}", f"/schemas/ids/{word}/versions", f"/schemas/guids/{word}"):
        assert (await asker.refused(f"GET {path}"))[:2] == (404, 40403)


async def test_what_the_registry_is(asker: Asker) -> None:
    assert await asker.good("GET /") == {}
    assert await asker.good("GET /schemas/types") == ["AVRO"]
    assert await asker.good("GET /contexts?offset=0&limit=-1") == ["."]
    assert set(await asker.good("GET /v1/metadata/id")) == {"scope"}
    assert (await asker.good("GET /v1/metadata/version"))["version"] == "0.0.0"
    found = await asker.refused(
        "GET /associations/resources/-/topic?resourceType=topic&associationType=value"
    )
    assert found[:2] == (404, 40410)
