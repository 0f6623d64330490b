import pytest

from tests.unit.gateway.http.registry.conftest import Asker, record

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONE = record({"name": "a", "type": "int"})
LEVELS = (
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE",
)  # fmt: skip


async def test_the_level_of_the_whole_is_told_under_one_key_and_set_under_another(asker: Asker) -> None:
    assert await asker.good("GET /config") == {"compatibilityLevel": "BACKWARD"}
    assert await asker.good("PUT /config", {"compatibility": "FULL"}) == {"compatibility": "FULL"}
    assert await asker.good("GET /config") == {"compatibilityLevel": "FULL"}
    assert await asker.good("DELETE /config") == {"compatibilityLevel": "FULL"}
    assert await asker.good("DELETE /config") == {"compatibilityLevel": "BACKWARD"}


@pytest.mark.parametrize("level", LEVELS)
async def test_a_subject_has_each_of_the_levels(asker: Asker, subject: str, level: str) -> None:
    body = {"compatibility": level.lower()}
    assert await asker.good(f"PUT /config/{subject}", body) == {"compatibility": level}
    assert await asker.good(f"GET /config/{subject}") == {"compatibilityLevel": level}
    assert await asker.good(f"DELETE /config/{subject}") == {"compatibilityLevel": level}


async def test_a_subject_without_a_level_of_its_own_has_the_wholes_only_if_asked(
    asker: Asker, subject: str
) -> None:
    await asker.register(subject, ONE)
    assert (await asker.refused(f"GET /config/{subject}"))[:2] == (404, 40408)
    shown = await asker.good(f"GET /config/{subject}?defaultToGlobal=True")
    assert shown == {"compatibilityLevel": "BACKWARD"}
    assert (await asker.refused(f"DELETE /config/{subject}"))[:2] == (404, 40408)
    assert (await asker.refused("DELETE /config/nobody"))[:2] == (404, 40401)


@pytest.mark.parametrize(
    "body",
    [{}, {"compatibility": "ANY"}, {"compatibility": None}, {"compatibility": 1}, [], b"{",
     {"compatibility": "FULL", "compatibilityGroup": "x"}, {"compatibility": "FULL", "alias": "y"}],
)  # fmt: skip
async def test_what_is_no_level_is_refused(asker: Asker, subject: str, body: object) -> None:
    for path in ("/config", f"/config/{subject}"):
        assert (await asker.refused(f"PUT {path}", body))[:2] == (422, 42203)
    assert await asker.good("GET /config") == {"compatibilityLevel": "BACKWARD"}


async def test_the_mode_of_the_whole(asker: Asker) -> None:
    assert await asker.good("GET /mode") == {"mode": "READWRITE"}
    assert await asker.good("PUT /mode?force=False", {"mode": "READONLY"}) == {"mode": "READONLY"}
    assert (await asker.refused("POST /subjects/a-value/versions", {"schema": ONE}))[:2] == (422, 42205)
    assert await asker.good("DELETE /mode") == {"mode": "READONLY"}
    assert await asker.good("GET /mode") == {"mode": "READWRITE"}


async def test_the_mode_of_a_subject(asker: Asker, subject: str) -> None:
    assert (await asker.refused(f"GET /mode/{subject}"))[:2] == (404, 40409)
    assert await asker.good(f"GET /mode/{subject}?defaultToGlobal=true") == {"mode": "READWRITE"}
    assert await asker.good(f"PUT /mode/{subject}?force=True", {"mode": "readonly"}) == {"mode": "READONLY"}
    assert await asker.good(f"GET /mode/{subject}") == {"mode": "READONLY"}
    await asker.refused(f"POST /subjects/{subject}/versions", {"schema": ONE})
    assert await asker.good(f"DELETE /mode/{subject}") == {"mode": "READONLY"}
    assert (await asker.refused(f"DELETE /mode/{subject}"))[:2] == (404, 40401)
    await asker.register(subject, ONE)
    assert (await asker.refused(f"DELETE /mode/{subject}"))[:2] == (404, 40409)


async def test_read_only_of_the_whole_may_override_every_subject(asker: Asker, subject: str) -> None:
    await asker.good(f"PUT /mode/{subject}", {"mode": "READWRITE"})
    await asker.good("PUT /mode", {"mode": "READONLY_OVERRIDE"})
    try:
        shown = await asker.good(f"GET /mode/{subject}?defaultToGlobal=true")
        assert shown == {"mode": "READONLY_OVERRIDE"}
        refused = await asker.refused(f"POST /subjects/{subject}/versions", {"schema": ONE})
        assert refused[:2] == (422, 42205)
    finally:
        await asker.good("DELETE /mode")


@pytest.mark.parametrize("body", [{}, {"mode": "FORWARD"}, {"mode": "any"}, {"mode": 1}, [], b""])
async def test_what_is_no_mode_is_refused(asker: Asker, subject: str, body: object) -> None:
    assert (await asker.refused(f"PUT /mode/{subject}", body))[:2] == (422, 42204)


async def test_imports_begin_where_nothing_is_unless_that_is_meant(asker: Asker, subject: str) -> None:
    await asker.register(subject, ONE)
    for path in ("/mode", f"/mode/{subject}"):
        assert (await asker.refused(f"PUT {path}?force=false", {"mode": "IMPORT"}))[:2] == (422, 42205)
    assert await asker.good(f"PUT /mode/{subject}?force=TRUE", {"mode": "IMPORT"}) == {"mode": "IMPORT"}


async def test_a_subject_that_is_deleted_loses_its_level(asker: Asker, subject: str) -> None:
    await asker.register(subject, ONE)
    await asker.good(f"PUT /config/{subject}", {"compatibility": "NONE"})
    await asker.good(f"DELETE /subjects/{subject}")
    assert (await asker.refused(f"GET /config/{subject}"))[:2] == (404, 40408)


async def test_a_subject_that_cannot_be_gets_no_level(asker: Asker) -> None:
    refused = await asker.refused("PUT /config/%00", {"compatibility": "NONE"})
    assert refused[:2] == (422, 42208)
