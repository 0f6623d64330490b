import asyncio
import json
from typing import Any

import pytest

from tests.unit.gateway.http.registry.conftest import Asker, record
from tests.world import ORDER

pytestmark = pytest.mark.asyncio(loop_scope="module")

A = {"name": "a", "type": "int"}
ONE = record(A)
TWO = record(A, {"name": "b", "type": "int", "default": 0})
BROKEN = record(A, {"name": "c", "type": "int"})
REFERRING = record({"name": "x", "type": "R"}, name="S")


async def test_a_registration_answers_id_version_and_guid(asker: Asker, subject: str) -> None:
    made = await asker.register(subject, ONE, schemaType="AVRO", references=[])
    assert set(made) == {"id", "version", "guid", "schema"}
    assert (made["version"], made["schema"]) == (1, ONE)
    assert await asker.register(subject, ONE) == made


@pytest.mark.parametrize("subject", ["of-a-team-value", "partners.acme.outbound-value"])
async def test_a_client_that_takes_no_news_is_told_the_id_and_nothing_else(
    asker: Asker, subject: str
) -> None:
    schema = json.dumps(ORDER)
    made = await asker.register(subject, schema)
    for header in (
        {"Confluent-Accept-Unknown-Properties": "false"},
        {"Confluent-Accept-Unknown-Properties": ""},
    ):
        answer = await asker.ask(f"POST /subjects/{subject}/versions", {"schema": schema}, headers=header)
        assert answer.json() == {"id": made["id"]}


async def test_a_version_is_shown_with_its_schema_and_without_empty_members(
    asker: Asker, subject: str
) -> None:
    made = await asker.register(subject, ONE)
    shown = {"subject": subject, "version": 1, "id": made["id"], "guid": made["guid"], "schema": ONE}
    for version in ("1", "latest", "-1"):
        assert await asker.good(f"GET /subjects/{subject}/versions/{version}") == shown
    assert await asker.good(f"GET /subjects/{subject}/metadata") == shown
    bare = await asker.ask(f"GET /subjects/{subject}/versions/1/schema")
    assert bare.text == ONE


async def test_look_up_finds_the_version_in_both_spellings_of_booleans(asker: Asker, subject: str) -> None:
    made = await asker.register(subject, ONE)
    await asker.register(subject, TWO)
    for query in ("", "?normalize=False&deleted=False", "?normalize=false&deleted=TRUE&format="):
        found = await asker.good(f"POST /subjects/{subject}{query}", {"schema": ONE})
        assert (found["subject"], found["version"], found["id"]) == (subject, 1, made["id"])
    assert await asker.good(f"DELETE /subjects/{subject}/versions/1") == 1
    assert (await asker.refused(f"POST /subjects/{subject}?deleted=False", {"schema": ONE}))[1] == 40403
    assert (await asker.good(f"POST /subjects/{subject}?deleted=True", {"schema": ONE}))["version"] == 1


async def test_versions_are_listed_smallest_first(asker: Asker, subject: str) -> None:
    await asker.register(subject, ONE)
    await asker.register(subject, TWO)
    await asker.good(f"DELETE /subjects/{subject}/versions/1")
    path = f"GET /subjects/{subject}/versions"
    assert await asker.good(path) == [2]
    assert await asker.good(f"{path}?deleted=True") == [1, 2]
    assert await asker.good(f"{path}?deletedOnly=true") == [1]
    assert await asker.good(f"{path}?deleted_only=True&offset=0&limit=-1") == [1]
    assert await asker.good(f"{path}?deleted=true&offset=1") == [2]
    assert await asker.good(f"{path}?deleted=true&limit=1") == [1]
    assert await asker.good(f"{path}?deleted=true&limit=0") == []


async def test_subjects_are_listed_by_prefix_in_both_spellings(asker: Asker, subject: str) -> None:
    names = [f"{subject}.{word}" for word in ("Ä", "a", "b%c", "b_c")]
    for name in names:
        await asker.register(name.replace("%", "%25"), ONE)
    for parameter in ("subjectPrefix", "subject"):
        assert await asker.good(f"GET /subjects?{parameter}={subject}.") == sorted(names)
    assert await asker.good(f"GET /subjects?subjectPrefix={subject}.b_") == [names[3]]
    assert await asker.good(f"GET /subjects?subjectPrefix=:.:{subject}.a") == [names[1]]
    assert await asker.good(f"GET /subjects?subjectPrefix={subject}.&offset=1&limit=2") == sorted(names)[1:3]
    await asker.good(f"DELETE /subjects/{names[1]}")
    only = f"GET /subjects?subjectPrefix={subject}."
    assert names[1] not in await asker.good(only)
    assert names[1] in await asker.good(f"{only}&deleted=true")
    assert await asker.good(f"{only}&deletedOnly=True") == [names[1]]


@pytest.mark.parametrize("name", ["a%2Fb", "%2F", "a%20b%3F", "%C3%A4%2F%25", "..%2F..", "versions", "%2e"])
async def test_a_subject_may_hold_anything_that_prints(asker: Asker, name: str) -> None:
    made = await asker.register(name, ONE)
    found = await asker.good(f"GET /subjects/{name}/versions/latest")
    assert found["id"] == made["id"]
    assert found["subject"] in await asker.good("GET /subjects")


async def test_the_default_context_is_the_one_that_is_held(asker: Asker, subject: str) -> None:
    await asker.register(f":.:{subject}", ONE)
    assert (await asker.good(f"GET /subjects/%3A.%3A{subject}/versions/1"))["subject"] == subject
    other = f":.other:{subject}"
    assert (await asker.refused(f"GET /subjects/{other}/versions"))[1] == 40401
    assert (await asker.refused(f"POST /subjects/{other}/versions", {"schema": ONE}))[1] == 42208


async def test_what_is_not_there_has_the_numbers_that_clients_know(asker: Asker, subject: str) -> None:
    await asker.register(subject, ONE)
    version, nobody = f"/subjects/{subject}/versions", "/subjects/nobody"
    body = {"schema": TWO}
    told = {
        f"GET {version}/9": (404, 40402),
        f"GET {version}/0": (422, 42202),
        f"GET {version}/new": (422, 42202),
        f"GET {version}/9/schema": (404, 40402),
        f"GET {version}/9/referencedby": (404, 40402),
        f"GET {nobody}/versions": (404, 40401),
        f"GET {nobody}/versions/1": (404, 40401),
        f"GET {nobody}/versions/latest": (404, 40401),
        f"GET {nobody}/metadata": (404, 40401),
        f"GET /subjects/{subject}/metadata?key=owner&value=us": (404, 40403),
        f"DELETE {nobody}": (404, 40401),
        f"DELETE {nobody}/versions/1": (404, 40401),
        f"DELETE {version}/9": (404, 40402),
        f"DELETE {version}/x": (422, 42202),
        f"DELETE /subjects/{subject}?permanent=true": (404, 40405),
        f"DELETE {version}/1?permanent=True": (404, 40407),
        f"POST /subjects/{subject}": (404, 40403),
        f"POST {nobody}": (404, 40401),
    }
    for line, expected in told.items():
        found = await asker.refused(line, body if line.startswith("POST") else None)
        assert found[:2] == expected, (line, found)


async def test_deletion_goes_softly_first(asker: Asker, subject: str) -> None:
    made = await asker.register(subject, ONE)
    await asker.register(subject, TWO)
    assert await asker.good(f"DELETE /subjects/{subject}/versions/latest") == 2
    assert (await asker.refused(f"DELETE /subjects/{subject}/versions/2"))[1] == 40406
    assert await asker.good(f"DELETE /subjects/{subject}/versions/2?permanent=True") == 2
    assert await asker.good(f"DELETE /subjects/{subject}") == [1]
    assert (await asker.refused(f"DELETE /subjects/{subject}"))[1] == 40404
    assert (await asker.good(f"GET /schemas/ids/{made['id']}"))["schema"] == ONE
    assert await asker.good(f"DELETE /subjects/{subject}?permanent=true") == [1]
    assert (await asker.register(subject, TWO))["version"] == 3


async def test_a_schema_with_references_is_shown_with_them(asker: Asker, subject: str) -> None:
    await asker.register(f"{subject}-r", ONE)
    reference = {"name": "R", "subject": f"{subject}-r", "version": 1}
    made = await asker.register(subject, REFERRING, references=[{**reference, "version": -1}])
    for line in (f"/subjects/{subject}/versions/1", f"/schemas/ids/{made['id']}"):
        assert (await asker.good(f"GET {line}"))["references"] == [reference]
    path = f"GET /subjects/{subject}-r/versions/1/referencedby"
    assert await asker.good(path) == [made["id"]]
    found = await asker.refused(f"DELETE /subjects/{subject}-r")
    assert found[:2] == (422, 42206)
    assert str(made["id"]) in found[2]
    await asker.good(f"DELETE /subjects/{subject}")
    assert await asker.good(path) == []
    assert await asker.good(f"{path}?deleted=true") == [made["id"]]


BAD: list[tuple[Any, int, str]] = [
    (b"", 42201, "cannot be read"),
    (b"{", 42201, "cannot be read"),
    (b"[]", 42201, "JSON object"),
    (b'{"schema":1,"schema":2}', 42201, "cannot be read"),
    ({}, 42201, "schema must be the text"),
    ({"schema": ""}, 42201, "schema must be the text"),
    ({"schema": {"type": "int"}}, 42201, "schema must be the text"),
    ({"schema": "no JSON"}, 42201, "Invalid schema"),
    ({"schema": '{"type":"record","name":"R","fields":[{"name":"1"}]}'}, 42201, "/fields/0"),
    ({"schema": '"nothing"'}, 42201, "Invalid schema"),
    ({"schema": ONE, "schemaType": "JSON"}, 42201, "schemaType is AVRO here"),
    ({"schema": ONE, "schemaType": "PROTOBUF"}, 42201, "schemaType is AVRO here"),
    ({"schema": ONE, "schemaType": 7}, 42201, "schemaType is AVRO here"),
    ({"schema": ONE, "ruleSet": {"domainRules": [{}]}}, 42210, "ruleSet"),
    ({"schema": ONE, "metadata": {"properties": {"a": "b"}}}, 42201, "metadata"),
    ({"schema": ONE, "references": {}}, 42201, "references must be a list"),
    ({"schema": ONE, "references": [1] * 101}, 42201, "at most 100"),
    ({"schema": ONE, "references": [{"name": "R", "subject": "s"}]}, 42201, "/references/0"),
    ({"schema": ONE, "references": [{"name": "R", "subject": "s", "version": True}]}, 42201, "/references/0"),
    ({"schema": ONE, "references": [{"name": "R", "subject": "\0", "version": 1}]}, 42201, "/references/0"),
    ({"schema": ONE, "references": [{"name": "R", "subject": "no", "version": 1}]}, 42201, "no version 1"),
    ({"schema": ONE, "id": 5}, 42205, "not in import mode"),
    ({"schema": ONE, "id": "5"}, 42201, "member id"),
    ({"schema": ONE, "version": 1.5}, 42201, "member version"),
    (
        {"schema": json.dumps({"type": "record", "name": "R", "fields": [], "doc": "x" * 300_000})},
        42209,
        "too large",
    ),
]


@pytest.mark.parametrize(("body", "number", "words"), BAD)
async def test_a_bad_registration_says_what_and_how_to_mend(
    asker: Asker, subject: str, body: Any, number: int, words: str
) -> None:
    status, code, message = await asker.refused(f"POST /subjects/{subject}/versions", body)
    assert (status, code) == (422, number)
    assert words in message
    assert (await asker.refused(f"GET /subjects/{subject}/versions"))[1] == 40401


async def test_empty_members_of_newer_clients_are_passed_over(asker: Asker, subject: str) -> None:
    more: dict[str, Any] = {"metadata": None, "ruleSet": {}, "id": -1, "version": 0, "schemaTags": ["x"]}
    assert (await asker.register(subject, ONE, **more))["version"] == 1


@pytest.mark.parametrize("name", ["", "%00", "a%0Ab", "%FF", "x" * 513])
async def test_a_subject_that_cannot_be_is_refused_and_found_nowhere(asker: Asker, name: str) -> None:
    write = await asker.refused(f"POST /subjects/{name}/versions", {"schema": ONE})
    read = await asker.refused(f"GET /subjects/{name}/versions")
    assert (write[0], read[0]) in {(422, 404), (404, 404)}
    assert write[1] in {42208, 40401, 404}


async def test_a_registration_that_breaks_the_level_is_a_conflict(asker: Asker, subject: str) -> None:
    await asker.register(subject, ONE)
    status, code, message = await asker.refused(f"POST /subjects/{subject}/versions", {"schema": BROKEN})
    assert (status, code) == (409, 409)
    assert message.startswith("Schema being registered is incompatible with an earlier schema")
    assert "/fields/1" in message


async def test_ids_are_given_in_import_mode(asker: Asker, subject: str) -> None:
    await asker.good(f"PUT /mode/{subject}", {"mode": "IMPORT"})
    schema = record(name=f"Import_{subject[:-6]}")
    made = await asker.register(subject, schema, id=4_000, version=7)
    assert (made["id"], made["version"]) == (4_000, 7)
    assert await asker.register(subject, schema, id=4_000, version=7) == made
    other = {"schema": record(name="Other"), "id": 4_000}
    assert (await asker.refused(f"POST /subjects/{subject}/versions", other))[:2] == (422, 42207)
    assert (await asker.refused(f"POST /subjects/{subject}/versions", {"schema": ONE}))[:2] == (422, 42205)


async def test_what_is_registered_at_once_gets_one_id_and_numbers_without_gaps(
    asker: Asker, subject: str
) -> None:
    async with asyncio.TaskGroup() as tasks:
        same = [tasks.create_task(asker.register(subject, ONE)) for _ in range(8)]
    assert len({json.dumps(one.result()) for one in same}) == 1
    schemas = [record(A, {"name": f"f{n}", "type": "int", "default": n}) for n in range(5)]
    async with asyncio.TaskGroup() as tasks:
        several = [tasks.create_task(asker.register(subject, schema)) for schema in schemas]
    assert sorted(one.result()["version"] for one in several) == [2, 3, 4, 5, 6]
    assert len({one.result()["id"] for one in several}) == 5


async def test_who_changed_what_is_told_and_nothing_of_the_schema(
    asker: Asker, subject: str, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = record(name="Canary")
    made = await asker.register(subject, schema)
    await asker.good(f"PUT /config/{subject}", {"compatibility": "NONE"})
    await asker.good(f"DELETE /subjects/{subject}")
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if subject in line]
    assert len(lines) == 3
    assert all(asker.house.credentials["team"].id in line for line in lines)
    assert f"schema_id={made['id']}" in lines[0]
    assert "Canary" not in said.out + said.err
