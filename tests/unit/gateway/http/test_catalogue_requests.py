"""Every code of the catalogue, by a request that is answered with it; and what no refusal may hold."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlmodel import Session
from starlette.routing import compile_path

from audit.ref import parse_ref
from gateway.bootstrap.ground import clock
from gateway.errors import AWAY_CODES
from gateway.http.catalogue import CATALOGUE
from gateway.http.cursor import seal_cursor
from gateway.http.gates import GATES
from gateway.http.guard import Gate
from gateway.http.openapi.operations import codes_of
from gateway.ingress.accept import Submission
from gateway.ingress.content import Reading, Received, read_events
from gateway.ingress.outcome import Failed, Outcome, Refused
from partners import onboarding, store
from partners.credential import DAY_MS, Credential
from partners.partner import PartnerState
from tests.builders import House, make_doors
from tests.signing import Draft as SigningDraft
from tests.signing import credential_of, private_key, public_der
from tests.unit.gateway.http.test_deliveries_over_http import delivery
from tests.unit.gateway.http.test_deliveries_over_http import keep as keep_delivery
from tests.world import OPERATOR, ORDER, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK: Final = "MARKED-4711"
"""Stands in every value that is sent."""
KEY: Final = private_key("ed25519")

CONTRACT: Final = """\
gateway: v1
partner: {slug}
name: The company {slug}
authentication: {accept: [api_key, message_signature], require_signature: {signed}}
sends:
  order.placed: {schema: order.avsc, id: /order_id}
receives:
  order.accepted: {schema: order.avsc, id: /order_id}
limits: {event_bytes: 2KiB}
"""
STATES: Final[Mapping[str, PartnerState]] = {"bolt": "suspended", "shut": "closed"}
FILES: Final = {"order.avsc": json.dumps(ORDER)}


def contract(slug: str, *, signed: bool = False) -> str:
    return CONTRACT.replace("{slug}", slug).replace("{signed}", str(signed).lower())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    # A sequencer that waits long, so that a proof is pending for long enough to be asked for.
    async with running(tmp_path_factory.mktemp("catalogue"), flags={"audit.tick": "3s"}) as world:
        for slug in ("acme", "globex", "bolt", "shut"):
            await world.apply(contract(slug), FILES, slug=slug)
        signed = contract("signer", signed=True).replace(
            "receives:", "  huge.sent: {schema: huge.avsc}\nreceives:"
        )
        await world.apply(signed, {**FILES, "huge.avsc": json.dumps(HUGE)}, slug="signer")
        slow = contract("slow").replace("event_bytes: 2KiB", "events_per_second: 1")
        await world.apply(slow, FILES, slug="slow")
        far = contract("far").replace("{accept", "{addresses: [203.0.113.0/24], accept")
        await world.apply(far, FILES, slug="far")
        opened = House(world, make_doors(world, body_bytes=4_096))
        await opened.issue("operator", "operator")
        for slug in ("acme", "globex", "bolt", "signer", "slow", "far"):
            await opened.issue(slug, "partner", slug)
        await opened.issue("auditor", "auditor", "acme")
        await opened.issue("short", "auditor", "globex", not_after=clock() + DAY_MS)
        await opened.issue("revoked", "auditor", "bolt")
        administration = world.parts.administration
        await administration.revoke_credential(
            opened.credentials["revoked"].id, owner=None, reason="", by=OPERATOR
        )
        for slug, state in STATES.items():
            await opened.doors.database.write(partial(onboarding.set_partner_state, slug=slug, state=state))
        signs = credential_of("crd_signs", "message_signature", public_der(KEY), partner="signer")
        await opened.doors.database.write(partial(keep, signs))
        await world.parts.catalog.refresh()
        yield opened


def keep(credential: Credential, session: Session) -> None:
    store.lock(session)
    store.insert_credential(session, credential, now=clock())
    store.bump_credential(session, credential.id)


Ask = Callable[[House], Awaitable[httpx.Response]]


def asks(
    method: str,
    path: str,
    name: str | None = "acme",
    *,
    headers: Sequence[tuple[str, str]] = (),
    **sent: Any,
) -> Ask:
    """A request of a caller."""

    async def ask(house: House) -> httpx.Response:
        async with house.client(name) as client:
            request = client.build_request(method, path, **sent)
            request.headers = httpx.Headers([*request.headers.multi_items(), *headers])
            return await client.send(request)

    return ask


def order(number: str = "1", **more: object) -> dict[str, object]:
    return {"order_id": f"{MARK}-{number}", "customer": MARK, "qty": 1, **more}


def sends(body: object, *, query: str = "", headers: Sequence[tuple[str, str]] = ()) -> Ask:
    return asks("POST", f"/v1/events/order.placed{query}", json=body, headers=headers)


def puts(text: str, files: Mapping[str, str] = FILES, *headers: tuple[str, str]) -> Ask:
    body = {"contract": text, "files": dict(files)}
    return asks("PUT", "/v1/partners/globex/contract", "operator", json=body, headers=headers)


def typed(
    media: str, content: bytes = b"{}", path: str = "/v1/events/order.placed", *more: tuple[str, str]
) -> Ask:
    return asks("POST", path, content=content, headers=(("Content-Type", media), *more))


async def conflicting(house: House) -> httpx.Response:
    assert (await sends(order("conflict"))(house)).status_code in {200, 201}
    return await sends(order("conflict", qty=2))(house)


async def twice_under_one_key(house: House) -> httpx.Response:
    key = [("Idempotency-Key", MARK)]
    for number in range(2):
        body = {"role": "auditor", "name": f"{MARK}-{number}", "scopes": ["audit"]}
        answer = await asks("POST", "/v1/credentials", "globex", json=body, headers=key)(house)
    return answer


def after(change: str) -> Ask:
    """The content of an event that was in the log, and of which this was dropped."""

    async def ask(house: House) -> httpx.Response:
        sent = await sends(order(change.split()[1]))(house)
        path = sent.headers["location"]
        for _ in range(2):
            await asks("GET", f"{path}/proof?wait=20")(house)
        ref = parse_ref(sent.json()["ref"])
        order_of = {"ref": ref}
        await house.doors.database.write(
            lambda session: (
                session.execute(text("UPDATE gateway_claim SET content = NULL WHERE ref = :ref"), order_of),
                session.execute(text(change), order_of),
            )
        )
        return await asks("GET", f"{path}/content")(house)

    return ask


async def held(house: House) -> httpx.Response:
    """An erasure of an event under a legal hold."""
    sent = await sends(order("held"))(house)
    wanted = {"refs": [sent.json()["ref"]], "basis": f"case {MARK}"}
    assert (await asks("POST", "/v1/partners/acme/holds", "operator", json=wanted)(house)).status_code == 201
    return await asks("POST", "/v1/partners/acme/erasures", "operator", json=wanted)(house)


def makes(url: str, **more: str) -> Ask:
    """An endpoint of acme's."""
    return asks("POST", "/v1/endpoints", json={"url": url, **more})


async def unproved(house: House) -> httpx.Response:
    """The owner of an endpoint says that it got a challenge which nobody sent."""
    made = await makes(f"https://hooks.acme.example/{MARK}")(house)
    path = f"/v1/endpoints/{made.json()['id']}/verify"
    return await asks("POST", path, json={"challenge": MARK})(house)


async def acknowledged_by_nobody(house: House) -> httpx.Response:
    await makes("https://hooks.acme.example/in", name="main")(house)
    await house.world.parts.catalog.refresh()
    known = keep_delivery(house, delivery(house, MARK), "parked", "timed_out")
    return await typed("application/jose", MARK.encode(), f"/v1/deliveries/{known}/ack")(house)


async def pending(house: House) -> httpx.Response:
    for number in range(3):
        sent = await sends(order(f"pending-{number}"))(house)
        answer = await asks("GET", f"{sent.headers['location']}/proof")(house)
        if answer.status_code != 200:  # else the sequencer's first round had just begun
            break
    return answer


async def expired(house: House) -> httpx.Response:
    later = replace(house, doors=replace(house.doors, clock=lambda: clock() + 2 * DAY_MS))
    return await asks("GET", "/v1/me", "short")(later)


async def unacceptable(house: House) -> httpx.Response:
    async with house.client("acme") as client:
        return await client.get("/v1/stream", headers={"Accept": "text/html"})


async def at_what_is_gone(house: House) -> httpx.Response:
    bound = ("stream/2", "acme", "outbound", "")
    cursor = seal_cursor(house.doors.values.cursor_key, bound, ("another-topic", 0, 5))
    return await asks("GET", f"/v1/stream?cursor={cursor}")(house)


async def signed(house: House, *, age: int = 0) -> httpx.Response:
    """A request with a signature that is right, and `age` seconds old."""
    draft = SigningDraft(
        method="GET",
        authority=house.doors.values.origin.removeprefix("http://"),
        path="/v1/me",
        created=clock() // 1_000 - age,
        parameters=f';nonce="{b64encode(MARK.encode() * 3).decode()}"',
    )
    return await asks("GET", "/v1/me", None, headers=tuple(draft.signed(KEY, "crd_signs").items()))(house)


async def replayed(house: House) -> httpx.Response:
    assert (await signed(house)).status_code == 200
    return await signed(house)


async def many_keys(house: House) -> httpx.Response:
    for _ in range(3):
        answer = await asks("POST", "/v1/partners/signer/credentials", "operator", json={"role": "auditor"})(
            house
        )
    return answer


async def our_mistake(house: House) -> httpx.Response:
    async def broken() -> Mapping[str, object]:
        raise KeyError(MARK)

    wrong = replace(house, doors=replace(house.doors, status=broken))
    return await asks("GET", "/v1/status", "operator")(wrong)


async def too_often(house: House) -> httpx.Response:
    for number in range(20):  # one a second is agreed
        answer = await asks("POST", "/v1/events/order.placed", "slow", json=order(f"often-{number}"))(house)
        if answer.status_code != 201:
            break
    return answer


class Failing:
    """An ingress that something of what it needs is away from."""

    def __init__(self, code: str) -> None:
        self.code = code

    async def read(self, received: Received) -> Reading | Refused:
        return read_events(received)

    async def accept(self, submission: Submission) -> list[Outcome]:
        return [Failed(self.code, "something is away")] * len(submission.items)


def away(code: str) -> Ask:
    async def ask(house: House) -> httpx.Response:
        without = replace(house, doors=replace(house.doors, ingress=Failing(code)))
        return await sends(order("away"))(without)

    return ask


CHANGED: Final = {
    "order.avsc": json.dumps({**ORDER, "fields": [*ORDER["fields"], {"name": "n", "type": "int"}]})
}
HUGE: Final = {
    "type": "record",
    "name": "Huge",
    "fields": [
        {"name": f"f{number}", "type": {"type": "fixed", "name": f"F{number}", "size": 65_536}}
        for number in range(16)
    ],
}
"""Its smallest datum is larger than any event."""

SHORTER: Final = contract("globex").replace(
    "receives:\n  order.accepted: {schema: order.avsc, id: /order_id}\n", ""
)
CLOUDEVENTS: Final = "application/cloudevents+json"

REQUESTS: Final[Mapping[str, Ask]] = {
    "request_malformed": sends(order(), headers=(("ce-id", MARK), ("ce-id", "other"))),
    "parameter_invalid": asks("GET", f"/v1/history?colour={MARK}"),
    "body_malformed": typed("application/json", b'{"order_id": "' + MARK.encode()),
    "cursor_invalid": asks("GET", f"/v1/history?cursor={MARK}"),
    "credential_missing": asks("GET", "/v1/me", None),
    "credential_invalid": asks("GET", "/v1/me", None, headers=(("Authorization", f"Bearer gw_{MARK}"),)),
    "credential_expired": expired,
    "credential_revoked": asks("GET", "/v1/me", "revoked"),
    "signature_stale": partial(signed, age=301),
    "signature_replayed": replayed,
    "signature_invalid": asks("POST", "/v1/events/order.placed", "signer", json=order()),
    "scope_missing": asks("POST", "/v1/events/order.placed", "auditor", json=order()),
    "partner_suspended": asks("POST", "/v1/events/order.placed", "bolt", json=order()),
    "source_address_denied": asks("GET", "/v1/me", "far"),
    "not_found": asks("GET", "/v1/partners/globex/history"),
    "not_acceptable": unacceptable,
    "method_not_allowed": asks("PATCH", "/v1/events", json=order()),
    "event_conflict": conflicting,
    "state_conflict": asks("POST", "/v1/partners/shut/credentials", "operator", json={"role": "partner"}),
    "limit_reached": many_keys,
    "schema_incompatible": puts(contract("globex"), CHANGED),
    "change_destructive": puts(SHORTER),
    "proof_pending": pending,
    "cursor_expired": at_what_is_gone,
    "content_erased": after("UPDATE audit_entry SET evidence = NULL WHERE ref = :ref"),
    "content_expired": after("DELETE FROM gateway_claim WHERE ref = :ref"),
    "idempotency_conflict": twice_under_one_key,
    "held": held,
    "precondition_failed": puts(contract("globex"), FILES, ("If-Match", '"99"')),
    "body_too_large": sends(order(customer=MARK * 1_000)),
    "event_too_large": sends(order("large", customer=MARK * 300)),
    "media_type_unsupported": typed("text/csv", MARK.encode()),
    "content_encoding_unsupported": typed(
        "application/json", b"{}", "/v1/events/order.placed", ("Content-Encoding", "br")
    ),
    "event_type_missing": asks("POST", "/v1/events", json=order()),
    "event_type_unknown": asks("POST", f"/v1/events/{MARK.lower()}", json=order()),
    "event_id_missing": sends({**order(), "order_id": ""}),
    "event_id_mismatch": sends(order("a"), headers=(("ce-id", f"{MARK}-b"),)),
    "event_attribute_invalid": sends(
        order("a"), headers=(("ce-type", f"{MARK}.type"), ("ce-specversion", "1.0"))
    ),
    "event_invalid": sends({**order("bad"), "qty": MARK}),
    "schema_version_unknown": typed(
        "application/avro", MARK.encode(), "/v1/events/order.placed?schema_version=9"
    ),
    "batch_refused": typed("application/x-ndjson", json.dumps({**order(), "qty": MARK}).encode()),
    "contract_invalid": puts(f"gateway: v1\npartner: globex\nsends: {MARK}\n"),
    "schema_invalid": asks("GET", "/v1/types/huge.sent/sample", "signer"),
    "endpoint_invalid": makes(f"ftp://hooks.acme.example/{MARK}"),
    "endpoint_address_denied": makes(f"https://10.0.0.1/{MARK}"),
    "endpoint_verification_failed": unproved,
    "acknowledgement_invalid": acknowledged_by_nobody,
    "quota_exceeded": too_often,
    "internal": our_mistake,
    **{code: away(code) for code in sorted(AWAY_CODES)},
}


def gates_of(request: httpx.Request) -> list[Gate]:
    """The gate of a request; none where its method is none of the path's."""
    path = request.url.path
    return [one for one in GATES if one.method == request.method and compile_path(one.path)[0].match(path)][
        :1
    ]


async def test_every_code_has_a_request() -> None:
    assert set(REQUESTS) == set(CATALOGUE)


@pytest.mark.parametrize("code", REQUESTS)
async def test_a_request_is_refused_with_its_code_and_tells_nothing_else(house: House, code: str) -> None:
    answer = await REQUESTS[code](house)
    document = answer.json()
    assert document["code"] == code, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == document["status"] == CATALOGUE[code].status
    assert document["retry"] == CATALOGUE[code].retry
    assert document["type"].endswith(f"/errors/{code}")
    for gate in gates_of(answer.request):
        assert code in codes_of(gate), f"{gate.method} {gate.path} does not tell of it"
    told = f"{answer.headers} {answer.text}"
    secrets = [key.rsplit("_", 2)[1] for key in house.keys.values()]
    for word in (MARK, "Traceback", "site-packages", ".py", *secrets):
        assert word not in told
    if code not in _OF_GLOBEX:
        assert "globex" not in told


_OF_GLOBEX: Final = {
    "schema_incompatible",
    "change_destructive",
    "precondition_failed",
    "contract_invalid",
}
"""Asked for by the operator, about that very partner."""


@pytest.mark.parametrize("code", CATALOGUE)
async def test_every_code_has_a_page(house: House, code: str) -> None:
    page = (await asks("GET", f"/errors/{code}", None)(house)).json()
    meaning = CATALOGUE[code]
    assert page == {
        "code": code,
        "status": meaning.status,
        "title": meaning.title,
        "retry": meaning.retry,
        "mend": meaning.mend,
    }
