"""Tokens, and certificates behind a proxy, from the request to the receipt."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network

import httpx
import pytest
import pytest_asyncio

from gateway.auth.proxy import Proxies
from gateway.bootstrap.ground import clock
from gateway.http.app import make_apps
from partners.issuing import Narrowing
from tests.authorities import CLIENT, Made, make, uris
from tests.builders import CONTRACTS, ORIGIN, House, open_house
from tests.issuers import Issuer, ec_signer, issuing
from tests.world import OPERATOR

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = clock()
CA = make("ca", at=NOW, is_ca=True)
MIDDLE = make("middle", CA, at=NOW, is_ca=True)
LEAF = make("leaf", MIDDLE, at=NOW, extensions=(uris("urn:acme"), CLIENT))
SIGNER = ec_signer("k")
PROXY, ANYBODY = "10.0.0.1", "203.0.113.9"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as made:
        made.has(SIGNER)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("callers")) as made, made.world.parts.dialler:
        accept = "authentication: {accept: [api_key, mtls, jwt]}\n"
        await made.world.apply(CONTRACTS.replace("{slug}", "acme") + accept)
        async with made.client("operator") as client:
            for body in (
                {"kind": "certificate", "ca": CA.pem.decode(), "uri": "urn:acme"},
                {"kind": "oauth_client", "issuer": issuer.url, "subject": "acme-prod", "audience": "gw"},
            ):
                answer = await client.post("/v1/partners/acme/credentials", json=body)
                assert answer.status_code == 201, answer.text
                made.keys[body["kind"]] = answer.json()["id"]
        made.doors = replace(made.doors, proxies=Proxies((ip_network("10.0.0.0/8"),), "rfc9440"))
        yield made


def carried(*made: Made) -> dict[str, str]:
    texts = [f":{base64.b64encode(one.der).decode()}:" for one in made]
    return {"Client-Cert": texts[0], "Client-Cert-Chain": ", ".join(texts[1:])}


def token(issuer: Issuer, **more: object) -> dict[str, str]:
    claims = {"iss": issuer.url, "sub": "acme-prod", "aud": "gw", "exp": clock() // 1_000 + 900, **more}
    return {"Authorization": f"Bearer {SIGNER.token(claims)}"}


async def posted(
    house: House, headers: dict[str, str], *, peer: str = ANYBODY, order: str = "1"
) -> httpx.Response:
    transport = httpx.ASGITransport(make_apps(house.doors)[0], client=(peer, 4_711))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        return await client.post(
            "/v1/events/order.placed", json={"order_id": order, "qty": 1}, headers=headers
        )


def method_in(answer: httpx.Response) -> tuple[str, str]:
    """How the receipt says that the caller was proven, and by which credential."""
    assert answer.status_code == 201, answer.text
    payload = answer.json()["receipt"].split(".")[1]
    evidence = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return evidence["auth"]["method"], evidence["auth"]["credential"]


async def test_an_event_by_token_says_so_in_its_receipt(house: House, issuer: Issuer) -> None:
    assert method_in(await posted(house, token(issuer), order="token")) == ("jwt", house.keys["oauth_client"])


async def test_an_event_by_a_proxys_certificate_says_so_in_its_receipt(house: House) -> None:
    answer = await posted(house, carried(LEAF, MIDDLE), peer=PROXY, order="certificate")
    assert method_in(answer) == ("mtls", house.keys["certificate"])


async def test_of_both_the_certificate_is_named(house: House, issuer: Issuer) -> None:
    headers = {**token(issuer), **carried(LEAF, MIDDLE)}
    assert method_in(await posted(house, headers, peer=PROXY, order="both"))[0] == "mtls"


async def test_a_certificate_header_of_anybody_else_is_as_if_it_were_not_there(
    house: House, issuer: Issuer
) -> None:
    alone = await posted(house, carried(LEAF, MIDDLE))
    assert (alone.status_code, alone.json()["code"]) == (401, "credential_missing")
    assert (
        method_in(await posted(house, {**token(issuer), **carried(LEAF, MIDDLE)}, order="beside"))[0] == "jwt"
    )


async def test_a_proxys_header_that_cannot_be_read_is_refused(house: House, issuer: Issuer) -> None:
    answer = await posted(house, {**token(issuer), "Client-Cert": "junk"}, peer=PROXY)
    assert (answer.status_code, answer.json()["code"]) == (401, "credential_invalid")


async def test_an_issuer_that_is_away_is_503_and_no_refusal(house: House, issuer: Issuer) -> None:
    signer = ec_signer("unknown")
    later = replace(house, doors=replace(house.doors, clock=lambda: clock() + 60_000))
    answers, issuer.answers = issuer.answers, {}
    told = []
    # Whose subjects are known is told to nobody by an issuer that is away.
    for subject in ("acme-prod", "nobody"):
        claims = {"iss": issuer.url, "sub": subject, "aud": "gw", "exp": clock() // 1_000 + 900}
        answer = await posted(later, {"Authorization": f"Bearer {signer.token(claims)}"})
        told.append((answer.status_code, answer.headers["retry-after"], {**answer.json(), "request_id": ""}))
    issuer.answers = answers
    assert told[0][:2] == (503, "5")
    assert told[0][2]["code"] == "issuer_unavailable"
    assert told[0] == told[1]
    assert issuer.url not in str(told)


async def test_a_key_that_is_revoked_while_its_body_arrives_brings_nothing(house: House) -> None:
    key = await house.issue("dripping", "partner", "acme")
    order = json.dumps({"order_id": "dripped", "qty": 1}).encode()

    async def body() -> AsyncIterator[bytes]:
        yield order[:5]
        await house.world.parts.administration.revoke_credential(
            house.credentials["dripping"].id, owner=None, reason="leaked", by=OPERATOR
        )
        yield order[5:]

    async with house.client() as client:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        answer = await client.post("/v1/events/order.placed", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "credential_revoked")
    async with house.client("operator") as client:
        found = await client.get("/v1/partners/acme/history", params={"id": "dripped"})
    assert found.json()["items"] == []


async def test_a_key_that_is_narrowed_while_its_body_arrives_does_not_do_what_it_may_no_longer(
    house: House,
) -> None:
    key = await house.issue("narrowed", "partner", "acme")
    order = json.dumps({"order_id": "narrowed", "qty": 1}).encode()

    async def body() -> AsyncIterator[bytes]:
        yield order[:5]
        narrower = Narrowing(scopes=frozenset({"audit"}))
        await house.world.parts.administration.change_credential(
            house.credentials["narrowed"].id, narrower, owner=None, by=OPERATOR
        )
        yield order[5:]

    async with house.client() as client:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        answer = await client.post("/v1/events/order.placed", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


async def test_an_address_is_compared_as_the_believed_proxy_says_it(house: House, issuer: Issuer) -> None:
    terms = "authentication: {accept: [api_key, mtls, jwt], addresses: [203.0.113.0/29]}\n"
    plain = "authentication: {accept: [api_key, mtls, jwt]}\n"
    await house.world.apply(CONTRACTS.replace("{slug}", "acme") + terms)
    try:
        told = []
        for peer, forwarded in (
            ("203.0.113.1", ""),
            (ANYBODY, "203.0.113.1"),
            (PROXY, "203.0.113.1"),
            (PROXY, f"203.0.113.1, {ANYBODY}"),
            (PROXY, ""),
        ):
            headers = {**token(issuer), **({"X-Forwarded-For": forwarded} if forwarded else {})}
            told.append((await posted(house, headers, peer=peer, order="whence")).status_code)
        assert told == [201, 403, 200, 403, 403]
    finally:
        await house.world.apply(CONTRACTS.replace("{slug}", "acme") + plain)
