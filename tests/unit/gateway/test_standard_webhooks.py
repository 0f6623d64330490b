import base64
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.standard_webhooks import (
    WebhookSecretError,
    WebhookSignatureError,
    format_secret,
    parse_public_key,
    parse_secret,
    read_message,
    sign,
    verify_message,
)

VECTOR = json.loads((Path(__file__).parents[2] / "vectors" / "formats.json").read_text())["webhook"]
OLD, NEW = b"o" * 32, b"n" * 32
AT = 1_795_352_745


def headers_of(signature: str, *, at: int = AT, message_id: str = "evt_1") -> dict[str, str]:
    return {"Webhook-Id": message_id, "webhook-timestamp": str(at), "WEBHOOK-SIGNATURE": signature}


def code_of(
    headers: dict[str, str], body: bytes, *, now: int = AT, secrets: tuple[bytes, ...] = (OLD,)
) -> str:
    with pytest.raises(WebhookSignatureError) as caught:
        verify_message(headers, body, secrets, now_seconds=now)
    return caught.value.code


def test_the_vector_of_the_formats_page_is_reproduced() -> None:
    secret = parse_secret(VECTOR["secret"])
    assert sign([secret], VECTOR["id"], VECTOR["timestamp"], VECTOR["body"].encode()) == VECTOR["signature"]
    assert format_secret(secret) == VECTOR["secret"]


def test_an_independent_implementation_accepts_our_signature_and_we_accept_its() -> None:
    at, body = int(time.time()), '{"a":"côte"}'
    theirs = Webhook(format_secret(OLD))
    ours = {**headers_of(sign([NEW, OLD], "evt_1", at, body.encode()), at=at)}
    assert theirs.verify(body.encode(), ours) == {"a": "côte"}
    signature = theirs.sign("evt_1", datetime.fromtimestamp(at, UTC), body)
    assert verify_message(headers_of(signature, at=at), body.encode(), [OLD], now_seconds=at) == "evt_1"
    with pytest.raises(WebhookVerificationError):
        theirs.verify(body.encode(), headers_of(sign([NEW], "evt_1", at, body.encode()), at=at))


def test_either_secret_of_a_rotation_verifies() -> None:
    headers = headers_of(sign([NEW, OLD], "evt_1", AT, b"body"))
    for secret in (OLD, NEW):
        assert verify_message(headers, b"body", [secret], now_seconds=AT) == "evt_1"


def test_a_changed_body_id_or_time_is_invalid() -> None:
    signature = sign([OLD], "evt_1", AT, b"body")
    assert code_of(headers_of(signature), b"bodY") == "signature_invalid"
    assert code_of(headers_of(signature, message_id="evt_2"), b"body") == "signature_invalid"
    assert code_of(headers_of(signature, at=AT + 1), b"body") == "signature_invalid"
    assert code_of(headers_of(signature), b"body", secrets=(NEW,)) == "signature_invalid"
    assert code_of(headers_of(signature), b"body", secrets=()) == "signature_invalid"


def test_a_stale_time_is_told_only_to_who_signed() -> None:
    headers = headers_of(sign([OLD], "evt_1", AT, b"body"))
    assert verify_message(headers, b"body", [OLD], now_seconds=AT + 300) == "evt_1"
    assert code_of(headers, b"body", now=AT + 301) == "signature_stale"
    assert code_of(headers, b"body", now=AT - 301) == "signature_stale"
    assert code_of(headers, b"body", now=AT + 301, secrets=(NEW,)) == "signature_invalid"


@pytest.mark.parametrize("missing", ["Webhook-Id", "webhook-timestamp", "WEBHOOK-SIGNATURE"])
def test_a_missing_header_is_named_as_missing(missing: str) -> None:
    headers = headers_of(sign([OLD], "evt_1", AT, b"body"))
    del headers[missing]
    assert code_of(headers, b"body") == "credential_missing"


def test_unknown_versions_and_broken_items_are_passed_over() -> None:
    good = sign([OLD], "evt_1", AT, b"body")
    for text in (f"v1a,abcd {good}", f"v1,*** {good}", f"v1 {good}", f"  {good}", f"v2,{good[3:]} {good}"):
        assert verify_message(headers_of(text), b"body", [OLD], now_seconds=AT) == "evt_1"
    assert code_of(headers_of("v2" + good[2:]), b"body") == "signature_invalid"


@given(
    st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()),
    st.binary(),
)
def test_hostile_headers_raise_one_family(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(WebhookSignatureError):
        verify_message(headers, body, [OLD], now_seconds=AT)


@given(st.text() | st.text().map(lambda text: "whsec_" + text))
def test_a_secret_is_read_or_refused_by_one_family(text: str) -> None:
    try:
        secret = parse_secret(text)
    except WebhookSecretError:
        return
    assert 24 <= len(secret) <= 64


@pytest.mark.parametrize("length", [0, 23, 65])
def test_a_secret_of_a_wrong_length_is_refused_without_being_repeated(length: int) -> None:
    text = "whsec_" + base64.b64encode(b"\xfe" * length).decode()
    with pytest.raises(WebhookSecretError) as caught:
        parse_secret(text)
    assert text not in str(caught.value)
    with pytest.raises(WebhookSecretError):
        format_secret(b"\xfe" * length)


def test_nothing_is_signed_without_a_secret_or_under_an_id_with_a_dot() -> None:
    with pytest.raises(WebhookSecretError):
        sign([], "evt_1", AT, b"")
    with pytest.raises(ValueError, match="dots"):
        sign([OLD], "evt.1", AT, b"")


def test_a_public_key_as_shown_is_its_32_bytes_or_refused_by_one_family() -> None:
    assert parse_public_key("whpk_" + base64.b64encode(b"p" * 32).decode()) == b"p" * 32
    for text in ("", "whpk_", "p" * 32, base64.b64encode(b"p" * 32).decode(), "whpk_%%", "whpk_caf\xe9"):
        with pytest.raises(WebhookSecretError):
            parse_public_key(text)
    for length in (31, 33):
        with pytest.raises(WebhookSecretError):
            parse_public_key("whpk_" + base64.b64encode(b"p" * length).decode())


def test_the_signature_that_fits_is_returned_for_either_version() -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    mine = key.sign(f"evt_1.{AT}.body".encode())
    listed = f"{sign([NEW, OLD], 'evt_1', AT, b'body')} v1a,AAAA v1a,{base64.b64encode(mine).decode()}"
    message = read_message(headers_of(listed))
    assert message.verify_v1a(b"body", key.public_key().public_bytes_raw()) == mine
    assert "v1," + base64.b64encode(message.verify_v1(b"body", [OLD])).decode() == listed.split(" ")[1]
    with pytest.raises(WebhookSignatureError):
        message.verify_v1a(b"bodY", key.public_key().public_bytes_raw())
    assert base64.b64encode(mine).decode() not in repr(message)
