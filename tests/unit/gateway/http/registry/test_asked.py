"""Whatever is asked, the answer has a shape that clients know, and nothing of ours breaks."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.http.gates import GATES
from gateway.http.registry.asked import plain_subject
from schemas.refusal import RegistryError
from tests.unit.gateway.http.registry.conftest import Asker

REGISTRY = [gate for gate in GATES if gate.side == "registry"]
WORDS = st.text(max_size=12) | st.sampled_from(
    ["latest", "-1", "1", "a/b", ":.:a", ":.c:a", "a-value", "\x00"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = (
    "schema", "schemaType", "references", "metadata", "ruleSet", "id", "version", "mode", "compatibility",
)  # fmt: skip
MEMBERS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON))
QUERY = st.dictionaries(
    st.sampled_from(["normalize", "deleted", "permanent", "limit", "offset", "subject", "verbose", "format"]),
    st.text(max_size=6) | st.sampled_from(["True", "false", "-1", "1"]),
    max_size=3,
)


@pytest.mark.asyncio(loop_scope="module")
async def test_no_request_breaks_the_shape_of_answers(asker: Asker) -> None:
    loop = asyncio.get_running_loop()

    @settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
    @given(gate=st.sampled_from(REGISTRY), words=st.lists(WORDS, min_size=3, max_size=3), body=MEMBERS | JSON,
           query=QUERY)  # fmt: skip
    def ask(gate: Any, words: list[str], body: Any, query: dict[str, str]) -> None:
        path = gate.path.removeprefix("/registry")
        for name, word in zip(("subject", "version", "id"), words, strict=True):
            path = path.replace("{" + name + "}", quote(word, safe=""))
        content = json.dumps(body).encode("utf-8", "surrogatepass")
        asked = asker.ask(f"{gate.method} {path}", content, by="operator", params=query)
        answer = asyncio.run_coroutine_threadsafe(asked, loop).result(30)
        assert answer.status_code < 500, answer.text
        if answer.status_code != 200:
            assert set(answer.json()) == {"error_code", "message"}

    await loop.run_in_executor(None, ask)
    await asker.good("DELETE /mode")
    await asker.good("DELETE /config")
    assert asker.house.notices == []


@pytest.mark.parametrize(("text", "subject"), [("a", "a"), (":.:a", "a"), (":.::a", ":a"), (":a", ":a")])
def test_the_default_context_is_taken_away(text: str, subject: str) -> None:
    assert plain_subject(text) == subject


@pytest.mark.parametrize("text", [":.c:a", ":.", ":.c", ":.c:"])
def test_other_contexts_hold_nothing(text: str) -> None:
    with pytest.raises(RegistryError) as unknown:
        plain_subject(text)
    assert unknown.value.number == 40401
