import pytest

from tests.unit.gateway.http.registry.conftest import Asker, record

pytestmark = pytest.mark.asyncio(loop_scope="module")

A = {"name": "a", "type": "int"}
ONE = record(A)
TWO = record(A, {"name": "b", "type": "int", "default": 0})
BROKEN = record(A, {"name": "c", "type": "string"})


async def test_a_schema_is_compared_with_one_version(asker: Asker, subject: str) -> None:
    await asker.register(subject, ONE)
    await asker.register(subject, TWO)
    for version in ("1", "latest", "-1"):
        path = f"POST /compatibility/subjects/{subject}/versions/{version}?verbose=False&normalize=False"
        assert await asker.good(path, {"schema": TWO}) == {"is_compatible": True}
        assert await asker.good(path, {"schema": BROKEN}) == {"is_compatible": False}


async def test_verbose_says_what_where_and_against_which_version(asker: Asker, subject: str) -> None:
    await asker.register(subject, ONE)
    path = f"POST /compatibility/subjects/{subject}/versions/latest"
    for word in ("true", "True"):
        found = await asker.good(f"{path}?verbose={word}", {"schema": BROKEN})
        assert found["is_compatible"] is False
        told = (
            "The field 'c' at path '/fields/1' in the new schema has no default value and is missing in the "
            "old schema"
        )
        kind = "READER_FIELD_MISSING_DEFAULT_VALUE"
        assert found["messages"] == [
            f"{{errorType:'{kind}', description:'{told}', additionalInfo:'c'}}",
            "{oldSchemaVersion: 1}",
            f"{{oldSchema: '{ONE}'}}",
            "{compatibility: 'BACKWARD'}",
        ]
    assert await asker.good(f"{path}?verbose=true", {"schema": TWO}) == {"is_compatible": True}


async def test_the_level_of_the_subject_decides(asker: Asker, subject: str) -> None:
    await asker.register(subject, ONE)
    path = f"POST /compatibility/subjects/{subject}/versions"
    for level, verdict in (("BACKWARD", False), ("FORWARD", True), ("FULL", False), ("NONE", True)):
        await asker.good(f"PUT /config/{subject}", {"compatibility": level})
        for line in (path, f"{path}/latest"):
            assert await asker.good(line, {"schema": BROKEN}) == {"is_compatible": verdict}


async def test_transitive_levels_ask_every_version(asker: Asker, subject: str) -> None:
    await asker.register(subject, ONE)
    await asker.register(subject, record())
    third = record({"name": "a", "type": "string", "default": ""})
    path = f"POST /compatibility/subjects/{subject}/versions"
    assert await asker.good(path, {"schema": third}) == {"is_compatible": True}
    await asker.good(f"PUT /config/{subject}", {"compatibility": "BACKWARD_TRANSITIVE"})
    found = await asker.good(f"{path}?verbose=true", {"schema": third})
    assert "{oldSchemaVersion: 1}" in found["messages"]


async def test_a_subject_without_versions_lets_anything_in(asker: Asker, subject: str) -> None:
    path = f"POST /compatibility/subjects/{subject}/versions"
    assert await asker.good(path, {"schema": ONE}) == {"is_compatible": True}
    assert (await asker.refused(f"{path}/latest", {"schema": ONE}))[:2] == (404, 40401)


async def test_refusals_are_those_of_the_other_routes(asker: Asker, subject: str) -> None:
    await asker.register(subject, ONE)
    path = f"POST /compatibility/subjects/{subject}/versions"
    assert (await asker.refused(f"{path}/9", {"schema": ONE}))[:2] == (404, 40402)
    assert (await asker.refused(f"{path}/x", {"schema": ONE}))[:2] == (422, 42202)
    for line in (path, f"{path}/1"):
        assert (await asker.refused(line, {"schema": "{"}))[:2] == (422, 42201)
        assert (await asker.refused(line, b"{"))[:2] == (422, 42201)
