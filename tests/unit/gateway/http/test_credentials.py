import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert

from gateway.bootstrap.ground import clock
from gateway.instants import format_instant
from partners.credential import DAY_MS
from partners.issuing import MAX_ENDED
from partners.rows import CredentialRow
from partners.stored_credential import columns_of
from tests.builders import House, open_house
from tests.certificates import certified


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


def ids(answer: httpx.Response) -> list[str]:
    return [one["id"] for one in answer.json()["items"]]


async def test_a_key_is_shown_once_works_and_ends_when_revoked(house: House) -> None:
    async with house.client("acme") as client:
        made = await client.post("/v1/credentials", json={"name": "next", "expires_at": "30d"})
        shown = await client.get(made.headers["location"])
        house.keys["next"] = made.json()["secret"]
        async with house.client("next") as other:
            assert (await other.get("/v1/me")).json()["credential"]["name"] == "next"
            revoked = await client.delete(made.headers["location"])
            again = await client.delete(made.headers["location"])
            ended = await other.get("/v1/me")
    assert made.status_code == 201
    assert "secret" not in shown.json()
    assert (revoked.status_code, revoked.json()["state"], again.json()) == (200, "revoked", revoked.json())
    assert (ended.status_code, ended.json()["code"]) == (401, "credential_revoked")


async def test_a_partner_gives_no_more_than_it_has(house: House) -> None:
    await house.issue("narrow", "partner", "acme", scopes=frozenset({"manage", "audit"}))
    async with house.client("operator") as operator:
        await operator.delete(f"/v1/credentials/{house.credentials['acme'].id}")
    async with house.client("narrow") as client:
        wide = await client.post("/v1/credentials", json={"scopes": ["send"]})
        team = await client.post("/v1/credentials", json={"role": "operator"})
        same = await client.post("/v1/credentials", json={"role": "auditor"})
        usual = await client.post("/v1/credentials", json={})
    assert (wide.status_code, wide.json()["code"]) == (403, "scope_missing")
    assert (team.status_code, team.json()["code"]) == (400, "parameter_invalid")
    assert same.json()["scopes"] == ["audit"]
    assert usual.json()["scopes"] == ["audit", "manage"]


async def test_our_own_side_gives_no_more_than_it_has(house: House) -> None:
    await house.issue("narrow", "operator", scopes=frozenset({"manage", "audit"}))
    theirs, ours = "/v1/partners/acme/credentials", "/v1/credentials"
    async with house.client("narrow") as client:
        wide = [
            await client.post(ours, json={"role": "operator", "scopes": ["manage", "send"]}),
            await client.post(theirs, json={"scopes": ["receive"]}),
            await client.post(f"{theirs}?dry_run=true", json={"scopes": ["receive"]}),
        ]
        usual = [
            await client.post(ours, json={"role": "operator"}),
            await client.post(ours, json={"role": "team"}),
            await client.post(theirs, json={}),
        ]
    assert [(one.status_code, one.json()["code"]) for one in wide] == [(403, "scope_missing")] * 3
    assert [one.json()["scopes"] for one in usual] == [["audit", "manage"], ["audit"], ["audit", "manage"]]


async def test_a_credential_makes_none_that_outlives_it_but_its_own_successor(house: House) -> None:
    ends = clock() + 10 * DAY_MS
    await house.issue("short", "partner", "acme", not_after=ends)
    async with house.client("short") as client:
        longer = await client.post("/v1/credentials", json={"role": "auditor", "expires_at": "11d"})
        usual = await client.post("/v1/credentials", json={"role": "auditor"})
        shorter = await client.post("/v1/credentials", json={"role": "auditor", "expires_at": "9d"})
        hook = await client.post("/v1/credentials", json={"kind": "webhook_secret"})
        async with house.client("operator") as operator:
            await operator.delete(f"/v1/credentials/{house.credentials['acme'].id}")
        successor = await client.post("/v1/credentials", json={"name": "short", "expires_at": "30d"})
    assert (longer.status_code, longer.json()["code"]) == (400, "parameter_invalid")
    assert format_instant(ends) in longer.json()["detail"]
    assert usual.json()["expires_at"] == hook.json()["expires_at"] == format_instant(ends)
    assert shorter.json()["expires_at"] < format_instant(ends)
    assert successor.status_code == 201
    assert successor.json()["expires_at"] > format_instant(ends)


async def test_what_an_operator_makes_for_a_partner_ends_by_the_partners_terms(house: House) -> None:
    await house.issue("leaving", "operator", not_after=clock() + DAY_MS)
    async with house.client("leaving") as client:
        theirs = await client.post(
            "/v1/partners/acme/credentials", json={"role": "auditor", "expires_at": "1y"}
        )
        ours = await client.post("/v1/credentials", json={"role": "team", "expires_at": "1y"})
    assert (theirs.status_code, ours.status_code) == (201, 400)


async def test_a_role_that_shares_no_scope_with_the_caller_is_not_given(house: House) -> None:
    await house.issue("keeper", "operator", scopes=frozenset({"manage"}))
    async with house.client("keeper") as client:
        answer = await client.post("/v1/credentials", json={"role": "team"})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert "manage" in answer.json()["detail"]


async def test_a_dry_run_tells_what_would_be_made_and_makes_nothing(house: House) -> None:
    async with house.client("acme") as client:
        before = ids(await client.get("/v1/credentials"))
        dry = await client.post("/v1/credentials?dry_run=true", json={"name": "next", "scopes": ["send"]})
        after = ids(await client.get("/v1/credentials"))
    assert dry.status_code == 200
    assert {name: dry.json()[name] for name in ("name", "scopes", "state", "dry_run")} == {
        "name": "next",
        "scopes": ["send"],
        "state": "active",
        "dry_run": True,
    }
    assert not {"secret", "id"} & dry.json().keys()
    assert "location" not in dry.headers
    assert after == before


async def test_a_dry_run_is_refused_as_the_real_one_would_be(house: House) -> None:
    async with house.client("acme") as client:
        wrong = await client.post("/v1/credentials?dry_run=true", json={"role": "operator"})
        await client.post("/v1/credentials", json={})
        third = await client.post("/v1/credentials?dry_run=true", json={})
        foreign = await client.delete("/v1/credentials/crd_none?dry_run=true")
        unclear = await client.delete(f"/v1/credentials/{house.credentials['acme'].id}?dry_run=yes")
        assert (await client.get("/v1/me")).status_code == 200
    codes = [one.json()["code"] for one in (wrong, third, foreign, unclear)]
    assert codes == ["parameter_invalid", "limit_reached", "not_found", "parameter_invalid"]


async def test_a_dry_run_of_revoking_leaves_the_key_in_force(house: House) -> None:
    path = f"/v1/partners/acme/credentials/{house.credentials['acme'].id}"
    async with house.client("operator") as operator:
        dry = await operator.delete(f"{path}?dry_run=true&reason=leaked")
        shown = await operator.get(path)
    async with house.client("acme") as client:
        assert (await client.get("/v1/me")).status_code == 200
    assert (dry.status_code, dry.json()["state"], dry.json()["dry_run"]) == (200, "revoked", True)
    assert (shown.json()["state"], shown.json()["revoked_at"]) == ("active", None)


async def test_scopes_restrict_routes(house: House) -> None:
    await house.issue("reader", "partner", "acme", scopes=frozenset({"receive"}))
    async with house.client("reader") as client:
        stream = await client.get("/v1/stream")
        sent = await client.post("/v1/events/order.placed", json={"order_id": "1", "qty": 1})
        history = await client.get("/v1/history")
    assert (stream.status_code, sent.status_code, history.status_code) == (200, 403, 403)
    assert "send" in sent.json()["detail"]


MISFITS: list[dict[str, object]] = [
    {"kind": "certificate"},
    {"kind": "password"},
    {"kind": ["api_key"]},
    {"kind": "certificate", "certificate": 7},
    {"kind": "certificate", "certificate": "x", "ca": "y", "uri": "z"},
    {"kind": "certificate", "ca": "x"},
    {"kind": "certificate", "public_key": "x"},
    {"kind": "public_key"},
    {"kind": "public_key", "public_key": []},
    {"kind": "webhook_secret", "secret": "x"},
    {"kind": "webhook_secret", "secret": "x", "public_key": "y"},
    {"kind": "webhook_secret", "scopes": ["audit"]},
    {"kind": "webhook_secret", "role": "auditor"},
    {"kind": "api_key", "name": "contract"},
    {"role": "boss"},
    {"role": ["partner"]},
    {"name": "a\nb"},
    {"name": "x" * 101},
    {"scopes": []},
    {"scopes": "send"},
    {"scopes": ["everything"]},
    {"scopes": [{}]},
    {"expires_at": "soon"},
    {"expires_at": 7},
    {"expires_at": "2000-01-01T00:00:00Z"},
    {"expires_at": "9999d"},
    {"secret": "x"},
]


async def test_members_that_do_not_fit_are_refused(house: House) -> None:
    async with house.client("acme") as client:
        for body in MISFITS:
            answer = await client.post("/v1/credentials", json=body)
            assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid"), body


async def test_a_third_active_key_is_too_many(house: House) -> None:
    async with house.client("acme") as client:
        second = await client.post("/v1/credentials", json={})
        third = await client.post("/v1/credentials", json={})
    assert (second.status_code, third.status_code) == (201, 409)
    assert third.json()["code"] == "limit_reached"


async def test_our_own_keys_are_listed_apart(house: House) -> None:
    async with house.client("operator") as client:
        ours = await client.get("/v1/credentials")
        theirs = await client.get("/v1/partners/acme/credentials")
        made = await client.post("/v1/credentials", json={"role": "team", "name": "billing"})
        unsaid = await client.post("/v1/credentials", json={"name": "billing"})
    assert {one["partner"] for one in ours.json()["items"]} == {None}
    assert {one["partner"] for one in theirs.json()["items"]} == {"acme"}
    assert (made.status_code, made.json()["role"]) == (201, "team")
    assert unsaid.json()["code"] == "parameter_invalid"


async def test_a_body_in_another_charset_is_refused(house: House) -> None:
    headers = {"Content-Type": "application/json; charset=utf-16"}
    async with house.client("acme") as client:
        answer = await client.post("/v1/credentials", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")
    assert answer.headers["accept-post"] == "application/json"
    assert "charset" in answer.json()["detail"]


LEAF = certified(begins=datetime(2026, 1, 1, tzinfo=UTC), days=3_000)


async def test_every_kind_is_made_and_shown_by_what_identifies_it(house: House) -> None:
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    pinned = {"kind": "certificate", "certificate": LEAF.pem}
    wanted: list[dict[str, object]] = [
        {"kind": "public_key", "public_key": jwk},
        {"kind": "webhook_secret"},
        {"kind": "webhook_secret", "secret": "whsec_c2VjcmV0LW9mLWEtc2VuZGVyLW9mLXdlYmhvb2tzLi4="},
    ]
    async with house.client("operator") as client:
        made = [await client.post("/v1/partners/acme/credentials", json=pinned)]
    async with house.client("acme") as client:
        refused = await client.post("/v1/credentials", json=pinned)
        made += [await client.post("/v1/credentials", json=body) for body in wanted]
        paths = [one.headers["location"].replace("/partners/acme", "") for one in made]
        shown = [(await client.get(path)).json() for path in paths]
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert [one.status_code for one in made] == [201] * 4
    assert [one.json().get("secret", "-")[:6] for one in made] == ["-", "-", "whsec_", "-"]
    assert (shown[0]["sha256"], shown[0]["expires_at"] < "2028") == (LEAF.sha256, True)
    assert (shown[1]["algorithm"], shown[1]["key_id"]) == ("ed25519", shown[1]["id"])
    assert [(one["signature"], one["scopes"]) for one in shown[2:]] == [("v1", ["send"])] * 2
    assert "secret" not in json.dumps(shown[0]) + json.dumps(shown[3]).replace("webhook_secret", "")


async def test_whose_tokens_are_taken_an_operator_says(house: House) -> None:
    body = {"kind": "oauth_client", "issuer": "https://id.example", "subject": "acme", "audience": "gw"}
    async with house.client("acme") as client:
        refused = await client.post("/v1/credentials", json=body)
    async with house.client("operator") as client:
        made = await client.post("/v1/partners/acme/credentials", json=body)
        again = await client.post("/v1/partners/acme/credentials", json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert (made.status_code, made.json()["issuer"], made.json()["subject"]) == (201, body["issuer"], "acme")
    assert (again.status_code, again.json()["code"]) == (409, "state_conflict")


async def test_a_credential_is_narrowed_and_nothing_else(house: House) -> None:
    path = f"/v1/credentials/{house.credentials['acme'].id}"
    async with house.client("acme") as client:
        dry = await client.patch(f"{path}?dry_run=true", json={"name": "dry"})
        done = await client.patch(
            path, json={"name": "new", "scopes": ["manage", "send"], "expires_at": "1h"}
        )
        wider = await client.patch(path, json={"scopes": ["manage", "audit"]})
        longer = await client.patch(path, json={"expires_at": "30d"})
        nothing = await client.patch(path, json={})
        strange = await client.patch(path, json={"role": "auditor"})
        foreign = await client.patch("/v1/credentials/crd_other", json={"name": "x"})
        history = await client.get("/v1/history")
    assert (dry.json()["dry_run"], dry.json()["name"]) == (True, "dry")
    assert (done.json()["name"], done.json()["scopes"]) == ("new", ["manage", "send"])
    codes = [one.json()["code"] for one in (wider, longer, nothing, strange, foreign, history)]
    assert codes == [*["parameter_invalid"] * 4, "not_found", "scope_missing"]


async def test_the_last_operator_may_not_disarm_itself(house: House) -> None:
    async with house.client("operator") as client:
        for one in (await client.get("/v1/credentials")).json()["items"]:
            if one["role"] == "operator" and one["id"] != house.credentials["operator"].id:
                assert (await client.delete(f"/v1/credentials/{one['id']}")).status_code == 200
        path = f"/v1/credentials/{house.credentials['operator'].id}"
        answers = [
            await client.patch(path, json={"scopes": ["send"]}),
            await client.patch(path, json={"expires_at": "1s"}),
            await client.delete(path),
        ]
        renamed = await client.patch(path, json={"name": "the last"})
    assert [(one.status_code, one.json()["code"]) for one in answers] == [(409, "state_conflict")] * 3
    assert renamed.status_code == 200


async def test_when_a_credential_was_used_last_is_told_to_the_second(house: House) -> None:
    path = f"/v1/credentials/{house.credentials['acme'].id}"
    async with house.client("operator") as client:
        before = await client.get(f"/v1/partners/acme{path.removeprefix('/v1')}")
    async with house.client("acme") as client:
        own = await client.get(path)
    assert before.json()["last_used_at"] is None
    used = own.json()["last_used_at"]
    assert used.endswith(".000Z")
    assert 0 <= datetime.now(UTC).timestamp() - datetime.fromisoformat(used).timestamp() < 60


async def test_when_a_credential_was_made_is_told(house: House) -> None:
    began = clock()
    async with house.client("acme") as client:
        dry = await client.post("/v1/credentials?dry_run=true", json={})
        made = await client.post("/v1/credentials", json={})
        shown = await client.get(made.headers["location"])
        listed = (await client.get("/v1/credentials")).json()["items"]
    assert "created_at" not in dry.json()
    assert format_instant(began) <= made.json()["created_at"] <= format_instant(clock())
    assert shown.json()["created_at"] == made.json()["created_at"]
    assert all(one["created_at"] <= made.json()["created_at"] for one in listed)


async def test_a_closed_partner_gets_keys_to_audit_with_and_no_others(house: House) -> None:
    path = "/v1/partners/acme/credentials"
    async with house.client("operator") as client:
        assert (await client.delete("/v1/partners/acme?reason=over")).status_code == 200
        refused = await client.post(path, json={"role": "partner"})
        made = await client.post(path, json={"role": "auditor", "expires_at": "1y"})
        house.keys["auditor"] = made.json()["secret"]
        ended = await client.delete(f"{path}/{made.json()['id']}?dry_run=true")
    async with house.client("acme") as client:
        own = await client.post("/v1/credentials", json={"role": "auditor"})
    async with house.client("auditor") as client:
        history = await client.get("/v1/history")
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    assert "--role auditor" in refused.json()["detail"]
    assert (made.status_code, history.status_code, ended.json()["state"]) == (201, 200, "revoked")
    assert (own.status_code, own.json()["code"]) == (403, "partner_suspended")


async def test_a_partner_that_makes_and_revokes_without_end_is_stopped_and_an_operator_is_not(
    house: House,
) -> None:
    own = house.credentials["acme"]
    ended = [
        columns_of(replace(own, id=f"crd_{number}", match=f"ended{number}"), now=1) | {"revoked_at": clock()}
        for number in range(MAX_ENDED)
    ]
    await house.doors.database.write(lambda session: session.execute(insert(CredentialRow), ended))
    async with house.client("acme") as client:
        refused = await client.post("/v1/credentials", json={})
        page = await client.get("/v1/credentials?limit=1&state=active")
        one = await client.get("/v1/credentials/crd_7")
    async with house.client("operator") as client:
        made = await client.post("/v1/partners/acme/credentials", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "limit_reached")
    assert "ask an operator" in refused.json()["detail"]
    assert (made.status_code, one.json()["state"], ids(page)) == (201, "revoked", [own.id])
