"""`dry_run=true` on what changes the registry: the answer of the change, and no change."""

from typing import Any

import pytest

from tests.unit.gateway.http.registry.conftest import Asker, record

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONE = record({"name": "a", "type": "int"})
OTHER = record({"name": "a", "type": "string"})


async def state(asker: Asker, subject: str) -> list[Any]:
    """What there is of a subject, and of the whole."""
    lines = (
        f"GET /subjects/{subject}/versions?deleted=true",
        f"GET /subjects/{subject}/versions",
        f"GET /config/{subject}?defaultToGlobal=true",
        f"GET /mode/{subject}?defaultToGlobal=true",
        "GET /config",
        "GET /mode",
    )
    return [(await asker.ask(line)).json() for line in lines]


async def test_nothing_is_changed_and_the_answer_is_that_of_the_change(asker: Asker, subject: str) -> None:
    made = await asker.register(subject, ONE)
    await asker.good(f"PUT /config/{subject}", {"compatibility": "NONE"})
    await asker.good(f"PUT /mode/{subject}", {"mode": "READWRITE"})
    before = await state(asker, subject)
    lines: tuple[tuple[str, object], ...] = (
        (f"POST /subjects/{subject}/versions", {"schema": OTHER}),
        (f"PUT /config/{subject}", {"compatibility": "FULL"}),
        (f"DELETE /config/{subject}", None),
        (f"PUT /mode/{subject}", {"mode": "READONLY"}),
        (f"DELETE /mode/{subject}", None),
        ("PUT /config", {"compatibility": "FULL"}),
        ("PUT /mode", {"mode": "READONLY"}),
        (f"DELETE /subjects/{subject}/versions/1", None),
        (f"DELETE /subjects/{subject}", None),
    )
    tried = [await asker.good(f"{line}?dry_run=true", body) for line, body in lines]
    assert await state(asker, subject) == before
    assert tried[0]["version"] == made["version"] + 1
    assert tried[1:] == [
        {"compatibility": "FULL"},
        {"compatibilityLevel": "NONE"},
        {"mode": "READONLY"},
        {"mode": "READWRITE"},
        {"compatibility": "FULL"},
        {"mode": "READONLY"},
        1,
        [1],
    ]


async def test_what_would_be_refused_is_refused(asker: Asker, subject: str) -> None:
    await asker.register(subject, ONE)
    line = f"POST /subjects/{subject}/versions"
    assert (await asker.refused(f"{line}?dry_run=true", {"schema": OTHER}))[:2] == (409, 409)
    assert (await asker.refused("DELETE /subjects/nobody?dry_run=true"))[:2] == (404, 40401)
