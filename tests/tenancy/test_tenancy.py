"""Who may call what: every route of the table, with every kind of credential, for every kind of owner."""

import base64
import json
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from audit.ref import parse_ref
from gateway.bootstrap.ground import clock
from gateway.egress.delivery import format_delivery
from gateway.http.gates import GATES
from gateway.http.guard import Gate
from gateway.rows import DeliveryRow
from partners.api_key import mint
from partners.credential import DAY_MS, Role, Scope
from partners.directory import Directory
from partners.endpoint import house_of
from tests.builders import CONTRACTS, House, open_house
from tests.world import OPERATOR, ORDER

# The registry answers in its own shape: its routes have a matrix of their own beside this one.
GUARDED = [gate for gate in GATES if gate.side not in {"open", "private", "registry"}]
OWNERS = ("own", "other", "unknown", "malformed")
ROLES: dict[str, Role] = {"acme": "partner", "auditor": "auditor", "team": "team", "operator": "operator"}
MALFORMED = "..%00"
KINDS: dict[str, Callable[[str], dict[str, str]]] = {
    "bearer": lambda key: {"Authorization": f"Bearer {key}"},
    "basic": lambda key: {"Authorization": f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"},
}
"""How a credential is shown. A new kind of credential is a new line, and gets the whole matrix."""
NARROW: dict[Scope, str] = {"audit": "bolt", "send": "cedar"}
"""Scopes that a key has alone, and a partner with such a key: of both one is wrong for any route."""

ORDERS = {"order.avsc": json.dumps(ORDER)}
SHIPMENT = {**ORDER, "name": "Shipment"}
OTHERS = CONTRACTS.replace("{slug}", "globex").replace(
    "receives:", "  shipment.sent: {schema: shipment.avsc, id: /order_id}\nreceives:"
)
ADMITTED = {200, 201, 202, 204, 400, 409, 412, 422}
NO_REF = "evt_" + "b" * 51 + "a"
"""Well formed: its last letter has one bit left to hold."""
NO_IMPORT = "imp_" + "b" * 26
NO_DELIVERY = f"dlv_{'b' * 16}_{'b' * 51}a"
NO_REPLAY = "rpl_" + "b" * 26
NO_EXPORT = "exp_" + "b" * 26
NO_ERASURE = "ers_" + "b" * 26
NO_HOLD = "hld_" + "b" * 26
WORD = {
    "deliveries": "delivery",
    "replays": "replay",
    "exports": "export",
    "erasures": "erasure",
    "holds": "hold",
}
NDJSON = {"Content-Type": "application/x-ndjson"}
JOSE = {"Content-Type": "application/jose"}


def name_of(gate: Gate) -> str:
    return f"{gate.method} {gate.path}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("tenancy")
    async with open_house(folder, partners=("acme", "globex", *NARROW.values())) as opened:
        await furnish(opened)
        await opened.issue("auditor", "auditor", "acme")
        for scope, slug in NARROW.items():
            await opened.issue(f"only {scope}", "operator", scopes=frozenset({scope}))
            await opened.issue(f"partner's {scope}", "partner", slug, scopes=frozenset({scope}))
        await opened.issue("revoked", "partner", "acme")
        await opened.world.parts.administration.revoke_credential(
            opened.credentials["revoked"].id, owner=None, reason="", by=OPERATOR
        )
        await opened.issue("short", "auditor", "globex", not_after=clock() + DAY_MS)
        await opened.issue("revoked operator", "operator")
        await opened.world.parts.administration.revoke_credential(
            opened.credentials["revoked operator"].id, owner=None, reason="", by=OPERATOR
        )
        opened.keys["stranger"] = mint(secrets.token_bytes)[0]
        yield opened


async def furnish(opened: House, terms: str = "") -> None:
    """Give acme and globex what `path_for` names. `terms`: more of globex's contract."""
    # A type and a schema that nobody else has: foreign ones must look as if they were not there.
    files = {**ORDERS, "shipment.avsc": json.dumps(SHIPMENT)}
    await opened.world.apply(OTHERS + terms, files, "globex")
    await opened.world.parts.catalog.refresh()
    for slug, event_type in (("acme", "order.placed"), ("globex", "shipment.sent")):
        channel = opened.doors.catalog.current.channel(slug, event_type, "inbound")
        assert channel is not None
        opened.keys[f"schema {slug}"] = str(channel.versions[0].schema_id)
    for slug in ("acme", "globex"):
        async with opened.client(slug) as client:
            sent = await client.post("/v1/events/order.placed", json={"order_id": f"of-{slug}", "qty": 1})
            opened.keys[f"ref {slug}"] = sent.json()["ref"]
            await client.get(f"{sent.headers['location']}/proof?wait=10")
            made = await client.post("/v1/imports", content=b"{}", headers=NDJSON)
            opened.keys[f"import {slug}"] = made.json()["id"]
            hook = await client.post("/v1/endpoints", json={"url": f"https://hooks.{slug}.example/in"})
            opened.keys[f"endpoint {slug}"] = hook.json()["id"]
            held = await client.get(f"/v1/endpoints/{hook.json()['id']}/secrets")
            opened.keys[f"secret {slug}"] = held.json()["items"][0]["id"]
            asked = await client.post("/v1/replays", json={"since": "1h"})
            opened.keys[f"replay {slug}"] = asked.json()["id"]
            exported = await client.post("/v1/exports", json={})
            opened.keys[f"export {slug}"] = exported.json()["id"]
            cursor = (await client.get("/v1/stream")).json()["cursor"]
            for name in ("main", f"of-{slug}"):
                await client.put(f"/v1/stream/consumers/{name}", json={"cursor": cursor})
        opened.keys[f"delivery {slug}"] = owe(opened, slug, f"ep_{slug}")
    async with opened.client("team") as client:
        for slug in ("acme", "globex"):
            cursor = (await client.get(f"/v1/partners/{slug}/stream")).json()["cursor"]
            path = f"/v1/partners/{slug}/stream/consumers/of-{slug}"
            await client.put(path, json={"cursor": cursor})
            ours = f"/v1/partners/{slug}/house-endpoints"
            hook = await client.post(ours, json={"url": f"https://{slug}.desk.example/in"})
            opened.keys[f"house endpoint {slug}"] = hook.json()["id"]
            held = await client.get(f"{ours}/{hook.json()['id']}/secrets")
            opened.keys[f"house secret {slug}"] = held.json()["items"][0]["id"]
            asked = await client.post(f"/v1/partners/{slug}/house-replays", json={"since": "1h"})
            opened.keys[f"house replay {slug}"] = asked.json()["id"]
            opened.keys[f"house delivery {slug}"] = owe(
                opened, slug, opened.keys[f"house endpoint {slug}"], owner=house_of(slug)
            )
    await hold(opened)


async def hold(opened: House) -> None:
    """An erasure that waits for a hold, and that hold, of acme and of globex."""
    async with opened.client("operator") as client:
        for slug in ("acme", "globex"):
            wanted = {"refs": [opened.keys[f"ref {slug}"]], "basis": "case 17"}
            made = await client.post(f"/v1/partners/{slug}/holds", json=wanted)
            opened.keys[f"hold {slug}"] = made.json()["id"]
            wanted["when_held"] = "wait"
            asked = await client.post(f"/v1/partners/{slug}/erasures", json=wanted)
            opened.keys[f"erasure {slug}"] = asked.json()["id"]


def owe(opened: House, slug: str, endpoint: str, owner: str = "") -> str:
    """Let a delivery be parked for an endpoint (of the partner's, where no owner is named); its id."""
    ref = parse_ref(opened.keys[f"ref {slug}"])
    assert ref is not None
    row = DeliveryRow(
        endpoint=endpoint,
        ref=ref,
        partner=owner or slug,
        source="/house",
        event_id=f"of-{slug}",
        event_type="order.accepted",
        topic=f"partners.{slug}.outbound",
        topic_id="none",
        partition=0,
        offset=0,
        payload=b"{}",
        schema_id=1,
        attempts=1,
        next_at=0,
        state="parked",
        reason="timed_out",
        created_at=0,
        updated_at=0,
    )
    with opened.world.parts.ground.database.begin() as session:
        session.add(row)
    return format_delivery(endpoint, ref)


def path_for(house: House, gate: Gate, owner: str) -> str:
    """The path of a route for things of acme (own), globex (other), nobody, or no legal name."""
    slug = {"own": "acme", "other": "globex"}.get(owner)
    directory = house.doors.catalog.current.directory
    partner = None if slug is None else directory.partner(slug)
    missing = MALFORMED if owner == "malformed" else "nobody"
    parts = {
        "p": slug or missing,
        "ref": house.keys[f"ref {slug}"] if slug else (NO_REF if owner == "unknown" else MALFORMED),
        "type": {"own": "order.placed", "other": "shipment.sent"}.get(owner, missing),
        "id": house.credentials[slug].id if slug else missing,
        "name": partner.log if partner else missing,
        "revision": revision_of(directory, slug) if slug else ("999" if owner == "unknown" else MALFORMED),
        "consumer": f"of-{slug}" if slug else missing,
        "epoch": "1",
        "rest:path": "0/000.p/1",
        "index": "0",
        "code": "not_found",
        "n": "0",
        # Ours: nobody else's are there.
        "purpose": "webhook",
        "kid": house.doors.keys().webhooks[0].key_id,
    }
    if "schemas" in gate.path:
        parts["id"] = house.keys[f"schema {slug}"] if slug else ("999" if owner == "unknown" else MALFORMED)
    if "imports" in gate.path:
        unknown = NO_IMPORT if owner == "unknown" else MALFORMED
        parts["id"] = house.keys[f"import {slug}"] if slug else unknown
    nobody_s = {
        "deliveries": NO_DELIVERY,
        "replays": NO_REPLAY,
        "exports": NO_EXPORT,
        "erasures": NO_ERASURE,
        "holds": NO_HOLD,
    }
    for kind, none in nobody_s.items():
        if kind in gate.path:
            unknown = none if owner == "unknown" else MALFORMED
            parts["id"] = house.keys[f"{WORD[kind]} {slug}"] if slug else unknown
    if "house-deliveries" in gate.path and slug:
        parts["id"] = house.keys[f"house delivery {slug}"]
    if "house-replays" in gate.path and slug:
        parts["id"] = house.keys[f"house replay {slug}"]
    if "endpoints" in gate.path:
        parts["id"] = house.keys[f"endpoint {slug}"] if slug else missing
        parts["sid"] = house.keys[f"secret {slug}"] if slug else missing
    if "house-endpoints" in gate.path:
        parts["id"] = house.keys[f"house endpoint {slug}"] if slug else missing
        parts["sid"] = house.keys[f"house secret {slug}"] if slug else missing
    path = gate.path
    for part, text in parts.items():
        path = path.replace("{" + part + "}", text)
    is_whole = "{" not in path or gate.side == "registry"
    assert is_whole, f"{path}: say here what its part is for each owner"
    return path


def revision_of(directory: Directory, slug: str) -> str:
    """The newest: globex has one more than any other partner."""
    contract = directory.contract(slug)
    assert contract is not None
    return str(contract.revision)


async def ask(
    house: House, gate: Gate, owner: str, name: str | None, kind: str = "bearer", *, private: bool = True
) -> httpx.Response:
    content = json.dumps({"order_id": "tenancy", "qty": 1}) if "events" in gate.path else "{}"
    shown = {} if name is None else KINDS[kind](house.keys[name])
    async with house.client(private=private) as client:
        return await client.request(
            gate.method,
            path_for(house, gate, owner),
            content=content if gate.method in {"PATCH", "POST", "PUT"} else None,
            headers={**media_of(gate), **shown},
            params={"dry_run": "true"} if "dry_run" in gate.offered else None,
        )


def media_of(gate: Gate) -> dict[str, str]:
    """The media type of what is sent there."""
    if gate.path.endswith("/ack"):
        return JOSE
    return NDJSON if "imports" in gate.path else {"Content-Type": "application/json"}


def names_a_thing(gate: Gate) -> bool:
    """Whether the path names something that may be another's."""
    return any("{" + part in gate.path for part in ("ref", "name", "id", "type", "revision", "consumer"))


def makes_by_name(gate: Gate) -> bool:
    """Whether it makes what its path names, if that is nobody's: each party has names of its own."""
    return gate.method == "PUT" and gate.path.endswith("/consumers/{consumer}")


def said(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], str]:
    """Status, headers and body, byte for byte but for the id of the request."""
    request_id = answer.headers["request-id"]
    headers = sorted((name, text) for name, text in answer.headers.multi_items() if name != "request-id")
    return answer.status_code, headers, answer.text.replace(request_id, "")


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
    is_event = gate.path.endswith("/events/{type}")  # an unknown type is a fault of the event: 422
    if (is_event or makes_by_name(gate)) and gate.side == "own":
        return ADMITTED | ({404} if owner == "malformed" else set())
    if gate.side == "named" or names_a_thing(gate):
        is_foreign = owner == "other" and is_partners and names_a_thing(gate)
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
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gate", GUARDED, ids=name_of)
async def test_without_a_credential_in_force_nothing_is_told(house: House, gate: Gate, kind: str) -> None:
    later = replace(house, doors=replace(house.doors, clock=lambda: clock() + 2 * DAY_MS))
    for name, code in (
        (None, "credential_missing"),
        ("revoked", "credential_revoked"),
        ("short", "credential_expired"),
    ):
        answers = [await ask(later, gate, owner, name, kind) for owner in OWNERS]
        assert all(said(one) == said(answers[0]) for one in answers)
        assert (answers[0].status_code, answers[0].json()["code"]) == (401, code)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("gate", [gate for gate in GUARDED if gate.scope], ids=name_of)
async def test_without_the_scope_nothing_is_told(house: House, gate: Gate) -> None:
    own_side = "partner's" if gate.side in {"own", "log"} else "only"
    wrong = [scope for scope in NARROW if scope != gate.scope]
    owners = OWNERS if own_side == "partner's" or gate.side == "new" else ("own", "other")
    for name in (f"{own_side} {scope}" for scope in wrong):
        answers = [await ask(house, gate, owner, name) for owner in owners]
        assert all(said(one) == said(answers[0]) for one in answers)
        assert (answers[0].status_code, answers[0].json()["code"]) == (403, "scope_missing")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["acme", "auditor"])
@pytest.mark.parametrize(
    "gate", [gate for gate in GUARDED if "{" in gate.path and not makes_by_name(gate)], ids=name_of
)
async def test_foreign_unknown_and_malformed_are_answered_alike(
    house: House, gate: Gate, name: str, kind: str
) -> None:
    # A type that can be none is a fault of the event that is sent, whoever has which types.
    is_event = gate.path.endswith("/events/{type}") and name == "acme" and gate.side == "own"
    owners = ("other", "unknown") if is_event else ("other", "unknown", "malformed")
    answers = [await ask(house, gate, owner, name, kind) for owner in owners]
    assert all(said(one) == said(answers[0]) for one in answers)
    assert answers[0].status_code in {403, 404, 422}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("gate", [gate for gate in GUARDED if gate.side == "named"], ids=name_of)
async def test_partners_that_do_not_exist_are_answered_alike(house: House, gate: Gate) -> None:
    for name in ("team", "operator"):
        unknown, malformed = [await ask(house, gate, owner, name) for owner in ("unknown", "malformed")]
        assert said(unknown) == said(malformed)


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


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gate", [gate for gate in GUARDED if gate.is_public], ids=name_of)
async def test_our_own_side_is_nobody_at_the_public_address(house: House, gate: Gate, kind: str) -> None:
    for name in ("team", "operator", "revoked operator"):
        for owner in OWNERS:
            answer = await ask(house, gate, owner, name, kind, private=False)
            stranger = await ask(house, gate, owner, "stranger", kind, private=False)
            assert (answer.status_code, answer.json()["code"]) == (401, "credential_invalid")
            assert said(answer) == said(stranger)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_operators_key_makes_and_revokes_nothing_at_the_public_address(house: House) -> None:
    async with house.client("operator", private=False) as client:
        assert (await client.post("/v1/credentials", json={"role": "operator"})).status_code == 401
        path = f"/v1/credentials/{house.credentials['globex'].id}"
        assert (await client.delete(path)).status_code == 401
    for private in (False, True):
        async with house.client("globex", private=private) as client:
            assert (await client.get("/v1/me")).status_code == 200


@pytest.mark.parametrize("gate", GATES, ids=name_of)
def test_every_route_declares_who_may_call_it(gate: Gate) -> None:
    assert bool(gate.who) == (gate.side not in {"open", "private"})
    if gate.method != "GET":
        assert gate.scope is not None
