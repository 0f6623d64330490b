"""Who may call what of the registry: every route of the table, with every kind of credential and owner."""

import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.http.gates import GATES
from gateway.http.guard import Gate
from partners.api_key import mint
from partners.credential import Role
from tests.builders import House, open_house
from tests.world import OPERATOR, ORDER

REGISTRY = [gate for gate in GATES if gate.side == "registry"]
ROLES: dict[str, Role] = {"acme": "partner", "auditor": "auditor", "team": "team", "operator": "operator"}
OWNERS = ("own", "other", "nobody", "malformed")
OTHER = {**ORDER, "name": "Shipment"}
BODIES = {"config": {"compatibility": "FULL"}, "mode": {"mode": "READWRITE"}}


def name_of(gate: Gate) -> str:
    return f"{gate.method} {gate.path}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("tenancy-registry")
    async with open_house(folder, partners=("acme",)) as opened:
        await opened.world.apply(CONTRACT, {"shipment.avsc": json.dumps(OTHER)}, "globex")
        await opened.issue("globex", "partner", "globex")
        await opened.issue("auditor", "auditor", "acme")
        await opened.issue("narrow", "partner", "globex", scopes=frozenset({"audit"}))
        await opened.issue("narrow operator", "operator", scopes=frozenset({"audit"}))
        await opened.issue("revoked", "partner", "acme")
        await opened.world.parts.administration.revoke_credential(
            opened.credentials["revoked"].id, owner=None, reason="", by=OPERATOR
        )
        opened.keys["stranger"] = mint(secrets.token_bytes)[0]
        async with opened.client("team") as team:
            for subject in ("acme", "globex"):
                path = f"/registry/subjects/partners.{subject}.inbound-value/versions/latest"
                found = (await team.get(path)).json()
                opened.keys[f"id {subject}"], opened.keys[f"guid {subject}"] = str(found["id"]), found["guid"]
        yield opened


CONTRACT = """\
gateway: v1
partner: globex
name: The other company
sends:
  shipment.sent: {schema: shipment.avsc, id: /order_id}
"""


def path_for(house: House, gate: Gate, owner: str) -> str:
    """The path of a route for things of acme (own), globex (other), nobody, or what names nothing."""
    slug = {"own": "acme", "other": "globex"}.get(owner)
    is_malformed = owner == "malformed"
    parts = {
        "subject": f"partners.{slug or 'nobody'}.inbound-value" if not is_malformed else "..%00",
        "version": house.keys[f"id {slug}"] if slug else "1",
        "id": house.keys[f"id {slug}"] if slug else "x" if is_malformed else "999",
        "guid": house.keys[f"guid {slug}"] if slug else "x" if is_malformed else "0" * 32,
        "namespace": "-",
        "name": "topic",
    }
    path = gate.path
    for part, text in parts.items():
        path = path.replace("{" + part + "}", text)
    return path


async def ask(
    house: House, gate: Gate, owner: str, name: str | None, *, private: bool = True
) -> httpx.Response:
    body: dict[str, Any] = BODIES.get(gate.path.split("/")[2] if gate.path != "/registry" else "", {})
    content = json.dumps(body or {"schema": json.dumps(ORDER)})
    async with house.client(name, private=private) as client:
        return await client.request(
            gate.method, path_for(house, gate, owner), content=content if gate.method != "GET" else None
        )


def names_a_thing(gate: Gate) -> bool:
    return any("{" + part in gate.path for part in ("subject", "version", "id}", "guid"))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("gate", REGISTRY, ids=name_of)
async def test_auditors_have_no_part_in_it_and_partners_change_nothing(house: House, gate: Gate) -> None:
    for owner in OWNERS:
        answer = await ask(house, gate, owner, "auditor")
        assert (answer.status_code, answer.json()["error_code"]) == (403, 403)
        if "partner" not in gate.who:
            answer = await ask(house, gate, owner, "acme")
            assert (answer.status_code, answer.json()["error_code"]) == (403, 403)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("gate", [one for one in REGISTRY if "partner" in one.who], ids=name_of)
async def test_what_is_foreign_is_answered_as_what_does_not_exist(house: House, gate: Gate) -> None:
    if not names_a_thing(gate):
        assert (await ask(house, gate, "own", "acme")).status_code in {200, 404}
        return
    own, other, nobody, malformed = [await ask(house, gate, owner, "acme") for owner in OWNERS]
    assert _without_names(other) == _without_names(nobody)
    assert other.status_code == malformed.status_code == 404
    assert own.status_code == (404 if gate.path.endswith("/mode/{subject}") else 200)


def _without_names(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], str]:
    """Status, headers and body, with the same word for each subject, and without the request's id."""
    text = answer.text
    for word in ("partners.globex.inbound-value", "partners.nobody.inbound-value"):
        text = text.replace(word, "it")
    headers = sorted((name, value) for name, value in answer.headers.multi_items() if name != "request-id")
    return answer.status_code, headers, text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("gate", [one for one in REGISTRY if one.scope], ids=name_of)
async def test_without_the_scope_nothing_is_changed_and_nothing_told(house: House, gate: Gate) -> None:
    for name in ("narrow", "narrow operator"):
        answers = [await ask(house, gate, owner, name) for owner in OWNERS]
        assert all(_without_names(one) == _without_names(answers[0]) for one in answers)
        assert (answers[0].status_code, answers[0].json()["error_code"]) == (403, 403)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("gate", REGISTRY, ids=name_of)
@pytest.mark.parametrize("name", [None, "revoked"])
async def test_without_a_credential_in_force_nothing_is_told(
    house: House, gate: Gate, name: str | None
) -> None:
    answers = [await ask(house, gate, owner, name) for owner in OWNERS]
    assert {(one.status_code, one.json()["error_code"]) for one in answers} == {(401, 401)}
    assert all(one.headers["www-authenticate"].startswith("Basic") for one in answers)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("gate", REGISTRY, ids=name_of)
@pytest.mark.parametrize("name", ["team", "operator"])
async def test_our_side_is_let_in_everywhere(house: House, gate: Gate, name: str) -> None:
    answer = await ask(house, gate, "own", name)
    assert answer.status_code not in {401, 403, 405, 406}
    # A contract's subjects are changed by contracts alone.
    if "{subject}" in gate.path and "partner" not in gate.who and gate.method != "POST":
        assert answer.json()["error_code"] == 42205


@pytest.mark.asyncio(loop_scope="module")
async def test_lists_hold_the_callers_own_subjects_only(house: House) -> None:
    async with house.client("acme") as acme, house.client("globex") as globex, house.client("team") as team:
        own, other, both = [(await one.get("/registry/subjects")).json() for one in (acme, globex, team)]
    assert own
    assert other
    assert all(one.startswith("partners.acme.") for one in own)
    assert all(one.startswith("partners.globex.") for one in other)
    assert set(both) >= {*own, *other}


@pytest.mark.asyncio(loop_scope="module")
async def test_the_public_listener_serves_what_partners_may_ask_and_no_change(house: House) -> None:
    async with house.client("operator", private=False) as client:
        for gate in REGISTRY:
            answer = await client.request(gate.method, path_for(house, gate, "own"))
            if "partner" not in gate.who:
                assert answer.status_code in {404, 405}
                assert set(answer.json()) == {"error_code", "message"}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("gate", [one for one in REGISTRY if one.is_public], ids=name_of)
async def test_our_own_side_is_nobody_at_the_public_address(house: House, gate: Gate) -> None:
    for name in ("team", "operator"):
        for owner in OWNERS:
            answer = await ask(house, gate, owner, name, private=False)
            stranger = await ask(house, gate, owner, "stranger", private=False)
            assert answer.status_code == 401
            assert _without_names(answer) == _without_names(stranger)
