import asyncio
import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from gateway.auth.inbound_webhook import InboundWebhooks
from gateway.auth.proof import Proof
from gateway.auth.request import Shown
from gateway.errors import CallerError
from gateway.origin_evidence import Origin
from gateway.standard_webhooks import format_secret
from gateway.vault import MasterKey, Vault
from partners.credential import RAW, SEALED, Credential, secret_place
from partners.directory import Directory
from tests.signing import credential_of

NOW = 1_800_000_000_000
AT = NOW // 1_000
SECRET = b"s" * 32
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
BODY = b'{"order_id":"A-1","qty":3}'
VAULT = Vault(MasterKey({1: b"m" * 32}), os.urandom)


def shared(credential_id: str = "crd_hook", **changes: Any) -> Credential:
    sealed = VAULT.seal(SECRET, secret_place(credential_id))
    return credential_of(credential_id, "hmac", SEALED + sealed, **changes)


def public(credential_id: str = "crd_own", **changes: Any) -> Credential:
    return credential_of(credential_id, "hmac", RAW + KEY.public_key().public_bytes_raw(), **changes)


def v1(body: bytes = BODY, *, secret: bytes = SECRET, at: int = AT, message_id: str = "msg_1") -> str:
    mac = hmac.new(secret, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(mac).decode()


def v1a(body: bytes = BODY, *, at: int = AT, message_id: str = "msg_1") -> str:
    return "v1a," + base64.b64encode(KEY.sign(f"{message_id}.{at}.".encode() + body)).decode()


def shown_of(
    signature: str,
    named: str = "credential=crd_hook",
    *,
    at: int | str = AT,
    is_event: bool = True,
    more: Mapping[str, str] | None = None,
) -> Shown:
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(at),
        "webhook-signature": signature,
        "content-type": "application/json",
    } | dict(more or {})
    sent = tuple((name, value) for name, value in headers.items() if value)
    return Shown(sent, method="POST", target="/v1/events/order.placed", query=named, is_event=is_event)


def proof_of(shown: Shown, *known: Credential, now: int = NOW) -> Proof:
    way = InboundWebhooks(VAULT.open)
    assert way.is_shown(shown)
    return asyncio.run(way.prove(shown, Directory(1, [], known or (shared(), public())), now=now))


def checked(shown: Shown, *known: Credential, body: bytes = BODY, now: int = NOW) -> Origin | None:
    owed = proof_of(shown, *known, now=now).owed
    assert owed is not None
    return owed(body)


def code_of(shown: Shown, *known: Credential, body: bytes = BODY, now: int = NOW) -> str:
    with pytest.raises(CallerError) as caught:
        checked(shown, *known, body=body, now=now)
    return caught.value.code


def test_a_shared_secret_proves_the_sender_and_no_origin() -> None:
    proof = proof_of(shown_of(v1()))
    assert (proof.credential.id, proof.message_id, proof.origin) == ("crd_hook", "msg_1", None)
    assert checked(shown_of(v1())) is None


def test_what_the_stock_library_signs_is_taken() -> None:
    theirs = Webhook(format_secret(SECRET)).sign("msg_1", datetime.fromtimestamp(AT, UTC), BODY.decode())
    assert checked(shown_of(theirs)) is None


def test_the_senders_own_key_proves_the_origin_with_the_exact_bytes_that_it_signed() -> None:
    origin = checked(shown_of(v1a(), "credential=crd_own"))
    assert origin is not None
    assert (origin.algorithm, origin.key_id, origin.base) == (
        "v1a",
        "crd_own",
        f"msg_1.{AT}.".encode() + BODY,
    )
    KEY.public_key().verify(origin.signature, origin.base)
    # The content is kept by itself, and only as long as was agreed: not a second time with its signature.
    assert base64.b64encode(f"msg_1.{AT}.".encode()) in origin.to_json()
    assert b'"base_ends_in":"content"' in origin.to_json()
    assert base64.b64encode(origin.base) not in origin.to_json()


@pytest.mark.parametrize("listed", ["{v1} {old}", "{old} {v1}", "v2,x {v1}", "v1,!! {v1}", "{v1a} {v1}"])
def test_one_of_several_signatures_is_enough(listed: str) -> None:
    text = listed.format(v1=v1(), old=v1(secret=b"o" * 32), v1a=v1a())
    assert checked(shown_of(text)) is None


def test_a_kind_of_signature_is_no_other_kind() -> None:
    assert code_of(shown_of(v1a())) == "signature_invalid"
    assert code_of(shown_of(v1(), "credential=crd_own")) == "signature_invalid"
    public_as_secret = KEY.public_key().public_bytes_raw()
    assert code_of(shown_of(v1(secret=public_as_secret), "credential=crd_own")) == "signature_invalid"
    unknown = credential_of("crd_hook", "hmac", b"\x03" + SECRET)
    assert code_of(shown_of(v1()), unknown) == "signature_invalid"


def test_a_changed_body_id_or_time_is_refused() -> None:
    for signature, named in ((v1(), "credential=crd_hook"), (v1a(), "credential=crd_own")):
        assert code_of(shown_of(signature, named), body=BODY + b" ") == "signature_invalid"
        assert code_of(shown_of(signature, named, at=AT + 1)) == "signature_invalid"
        assert code_of(shown_of(signature, named, more={"webhook-id": "msg_2"})) == "signature_invalid"


def test_time_expiry_and_revocation_are_told_only_with_the_right_signature() -> None:
    wrong = shown_of(v1(secret=b"o" * 32))
    for known, now, code in (
        (shared(), NOW + 301_000, "signature_stale"),
        (shared(), NOW - 301_000, "signature_stale"),
        (shared(not_after=NOW), NOW, "credential_expired"),
        (shared(revoked_at=1), NOW, "credential_revoked"),
    ):
        assert code_of(shown_of(v1()), known, now=now) == code
        assert code_of(wrong, known, now=now) == "signature_invalid"
    assert checked(shown_of(v1()), shared(), now=NOW + 300_999) is None


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (shown_of(v1(), ""), "credential_missing"),
        (shown_of(v1(), "dry_run=true"), "credential_missing"),
        (shown_of(v1(), "credential=crd_hook&credential=crd_own"), "credential_missing"),
        (shown_of(""), "credential_missing"),
        (shown_of(v1(), at=""), "credential_missing"),
        (shown_of(v1(), more={"webhook-id": ""}), "credential_missing"),
        (shown_of(v1(), "credential="), "credential_invalid"),
        (shown_of(v1(), "credential=crd_nobody"), "credential_invalid"),
        (shown_of(v1(), "credential=../crd_hook"), "credential_invalid"),
        (shown_of(v1(), at="1.5"), "signature_invalid"),
        (shown_of(v1(), at="-1"), "signature_invalid"),
        (shown_of(v1(), at="9" * 13), "signature_invalid"),
        (shown_of(v1(), more={"webhook-id": "a.b"}), "signature_invalid"),
        (shown_of(v1(), more={"webhook-id": "x" * 257}), "signature_invalid"),
        (shown_of("v1," + "A" * 4_096), "signature_invalid"),
        (shown_of("v1"), "signature_invalid"),
        (shown_of("v1,"), "signature_invalid"),
        (shown_of(", ,,"), "signature_invalid"),
        (shown_of("v1,caf\xe9"), "signature_invalid"),
        (shown_of(v1(), more={"ce-id": "1"}), "signature_invalid"),
        (shown_of(v1(), more={"ce-type": "other"}), "signature_invalid"),
        (shown_of(v1(), more={"idempotency-key": "k"}), "signature_invalid"),
        (shown_of(v1(), more={"content-type": "application/x-ndjson"}), "media_type_unsupported"),
        (
            shown_of(v1(), more={"content-type": "Application/CloudEvents-Batch+JSON; charset=utf-8"}),
            "media_type_unsupported",
        ),
    ],
)
def test_what_cannot_be_proved_is_refused(shown: Shown, code: str) -> None:
    assert code_of(shown) == code


@pytest.mark.parametrize(
    ("header", "value", "words"),
    [
        ("webhook-id", "a.b", "no dot"),
        ("webhook-id", "a b", "visible characters"),
        ("webhook-id", "x" * 400, "1 to 256"),
        ("webhook-timestamp", "1.5", "whole seconds"),
        ("webhook-signature", "v1," + "A" * 4_096, "4,096 characters"),
    ],
)
def test_a_header_of_another_form_is_named(header: str, value: str, words: str) -> None:
    with pytest.raises(CallerError) as caught:
        checked(shown_of(v1(), more={header: value}))
    assert (caught.value.code, caught.value.members["component"]) == ("signature_invalid", header)
    assert words in str(caught.value)


def test_a_header_that_stands_twice_is_refused() -> None:
    shown = shown_of(v1())
    for twice in shown.headers[:3]:
        doubled = Shown((*shown.headers, twice), query=shown.query, is_event=True)
        assert code_of(doubled) == "signature_invalid"


def test_webhooks_bring_events_and_nothing_else() -> None:
    way = InboundWebhooks(VAULT.open)
    assert not way.is_shown(shown_of(v1(), is_event=False))
    assert not way.is_shown(Shown(query="dry_run=true", is_event=True))


def test_a_secret_that_was_moved_to_another_credential_does_not_open() -> None:
    moved = credential_of("crd_hook", "hmac", shared("crd_other").secret)
    with pytest.raises(Exception, match="does not open"):
        checked(shown_of(v1()), moved)


def test_no_repr_holds_a_secret() -> None:
    proof = proof_of(shown_of(v1()))
    assert v1()[3:] not in repr(proof)
    assert "sesame" not in repr(checked(shown_of(v1a(b"sesame"), "credential=crd_own"), body=b"sesame"))


@settings(deadline=None, max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "content-type"]),
        st.text(max_size=40),
    ),
    st.text(max_size=30).map(lambda text: f"credential=crd_hook{text}") | st.just("credential=crd_hook"),
    st.binary(max_size=20),
)
def test_hostile_heads_raise_one_family(headers: dict[str, str], query: str, body: bytes) -> None:
    with pytest.raises(CallerError):
        checked(Shown(tuple(headers.items()), query=query, is_event=True), body=body)
