"""Signed requests and webhooks over real HTTPS, with a proxy's Host: the gateway's origin is another name."""

import base64
import gzip
import hashlib
import hmac
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit.bundle import write_tar
from audit.papers import Keys
from audit.receipt import parse_jwks, parse_receipt
from audit.sender import sender_paper
from audit.whole import verify_files
from gateway.bootstrap.ground import clock, entropy
from gateway.http.app import make_apps
from gateway.http.server import Server
from gateway.http.tls import make_dev_certificate, server_context
from gateway.origin_evidence import Origin
from gateway.units import Address
from partners import store
from partners.credential import RAW, SEALED, Credential, secret_place
from tests.builders import CONTRACTS, House, make_doors
from tests.serving import serving
from tests.signing import KINDS, Draft, credential_of, private_key, public_der, raw_signature
from tests.world import running

AUTHORITY = "gw.example"
ORIGIN = f"https://{AUTHORITY}"
EVENTS = "/v1/events/order.placed"
SECRET = b"s" * 32
HOOK_KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
TERMS = "authentication: {{accept: [api_key, message_signature, hmac], require_signature: {due}}}\n"
ED25519 = "ed25519"


@dataclass
class Site:
    """A running gateway behind TLS. `url`: where it really is."""

    house: House
    url: str
    tls: ssl.SSLContext

    def client(self) -> httpx.AsyncClient:
        # What a proxy in front of us does: another host, another port.
        return httpx.AsyncClient(
            base_url=self.url, verify=self.tls, headers={"Host": "internal:9000"}, timeout=30
        )

    async def ask(self, draft: Draft, headers: Mapping[str, str], **changes: Any) -> httpx.Response:
        """Send a draft with these headers. `changes`: what is another on the way."""
        sent = replace(draft, **changes)
        async with self.client() as client:
            url = f"{sent.path}?{sent.query}" if sent.query else sent.path
            return await client.request(sent.method, url, content=sent.body, headers=dict(headers))

    async def send(self, draft: Draft, kind: str = ED25519, **changes: Any) -> httpx.Response:
        """Sign a draft with the key of a kind, and send it."""
        return await self.ask(draft, draft.signed(private_key(kind), f"crd_{kind}"), **changes)


async def insert(house: House, *credentials: Credential) -> None:
    """Put credentials where the commands for them would."""
    parts = house.world.parts

    def work(session: Any) -> None:
        store.lock(session)
        for one in credentials:
            store.insert_credential(session, one, now=clock())
            store.bump_credential(session, one.id)

    await parts.ground.database.write(work)
    await parts.catalog.refresh()


@asynccontextmanager
async def served(house: House, folder: Path) -> AsyncIterator[Site]:
    """The private application, which has every route, on a port of this machine."""
    certificate, key = make_dev_certificate(folder / "tls", now=clock(), entropy=entropy)
    server = Server(make_apps(house.doors)[1], Address("127.0.0.1", 0), tls=server_context(certificate, key))
    async with serving(server) as port:
        trusted = ssl.create_default_context(cafile=str(certificate))
        yield Site(house, f"https://127.0.0.1:{port}", trusted)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("signed")
    async with running(folder, flags={"origin": ORIGIN}) as world:
        for slug, due in (("acme", "false"), ("strict", "true")):
            text = CONTRACTS.replace("{slug}", slug).replace("id: /order_id, key: /customer", "id: /order_id")
            await world.apply(text + TERMS.format(due=due), slug=slug)
        # A type whose id nobody has to name in the data.
        bare = CONTRACTS.replace("{slug}", "bare").replace("id: /order_id, key: /customer", "id: generated")
        await world.apply(bare + TERMS.format(due="false"), slug="bare")
        house = House(world, make_doors(world))
        for slug in ("acme", "strict"):
            await house.issue(slug, "partner", slug)
        await house.issue("team", "team")
        sealed = {
            one: world.parts.ground.vault.seal(SECRET, secret_place(one)) for one in ("crd_hook", "crd_lax")
        }
        own = RAW + HOOK_KEY.public_key().public_bytes_raw()
        await insert(
            house,
            *(
                credential_of(f"crd_{kind}", "message_signature", public_der(private_key(kind)))
                for kind in KINDS
            ),
            credential_of(
                "crd_strict", "message_signature", public_der(private_key(ED25519)), partner="strict"
            ),
            credential_of("crd_hook", "hmac", SEALED + sealed["crd_hook"]),
            credential_of("crd_own", "hmac", own),
            credential_of("crd_strict_own", "hmac", own, partner="strict"),
            credential_of("crd_lax", "hmac", SEALED + sealed["crd_lax"], partner="bare"),
            credential_of("crd_bare", "message_signature", public_der(private_key(ED25519)), partner="bare"),
            credential_of(
                "crd_bare_ec", "message_signature", public_der(private_key(KINDS[1])), partner="bare"
            ),
        )
        team = credential_of(
            "crd_team", "message_signature", public_der(private_key(ED25519)), partner=None, role="team"
        )
        await insert(house, replace(team, scopes=frozenset({"send", "receive", "audit"})))
        async with served(house, folder) as opened:
            yield opened


pytestmark = pytest.mark.asyncio(loop_scope="module")


def order(order_id: str, **changes: Any) -> Draft:
    body = json.dumps({"order_id": order_id, "qty": 3}).encode()
    return replace(Draft("POST", AUTHORITY, EVENTS, body=body, created=int(time.time())), **changes)


def call(path: str, nonce: str = "", method: str = "GET", **changes: Any) -> Draft:
    parameters = f';nonce="{nonce}"' if nonce else ""
    created = int(time.time())
    return replace(Draft(method, AUTHORITY, path, created=created, parameters=parameters), **changes)


def fresh() -> str:
    return base64.urlsafe_b64encode(entropy(16)).decode()


def pem_of(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


async def proved_of(
    site: Site, answer: httpx.Response, timeline: bytes, key: bytes, content: bytes | None = None
) -> tuple[str, ...]:
    """What an outsider finds proved who has the receipt, the timeline, and the sender's key."""
    async with site.client() as client:
        receipts = parse_jwks((await client.get("/.well-known/jwks.json")).content)
    name, paper = sender_paper(timeline)
    papers = [answer.json()["receipt"].encode(), write_tar({name: paper})]
    return verify_files(papers, Keys(receipts, parties=(key,)), content=content).proved


def evidence_of(answer: httpx.Response) -> Mapping[str, Any]:
    members: Mapping[str, Any] = parse_receipt(answer.json()["receipt"].encode()).evidence.members
    return members


@pytest.mark.parametrize("kind", KINDS)
async def test_a_signed_event_is_taken_and_its_receipt_claims_the_origin(site: Site, kind: str) -> None:
    draft = order(f"A-{kind}")
    headers = draft.signed(private_key(kind), f"crd_{kind}")
    first, again = await site.ask(draft, headers), await site.ask(draft, headers)
    assert (first.status_code, again.status_code) == (201, 200), first.text
    assert first.json()["receipt"] == again.json()["receipt"]
    members = evidence_of(first)
    assert members["auth"] == {"method": "message_signature", "credential": f"crd_{kind}"}
    async with site.client() as client:
        key = {"Authorization": f"Bearer {site.house.keys['acme']}"}
        answer = await client.get(first.json()["links"]["self"], headers=key)
    timeline = answer.json()
    told = {name: timeline["origin"][name] for name in ("algorithm", "key_id")}
    assert told == {"algorithm": kind, "key_id": f"crd_{kind}"}
    kept = Origin(
        kind,
        f"crd_{kind}",
        base64.b64decode(timeline["origin"]["base"]),
        base64.b64decode(timeline["origin"]["signature"]),
    )
    assert kept.base == draft.base(f"crd_{kind}")
    assert kept.sha256() == members["origin"]
    proved = await proved_of(site, first, answer.content, pem_of(private_key(kind)))
    assert f"the holder of the {kind} key that you gave signed it, as crd_{kind}" in proved


@pytest.mark.parametrize("kind", KINDS)
async def test_a_changed_byte_is_refused_by_name(site: Site, kind: str) -> None:
    draft = order(f"B-{kind}", query="dry_run=true", headers={"ce-time": "2026-01-01T00:00:00Z"})
    headers = draft.signed(private_key(kind), f"crd_{kind}")
    mine = [hashlib.sha256(line).hexdigest()[:16] for line in draft.base(f"crd_{kind}").split(b"\n")]
    for component, changes, more in (
        ("@path", {"path": "/v1/events/order%2Eplaced"}, {}),
        ("@query", {"query": "dry_run=false"}, {}),
        ("ce-time", {}, {"ce-time": "2026-01-01T00:00:01Z"}),
    ):
        answer = await site.ask(draft, headers | more, **changes)
        assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
        told = answer.json()["components"]
        differing = {
            one["component"] for one, line in zip(told, mine, strict=True) if one["line_sha256"] != line
        }
        assert differing == {component}
    answer = await site.ask(draft, headers, body=draft.body.replace(b"3", b"4"))
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
    assert answer.json()["component"] == "content-digest"
    assert (await site.ask(draft, headers)).status_code == 200


async def test_another_method_is_refused_by_name(site: Site) -> None:
    draft = call("/v1/credentials/crd_hook", fresh())
    headers = draft.signed(private_key(ED25519), "crd_ed25519")
    answer = await site.ask(draft, headers, method="DELETE")
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
    assert "@method" in answer.json()["detail"]
    told = {one["component"]: one["line_sha256"] for one in answer.json()["components"]}
    mine = hashlib.sha256(b'"@method": GET').hexdigest()[:16]
    assert told["@method"] not in {mine, ""}
    assert told["@path"] == hashlib.sha256(b'"@path": /v1/credentials/crd_hook').hexdigest()[:16]
    assert (await site.ask(draft, headers)).status_code == 200


async def test_headers_that_are_put_in_on_the_way_are_refused_by_name(site: Site) -> None:
    draft = order("C-1")
    headers = draft.signed(private_key(ED25519), "crd_ed25519")
    for name in ("Idempotency-Key", "Prefer", "If-Match", "ce-id", "ce-subject"):
        answer = await site.ask(draft, {**headers, name: "put-in"})
        assert (answer.status_code, answer.json()["component"]) == (401, name.lower())
        assert "put-in" not in answer.text


async def test_a_request_on_a_management_route_counts_once(site: Site) -> None:
    draft = call("/v1/credentials", fresh(), query="limit=1")
    headers = draft.signed(private_key(ED25519), "crd_ed25519")
    first, again = await site.ask(draft, headers), await site.ask(draft, headers)
    assert (first.status_code, again.status_code) == (200, 401)
    assert (again.json()["code"], again.json()["component"]) == ("signature_replayed", "nonce")
    without = await site.send(call("/v1/credentials"))
    assert (without.status_code, without.json()["component"]) == (401, "nonce")


async def test_a_write_on_a_management_route_is_signed_with_its_body(site: Site) -> None:
    body = json.dumps({"name": "signed", "scopes": ["audit"]}).encode()
    draft = call("/v1/credentials", fresh(), "POST", query="dry_run=true", body=body)
    assert (await site.send(draft, body=body.replace(b"audit", b"manage"))).json()[
        "component"
    ] == "content-digest"
    answer = await site.send(replace(draft, parameters=f';nonce="{fresh()}"'))
    assert answer.status_code in {200, 201}, answer.text


async def test_the_registry_has_no_claims_and_wants_a_nonce(site: Site) -> None:
    body = json.dumps({"schema": '"string"'}).encode()
    draft = call("/registry/subjects/signed/versions", "", "POST", body=body)
    key = private_key(ED25519)
    without = await site.ask(draft, draft.signed(key, "crd_team"))
    assert (without.status_code, "nonce" in without.text) == (401, True), without.text
    draft = replace(draft, parameters=f';nonce="{fresh()}"')
    headers = draft.signed(key, "crd_team")
    first, again = await site.ask(draft, headers), await site.ask(draft, headers)
    assert (first.status_code, again.status_code) == (200, 401), first.text


async def test_what_is_read_is_read_again_by_the_route(site: Site) -> None:
    """A gzip body: the digest is over what was sent, the event in what it holds."""
    draft = order("D-1", headers={"content-encoding": "gzip"})
    draft = replace(draft, body=gzip.compress(draft.body))
    answer = await site.send(draft)
    assert answer.status_code == 201, answer.text
    assert evidence_of(answer)["content"]["encoding"] == "gzip"


async def test_a_key_and_a_signature_must_be_of_one_partner(site: Site) -> None:
    draft = order("E-1")
    headers = draft.signed(private_key(ED25519), "crd_ed25519")
    for slug, status in (("acme", 201), ("strict", 401)):
        answer = await site.ask(draft, headers | {"Authorization": f"Bearer {site.house.keys[slug]}"})
        assert answer.status_code == status, answer.text
    assert answer.json()["code"] == "credential_invalid"


def hook(
    body: bytes, credential: str, *, signs: str = "v1", message_id: str = "msg_1", at: int | None = None
) -> tuple[str, dict[str, str]]:
    """The path and headers of a signed webhook."""
    now = str(at or int(time.time()))
    text = f"{message_id}.{now}.".encode() + body
    made = hmac.new(SECRET, text, hashlib.sha256).digest() if signs == "v1" else raw_signature(HOOK_KEY, text)
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": now,
        "webhook-signature": f"{signs},{base64.b64encode(made).decode()}",
    }
    return f"{EVENTS}?credential={credential}", headers


async def post(site: Site, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    async with site.client() as client:
        return await client.post(path, content=body, headers=dict(headers))


async def test_a_webhook_sender_posts_events_and_repeats_them(site: Site) -> None:
    body = b'{"order_id":"W-1","qty":1}'
    path, headers = hook(body, "crd_hook")
    first, again = await post(site, path, body, headers), await post(site, path, body, headers)
    assert (first.status_code, again.status_code) == (201, 200), first.text
    # The data names the event: what the sender calls the message counts only where nothing else does.
    path, headers = hook(body, "crd_hook", message_id="msg_other")
    assert (await post(site, path, body, headers)).json()["receipt"] == first.json()["receipt"]
    members = evidence_of(first)
    assert (members["origin"], members["auth"]["method"], members["id"]) == ("none", "hmac", "W-1")


async def test_a_webhooks_id_is_the_events_where_the_data_names_none(site: Site) -> None:
    body = b'{"order_id":"any","qty":1}'
    path, headers = hook(body, "crd_lax", message_id="msg_42")
    first, again = await post(site, path, body, headers), await post(site, path, body, headers)
    assert (first.json()["id"], first.status_code, again.status_code) == ("msg_42", 201, 200)
    other = await post(
        site, *_with_body(hook(b'{"order_id":"any","qty":2}', "crd_lax", message_id="msg_42"), 2)
    )
    assert (other.status_code, other.json()["code"]) == (409, "event_conflict")


async def test_a_signed_request_that_is_replayed_makes_no_other_event(site: Site) -> None:
    for media_type, body in (
        ("application/json", b'{"order_id":"any","qty":1}'),
        ("application/x-ndjson", b'{"order_id":"any","qty":1}\n{"order_id":"any","qty":1}\n'),
    ):
        draft = order("any", body=body, headers={"Content-Type": media_type})
        headers = draft.signed(private_key(ED25519), "crd_bare")
        answers = [await site.ask(draft, headers) for _ in range(3)]
        refs = [re.findall(r"evt_[a-z2-7]{52}", one.text) for one in answers]
        assert [one.status_code for one in answers][1:] == [200, 200], answers[0].text
        assert set(refs[0]) == set(refs[1]) == set(refs[2])
        assert len(set(refs[0])) == body.count(b"order_id")


async def test_nobody_makes_another_event_of_a_captured_signature(site: Site) -> None:
    """Of (r, s) anybody makes (r, n - s), which fits as well."""
    order_n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    draft = order("any", body=b'{"order_id":"any","qty":1}')
    headers = draft.signed(private_key("ecdsa-p256-sha256"), "crd_bare_ec")
    found = re.fullmatch(r"(.*=):(.*):", headers["signature"])
    assert found is not None
    raw = base64.b64decode(found[2])
    other = raw[:32] + (order_n - int.from_bytes(raw[32:])).to_bytes(32)
    made = {**headers, "signature": f"{found[1]}:{base64.b64encode(other).decode()}:"}
    answers = [await site.ask(draft, one) for one in (headers, made, headers)]
    assert [one.status_code for one in answers] == [201, 200, 200], answers[1].text
    assert len({one.json()["receipt"] for one in answers}) == 1


async def test_a_batch_that_is_signed_anew_is_the_same_under_its_key(site: Site) -> None:
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "batch-1"}
    draft = order("any", body=b'{"order_id":"any","qty":1}', headers=headers)
    key = private_key("ecdsa-p256-sha256")
    answers = [await site.ask(draft, draft.signed(key, "crd_bare_ec")) for _ in range(2)]
    assert [one.json()["duplicates"] for one in answers] == [0, 1], answers[0].text


@pytest.mark.parametrize("media_type", [b"application/x-ndjson", b"application/x-ndjson\xc2\xa0"])
async def test_no_spelling_makes_a_batch_of_a_webhook(site: Site, media_type: bytes) -> None:
    body = b'{"order_id":"any","qty":1}'
    path, headers = hook(body, "crd_lax", message_id="msg_batch")
    async with site.client() as client:
        given = [(name.encode(), value.encode()) for name, value in headers.items() if name != "content-type"]
        answer = await client.post(path, content=body, headers=[*given, (b"content-type", media_type)])
    assert answer.status_code in {400, 415}


async def test_a_webhook_s_body_is_read_no_further_than_one_event_may_be(site: Site) -> None:
    body = b'{"order_id":"' + b"x" * 2_000_000 + b'","qty":1}'
    path, headers = hook(b"another", "crd_hook")
    answer = await post(site, path, body, headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def _with_body(made: tuple[str, dict[str, str]], qty: int) -> tuple[str, bytes, dict[str, str]]:
    return made[0], f'{{"order_id":"any","qty":{qty}}}'.encode(), made[1]


async def test_a_webhook_by_the_senders_own_key_claims_the_origin(site: Site) -> None:
    body = b'{"order_id":"W-2","qty":1}'
    path, headers = hook(body, "crd_own", signs="v1a")
    answer = await post(site, path, body, headers)
    assert answer.status_code == 201, answer.text
    async with site.client() as client:
        key = {"Authorization": f"Bearer {site.house.keys['acme']}"}
        timeline = await client.get(answer.json()["links"]["self"], headers=key)
    told = timeline.json()["origin"]
    assert (told["algorithm"], told["base_ends_in"]) == ("v1a", "content")
    base = base64.b64decode(told["base"]) + body
    signature = base64.b64decode(told["signature"])
    HOOK_KEY.public_key().verify(signature, base)
    assert Origin("v1a", "crd_own", base, signature).sha256() == evidence_of(answer)["origin"]
    proved = await proved_of(site, answer, timeline.content, pem_of(HOOK_KEY), body)
    assert "the holder of the ed25519 key that you gave signed it, as crd_own" in proved


async def test_webhooks_that_prove_nothing_are_refused(site: Site) -> None:
    body = b'{"order_id":"W-3","qty":1}'
    path, headers = hook(body, "crd_hook")
    stale, old = hook(body, "crd_hook", at=int(time.time()) - 400)
    for where, what, with_headers, code in (
        (path, body + b" ", headers, "signature_invalid"),
        (stale, body, old, "signature_stale"),
        (EVENTS, body, headers, "credential_missing"),
        (path.replace("crd_hook", "crd_ed25519"), body, headers, "credential_invalid"),
        (path.replace("crd_hook", "crd_own"), body, headers, "signature_invalid"),
        (path, body, {**headers, "ce-id": "other"}, "signature_invalid"),
    ):
        answer = await post(site, where, what, with_headers)
        assert (answer.status_code, answer.json()["code"]) == (401, code), answer.text
    async with site.client() as client:
        # Elsewhere a webhook is nobody, and the parameter unknown.
        elsewhere = await client.get("/v1/me", headers=headers)
        assert (elsewhere.status_code, elsewhere.json()["code"]) == (401, "credential_missing")


async def test_a_contract_that_requires_a_signature_gets_one_or_no_event(site: Site) -> None:
    key = {"Authorization": f"Bearer {site.house.keys['strict']}"}
    body, other = b'{"order_id":"S-1","qty":1}', b'{"order_id":"S-2","qty":1}'
    plain = await post(site, EVENTS, body, {"content-type": "application/json"} | key)
    assert (plain.status_code, plain.json()["code"]) == (401, "signature_invalid")
    # A shared secret proves no origin, and a team's event is ours, not the partner's.
    team = {"Authorization": f"Bearer {site.house.keys['team']}", "content-type": "application/json"}
    ours = await post(site, "/v1/partners/strict/events/order.accepted", body, team)
    assert ours.status_code == 201, ours.text
    draft = order("S-1")
    signed = await site.ask(draft, draft.signed(private_key(ED25519), "crd_strict"))
    assert signed.status_code == 201, signed.text
    assert len(evidence_of(signed)["origin"]) == 64
    path, headers = hook(other, "crd_strict_own", signs="v1a")
    assert (await post(site, path, body, headers)).status_code == 401
    assert (await post(site, path, other, headers)).status_code == 201


async def test_our_own_sides_signature_proves_the_caller_and_claims_no_origin(site: Site) -> None:
    draft = order("T-1", path="/v1/partners/strict/events/order.accepted")
    answer = await site.ask(draft, draft.signed(private_key(ED25519), "crd_team"))
    assert answer.status_code == 201, answer.text
    members = evidence_of(answer)
    assert (members["origin"], members["auth"]["method"]) == ("none", "message_signature")


async def test_a_shared_secret_alone_is_no_signature_of_the_senders(site: Site) -> None:
    sealed = site.house.world.parts.ground.vault.seal(SECRET, secret_place("crd_strict_hook"))
    await insert(site.house, credential_of("crd_strict_hook", "hmac", SEALED + sealed, partner="strict"))
    body = b'{"order_id":"S-3","qty":1}'
    path, headers = hook(body, "crd_strict_hook")
    answer = await post(site, path, body, headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
    assert "own signature" in answer.json()["detail"]
