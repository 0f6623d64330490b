"""A dispute: who says what a year later, with nothing but files. What is typed, and what is to be seen."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.hook import Hook, listening
from tests.acceptance.journeys import CONTRACT, ORDER, Developer, Operator, until
from tests.acceptance.running import ROOT, Gateway
from tests.acknowledging import pem_of, statement
from tests.certificates import public_pem
from tests.signing import Draft, private_key

pytestmark = pytest.mark.curl
ENDPOINTS = "endpoints: {verification: none, declared: [{name: hook, url: %s}]}\n"
PARTNERS_KEY = private_key("ed25519")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One `gateway up` for all of them."""
    one = Gateway(tmp_path_factory.mktemp("dispute") / "data")
    try:
        yield one.start()
    finally:
        one.kill()


def let_in(up: Gateway, slug: str, folder: Path, url: str) -> Developer:
    """A partner with an endpoint of its own."""
    text = CONTRACT.replace("{slug}", slug) + ENDPOINTS % url
    with up.operator() as operator:
        body = {"contract": text, "files": {"order.avsc": json.dumps(ORDER)}}
        put = operator.put(f"/v1/partners/{slug}/contract", json=body)
        assert put.status_code == 201, put.text
        made = operator.post(f"/v1/partners/{slug}/credentials", json={"role": "partner"})
    folder.mkdir(exist_ok=True)
    return Developer(up, made.json()["secret"], folder)


def pin(dev: Developer) -> list[str]:
    """The keys, as a partner keeps them on the first day; what names them on a command line."""
    assert dev.gw("gw $GW/.well-known/jwks.json > receipt-keys.json").status == 200
    (log,) = until(lambda: dev.gw("gw $GW/v1/me").json()["logs"])
    return ["--keys", "receipt-keys.json", "--log-key", log["keys"][0]]


def offline(folder: Path, *words: str, module: str = "gateway") -> tuple[int, str]:
    """A verification in another process, which knows no gateway."""
    ran = subprocess.run(
        [sys.executable, "-m", module, "verify", *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stdout + ran.stderr


def lists(said: str) -> dict[str, list[str]]:
    """The sentences under each of the three titles."""
    found: dict[str, list[str]] = {}
    for line in said.splitlines():
        if not line.startswith(" "):
            found[line] = under = []
        else:
            under.append(line.strip())
    return found


def register(dev: Developer) -> str:
    """The partner's public key, known to the gateway; the id that it goes by."""
    dev.write("key.json", {"kind": "public_key", "public_key": public_pem(PARTNERS_KEY)})
    made = dev.gw("gw $GW/v1/credentials --json @key.json")
    assert made.status == 201, made.text
    return str(made.json()["id"])


def send_out(up: Gateway, posts: Hook, order_id: str) -> tuple[str, bytes]:
    """An event that our side sends to acme: its ref, and the body that its receiver got."""
    with up.operator() as client:
        order = {"order_id": order_id, "currency": "EUR", "lines": []}
        sent = client.post("/v1/partners/acme/events/order.accepted", json=order)
        assert sent.status_code == 201, sent.text
    ref = sent.json()["ref"]
    until(lambda: ref in posts.webhook_ids())
    return ref, next(body for headers, body in posts.posts if headers["webhook-id"] == ref)


def delivery_of(dev: Developer, ref: str) -> str:
    """The id of the event's one delivery, once it was told: made of endpoint and ref."""
    (row,) = dev.gw(f'gw "$GW/v1/history?ref={ref}"').json()["items"]
    (one,) = until(lambda: dev.gw(f'gw "$GW/v1/history?id={row["id"]}"').json()["items"][0]["deliveries"])
    assert (one["attempts"], one["state"]) == (1, "delivered")
    told = dev.gw(f"gw $GW/v1/history/{ref}").json()["deliveries"]
    assert [(each["endpoint"], each["attempts"], each["state"]) for each in told] == [
        (one["endpoint"], one["attempts"], one["state"])
    ]
    return f"dlv_{one['endpoint'].removeprefix('ep_')}_{ref.removeprefix('evt_')}"


def test_you_never_sent_it(up: Gateway, tmp_path: Path) -> None:
    """The partner has signed for it: proved by its own key, to anybody, whatever the operator says."""
    with listening() as hook:
        dev = let_in(up, "acme", tmp_path / "acme", hook.url)
        pins = pin(dev)
        key_id = register(dev)
        ref, body = send_out(up, hook, "D-1")
    (dev.folder / "body").write_bytes(body)
    (dev.folder / "partner.pub").write_bytes(pem_of(PARTNERS_KEY))
    delivery = delivery_of(dev, ref)
    # Before the partner has signed, that it was sent is the operator's word, kept from then on.
    operator = Operator(up, dev.folder)
    assert operator.run(f"history evidence {ref} -o evidence.tar -p acme").code == 0
    code, said = offline(dev.folder, "evidence.tar", *pins, "--content", "body")
    told = lists(said)
    assert code == 0, said
    assert any("what was sent is your copy, byte for byte" in one for one in told["proved"])
    assert any("was answered 204 (delivered)" in one for one in told["proved"])
    assert any("proved is that it was written down" in one for one in told["the operator's word only"])
    assert not any("signed that it has the event" in one for one in told["proved"])
    # Now it signs.
    claims = {"webhook_id": ref, "content_sha256": hashlib.sha256(body).hexdigest()}
    token = statement(PARTNERS_KEY, "ed25519", key_id, claims)
    (dev.folder / "signed").write_bytes(token)
    posted = dev.gw(
        f"gw $GW/v1/deliveries/{delivery}/ack -H 'Content-Type: application/jose' --data-binary @signed"
    )
    assert posted.status == 201, posted.text

    def proof() -> str:
        assert dev.gw(f"gw $GW/v1/history/{ref}/evidence?wait=20 > evidence.tar").status == 200
        code, said = offline(dev.folder, "evidence.tar", *pins, "--receiver-key", "partner.pub")
        return said if code == 0 else ""

    told = lists(until(proof))
    assert any("key that you gave signed that it has the event" in one for one in told["proved"])
    assert any("what was signed names the content" in one for one in told["proved"])
    assert any("whose key it is" in one for one in told["not proved"])
    # The same by the module that needs cryptography alone.
    assert offline(dev.folder, "evidence.tar", *pins, "--party-key", "partner.pub", module="audit")[0] == 0
    # Another body was not sent; another key has not signed; without pins nothing is proved.
    (dev.folder / "other").write_bytes(body + b" ")
    assert offline(dev.folder, "evidence.tar", *pins, "--content", "other")[0] == 9
    (dev.folder / "other.pub").write_bytes(pem_of(private_key("ecdsa-p256-sha256")))
    assert offline(dev.folder, "evidence.tar", *pins, "--receiver-key", "other.pub")[0] == 9
    assert offline(dev.folder, "evidence.tar")[0] == 9

    # The acknowledgement by itself is enough: it needs no key of the gateway, and no bundle.
    prove_by_the_receivers_key(up, dev, delivery)


def prove_by_the_receivers_key(up: Gateway, dev: Developer, delivery: str) -> None:
    """In the folder lie `signed` (what the partner posted), `body`, `other` and two public keys."""
    key = ("--receiver-key", "partner.pub")
    assert dev.gw(f"gw $GW/v1/deliveries/{delivery} > delivery.json").status == 200
    saved = Operator(up, dev.folder).run(f"deliveries acknowledgement {delivery} -p acme -o ack.json")
    assert saved.code == 0, saved.err
    whole = json.loads((dev.folder / "delivery.json").read_text())["acknowledgement"]
    assert whole["token"].encode() == (dev.folder / "signed").read_bytes()
    assert {**json.loads((dev.folder / "ack.json").read_text()), "log": None} == {**whole, "log": None}
    for paper in ("ack.json", "delivery.json", "signed"):
        code, said = offline(dev.folder, paper, *key, "--content", "body")
        told = lists(said)
        assert code == 0, said
        assert any("key that you gave signed that it has the event" in one for one in told["proved"])
        assert any("what the receiver signed for is your copy" in one for one in told["proved"])
        assert any("nobody has signed that" in one for one in told["the operator's word only"]) == (
            paper != "signed"
        )
        assert any("nothing in here is signed by the gateway" in one for one in told["not proved"])
        assert offline(dev.folder, paper, "--party-key", "partner.pub", module="audit")[0] == 0
        # Failed verification, and nothing else, ends with 9.
        assert offline(dev.folder, paper, *key, "--content", "other")[0] == 9
        assert offline(dev.folder, paper, "--receiver-key", "other.pub")[0] == 9
        assert offline(dev.folder, paper)[0] == 9
        assert offline(dev.folder, paper, "--receiver-key", "missing.pub")[0] == 2
    assert offline(dev.folder, "missing.json", *key)[0] == 2
    (dev.folder / "torn.json").write_bytes((dev.folder / "ack.json").read_bytes().replace(b"evt_", b"evt_x"))
    assert offline(dev.folder, "torn.json", *key)[0] == 9


def test_the_auditor_verifies_and_can_do_nothing_else(up: Gateway, tmp_path: Path) -> None:
    dev = let_in(up, "audited", tmp_path / "audited", "http://127.0.0.1:9/none")
    pins = pin(dev)
    key_id = register(dev)
    # The partner signs what it sends, so that it cannot deny it.
    body = json.dumps({"order_id": "U-1", "currency": "EUR", "lines": []}).encode()
    authority = f"127.0.0.1:{up.port}"
    draft = Draft(body=body, authority=authority, created=int(time.time()))
    with httpx.Client(base_url=up.url, trust_env=False, timeout=20) as client:
        sent = client.post(draft.path, content=body, headers=draft.signed(PARTNERS_KEY, key_id))
    assert sent.status_code == 201, sent.text
    ref = sent.json()["ref"]
    operator = Operator(up, dev.folder)
    created = operator.run("credentials create --partner audited --role auditor --expires 30d -o auditor.key")
    assert created.code == 0, created.err
    auditor = Developer(up, (dev.folder / "auditor.key").read_text().strip(), dev.folder)
    assert auditor.gw("gw $GW/v1/events/order.placed --json '{}'").status == 403
    assert auditor.gw(f"gw $GW/v1/history/{ref}/evidence?wait=20 > evidence.tar").status == 200
    (dev.folder / "order.json").write_bytes(body)
    (dev.folder / "sender.pub").write_bytes(pem_of(PARTNERS_KEY))
    code, said = offline(
        dev.folder, "evidence.tar", *pins, "--content", "order.json", "--sender-key", "sender.pub"
    )
    told = lists(said)
    assert code == 0, said
    for words in (
        "accepted order.placed 'U-1'",
        "the receipt is entry",
        "contract-1 is what the evidence names",
        "schema.json is what the evidence names",
        "the content is your copy",
        "key that you gave signed it, as",
    ):
        assert any(words in one for one in told["proved"]), (words, said)
    assert any("everybody is shown this same log" in one for one in told["not proved"])
    # One changed letter in any of it, and it proves nothing.
    raw = (dev.folder / "evidence.tar").read_bytes()
    place = raw.index(b'"id":"U-1"') + 6
    (dev.folder / "evidence.tar").write_bytes(raw[:place] + b"V" + raw[place + 1 :])
    assert offline(dev.folder, "evidence.tar", *pins)[0] == 9
