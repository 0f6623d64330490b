"""No secret is told: a run at debug level with every kind of credential, then a search for each of them."""

import base64
import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.acceptance.running import Gateway, orders
from tests.acceptance.stacks import only_files
from tests.certificates import certified, private_pem, public_pem

SENDERS = base64.b64encode(b"a webhook sender's own secret...").decode()
TLS = certified(begins=datetime(2026, 1, 1, tzinfo=UTC), days=3_000)
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0b2tlbi1vZi1hLXRoaWVmIn0.c2lnbmF0dXJlLW9mLWEtdGhpZWY"
EVENT = "/v1/events/order.placed"


def make_all(partner: httpx.Client, operator: httpx.Client) -> Iterator[tuple[str, str]]:
    """A credential of each kind; name and text of every secret."""
    kinds: list[dict[str, Any]] = [
        {"kind": "api_key", "name": "second"},
        {"kind": "public_key", "public_key": public_pem(TLS.key)},
        {"kind": "webhook_secret"},
        {"kind": "webhook_secret", "secret": f"whsec_{SENDERS}"},
    ]
    for body in kinds:
        made = partner.post("/v1/credentials", json=body)
        assert made.status_code == 201, made.text
        if "secret" in made.json():
            yield str(body["kind"]), made.json()["secret"]
    theirs: list[dict[str, Any]] = [
        {"kind": "certificate", "certificate": TLS.pem},
        {"kind": "oauth_client", "issuer": "https://id.example", "subject": "s", "audience": "gw"},
    ]
    for body in theirs:
        assert operator.post("/v1/partners/acme/credentials", json=body).status_code == 201
    yield "given", f"whsec_{SENDERS}"


def ways(secrets: dict[str, str]) -> Iterator[dict[str, str]]:
    """Headers in which a request shows secrets, rightly and wrongly."""
    key, mistyped = secrets["api_key"], secrets["api_key"][:-1] + "a"
    basic = base64.b64encode(f"{key}:".encode()).decode()
    yield {"Authorization": f"Bearer {key}"}
    yield {"Authorization": f"Basic {basic}"}
    yield {"Authorization": f"Bearer {mistyped}"}
    yield {"Authorization": f"Basic {basic}x"}
    yield {"Authorization": f"Digest {key}"}
    yield {"Authorization": key}
    yield {"Authorization": f"Bearer {TOKEN}"}
    yield {"Authorization": f"Bearer {secrets['webhook_secret']}"}
    yield {"X-Api-Key": key, "Cookie": f"key={key}"}
    signed = {"webhook-id": "w-1", "webhook-timestamp": "1795352745", "webhook-signature": f"v1,{SENDERS}"}
    yield signed
    yield {
        "Signature-Input": 'sig1=("@method");created=1795352745;keyid="crd_none"',
        "Signature": f"sig1=:{SENDERS}:",
    }


def ask_everything(gateway: Gateway, secrets: dict[str, str]) -> Iterator[httpx.Response]:
    """Requests with secrets where they belong, and where they do not.

    But for two places that are the caller's to choose and ours to name: an event's id, and members' names.
    """
    order = orders(0, 1)[0]
    with gateway.client() as client:
        for headers in ways(secrets):
            for path in ("/v1/me", "/v1/credentials", "/v1/history"):
                yield client.get(path, headers=headers)
            yield client.post(EVENT, json=order, headers=headers)
            yield client.post(f"{EVENT}?dry_run=true", content=b"{", headers=headers)
    for text in (*secrets.values(), private_pem(TLS.key), TOKEN):
        with gateway.client(secrets["api_key"]) as client:
            for member in ("name", "kind", "secret", "certificate", "public_key", "expires_at", "other"):
                kind = "certificate" if member == "certificate" else "webhook_secret"
                yield client.post("/v1/credentials", json={"kind": kind, member: f" {text}"})
            yield client.post(EVENT, json={"order_id": "A-1", "customer": text, "qty": text})
            yield client.get("/v1/history", params={"id": text, "key": text})
            yield client.get("/v1/stream", params={"cursor": text})
            yield client.get(f"/v1/credentials/{text[:60].strip()}".replace("\n", ""))


def needles(secrets: dict[str, str]) -> dict[str, bytes]:
    """What must be found nowhere: the part of each secret that opens something."""
    found = {"key " + name: text.encode() for name, text in secrets.items() if not text.startswith("gw_")}
    found |= {name: text.split("_")[2].encode() for name, text in secrets.items() if text.startswith("gw_")}
    found |= {f"bytes {name}": base64.b64decode(t[6:]) for name, t in secrets.items() if t[:6] == "whsec_"}
    found |= {"sender": SENDERS.encode(), "token": TOKEN.split(".")[2].encode()}
    inside = private_pem(TLS.key).splitlines()[1].encode()
    return found | {"private key": inside}


def leaks(where: str, raw: bytes, secrets: dict[str, str]) -> list[str]:
    return [f"{name} in {where}" for name, text in needles(secrets).items() if text in raw]


# Where secrets could come to light is in the process, which is one here; its crash is told by its own file.
@only_files
def test_no_secret_is_in_logs_answers_metrics_crashes_or_the_database(gateway: Gateway) -> None:
    gateway.flags["log.level"] = "debug"
    gateway.start()
    assert gateway.apply().status_code == 201
    secrets = {"operator": gateway.operator_key(), "first": gateway.partner_key()}
    with gateway.client(secrets["first"]) as partner, gateway.operator() as operator:
        secrets |= dict(make_all(partner, operator))
        asked = list(ask_everything(gateway, secrets))
        asked += [operator.get(f"/v1{path}") for path in ("/status", "/credentials", "/partners/acme")]
        asked += [operator.get("/metrics"), partner.get("/v1/credentials"), operator.get("/readyz")]
    codes = {one.json()["code"] for one in asked if one.status_code in {400, 401, 422}}
    assert {"credential_missing", "credential_invalid", "parameter_invalid", "event_invalid"} <= codes
    assert gateway.process is not None
    # A crash in C: the stacks of all threads are written, and nothing that stands in them.
    os.kill(gateway.process.pid, signal.SIGABRT)
    # The threads go on while their stacks are written, which may end that in another crash.
    assert gateway.process.wait(30) in {-signal.SIGABRT, -signal.SIGSEGV}
    # The first start has shown the operator's key, above the line that says how to try it.
    _, _, said = gateway.log.read_bytes().partition(b"\ntry ")
    assert b"Fatal Python error: Aborted" in said
    found = leaks("the log", said, secrets)
    for one in asked:
        found += leaks(f"{one.request.method} {one.request.url.path} {one.status_code}", one.content, secrets)
        found += leaks("headers", repr(one.headers).encode(), secrets)
    for file in sorted(gateway.folder.glob("*.db*")):
        found += leaks(file.name, file.read_bytes(), secrets)
    assert found == []
    assert json.loads(asked[0].content)["credential"]
