"""Who may call what: every route of the table, with every kind of credential, for every kind of owner."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from gateway.bootstrap.ground import clock
from gateway.http.gates import GATES
from gateway.http.guard import Gate
from partners.credential import DAY_MS, Role
from tests.builders import House, open_house
from tests.world import OPERATOR

# The registry answers in its own shape: its routes have a matrix of their own beside this one.
GUARDED = [gate for gate in GATES if gate.side not in {"open", "private", "registry"}]
OWNERS = ("own", "other", "unknown", "malformed")
ROLES: dict[str, Role] = {"acme": "partner", "auditor": "auditor", "team": "team", "operator": "operator"}
MALFORMED = "..%00"
ADMITTED = {200, 201, 400, 409, 412, 422}
NO_REF = "evt_" + "b" * 52


def name_of(gate: Gate) -> str:
    return f"{gate.method} {gate.path}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("tenancy")
    async with open_house(folder, partners=("acme", "globex")) as opened:
        await opened.issue("auditor", "auditor", "acme")
        await opened.issue("revoked", "partner", "acme")
        await opened.world.parts.administration.revoke_credential(
            opened.credentials["revoked"].id, owner=None, reason="", by=OPERATOR
        )
        await opened.issue("short", "auditor", "globex", not_after=clock() + DAY_MS)
        for slug in ("acme", "globex"):
            async with opened.client(slug) as client:
                sent = await client.post("/v1/events/order.placed", json={"order_id": f"of-{slug}", "qty": 1})
                opened.keys[f"ref {slug}"] = sent.json()["ref"]
                await client.get(f"{sent.headers['location']}/proof?wait=10")
        yield opened


def path_for(house: House, gate: Gate, owner: str) -> str:
    """The path of a route for things of acme (own), globex (other), nobody, or no legal name."""
    slug = {"own": "acme", "other": "globex"}.get(owner)
    directory = house.doors.catalog.current.directory
    partner = None if slug is None else directory.partner(slug)
    missing = MALFORMED if owner == "malformed" else "nobody"
    parts = {
        "p": slug or missing,
        "ref": house.keys[f"ref {slug}"] if slug else (NO_REF if owner == "unknown" else MALFORMED),
        "type": "order.placed" if slug else missing,
        "id": house.credentials[slug].id if slug else missing,
        "name": partner.log if partner else missing,
        "epoch": "1",
        "rest:path": "0/000.p/1",
    }
    if "schemas" in gate.path:
        parts["id"] = "1" if slug else ("999" if owner == "unknown" else MALFORMED)
    path = gate.path
    for part, text in parts.items():
        path = path.replace("{" + part + "}", text)
    return path


async def ask(house: House, gate: Gate, owner: str, name: str | None) -> httpx.Response:
    content = json.dumps({"order_id": "tenancy", "qty": 1}) if "events" in gate.path else "{}"
    async with house.client(name) as client:
        return await client.request(
            gate.method,
            path_for(house, gate, owner),
            content=content if gate.method in {"PATCH", "POST", "PUT"} else None,
            headers={"Content-Type": "application/json"},
            params={"dry_run": "true"} if "dry_run" in gate.offered else None,
        )


def names_a_thing(gate: Gate) -> bool:
    """Whether the path names something that may be another's."""
    return any("{" + part in gate.path for part in ("ref", "name", "id"))


def expected(gate: Gate, owner: str, name: str) -> set[int]:
    """The statuses that are right; of an admitted request any but 401, 403 and 404."""
    role = ROLES[name]
    is_partners = role in {"partner", "auditor"}
    is_real = owner in {"own", "other"}
    if gate.side in {"named", "new"} and is_partners:
        return {404}
    if role not in gate.who:
        return {403}
    if gate.side == "new":
        return ADMITTED
    if gate.side == "named" or names_a_thing(gate) or "/types/" in gate.path:
        is_foreign = owner == "other" and is_partners and names_a_thing(gate) and "schemas" not in gate.path
        return ADMITTED if is_real and not is_foreign else {404}
    return ADMITTED


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("gate", GUARDED, ids=name_of)
async def test_each_role_gets_its_own_and_nothing_else(house: House, gate: Gate) -> None:
    # What is deleted for good is missing in the next test: such a route is asked for what nobody has.
    is_lasting = gate.method == "DELETE" and "dry_run" not in gate.offered
    owners = ("unknown", "malformed") if is_lasting else OWNERS
    wrong = []
    for name in ROLES:
        for owner in owners:
            answer = await ask(house, gate, owner, name)
            if answer.status_code not in expected(gate, owner, name):
                wrong.append((name, owner, answer.status_code, answer.text[:200]))
    assert wrong == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("gate", GUARDED, ids=name_of)
async def test_without_a_credential_in_force_nothing_is_told(house: House, gate: Gate) -> None:
    later = replace(house, doors=replace(house.doors, clock=lambda: clock() + 2 * DAY_MS))
    for name, code in (
        (None, "credential_missing"),
        ("revoked", "credential_revoked"),
        ("short", "credential_expired"),
    ):
        answers = [await ask(later, gate, owner, name) for owner in OWNERS]
        assert {(one.status_code, one.json()["code"]) for one in answers} == {(401, code)}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("gate", [gate for gate in GUARDED if names_a_thing(gate)], ids=name_of)
async def test_foreign_unknown_and_malformed_are_answered_alike(house: House, gate: Gate) -> None:
    owners = ("unknown", "malformed") if "schemas" in gate.path else ("other", "unknown", "malformed")
    documents = []
    for owner in owners:
        document = (await ask(house, gate, owner, "acme")).json()
        del document["request_id"]
        documents.append(document)
    assert all(one == documents[0] for one in documents)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_partner_cannot_revoke_or_see_a_foreign_credential(house: House) -> None:
    foreign = house.credentials["globex"].id
    async with house.client("acme") as client:
        assert (await client.delete(f"/v1/credentials/{foreign}")).status_code == 404
        assert (await client.get(f"/v1/credentials/{foreign}")).status_code == 404
    async with house.client("globex") as client:
        assert (await client.get("/v1/me")).status_code == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_the_public_application_has_no_way_in_for_our_side(house: House) -> None:
    async with house.client("operator", private=False) as client:
        for gate in GATES:
            answer = await client.request(gate.method, path_for(house, gate, "own"))
            if gate.side in {"named", "new", "house", "private"}:
                assert (answer.status_code, answer.json()["detail"]) in {
                    (404, "There is no such path."),
                    (405, "This path takes GET."),
                }


@pytest.mark.parametrize("gate", GATES, ids=name_of)
def test_every_route_declares_who_may_call_it(gate: Gate) -> None:
    assert bool(gate.who) == (gate.side not in {"open", "private"})
    if gate.method != "GET":
        assert gate.scope is not None
