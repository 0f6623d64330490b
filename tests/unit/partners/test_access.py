import json
from typing import Any

import pytest

from partners.access import (
    MAX_HEADERS,
    EndpointAccess,
    access_place,
    decode_access,
    encode_access,
    parse_access,
    shown_access,
)
from partners.errors import AccessError
from tests.certificates import SERVER, certified, private_pem

OURS = certified("gateway")
AUTHORITY = certified("authority", is_authority=True, usages=())
SECRET = "s3cret-that-nobody-sees"
MTLS = {"kind": "mtls", "certificate": OURS.pem, "private_key": private_pem(OURS.key)}
OAUTH = {
    "kind": "oauth2",
    "token_url": "https://Login.Acme.example/token",
    "client_id": "gateway",
    "client_secret": SECRET,
}
HEADERS = {"kind": "headers", "headers": {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET}}
ALL = [{"kind": "none"}, MTLS, OAUTH, HEADERS, {**HEADERS, "ca": AUTHORITY.pem}]


@pytest.mark.parametrize("given", ALL, ids=lambda one: one["kind"])
def test_what_is_read_is_kept_and_read_again(given: dict[str, Any]) -> None:
    access = parse_access(given)
    assert access.kind == given["kind"]
    assert decode_access(encode_access(access)) == access


@pytest.mark.parametrize("given", ALL, ids=lambda one: one["kind"])
def test_nothing_secret_is_shown_or_printed(given: dict[str, Any]) -> None:
    access = parse_access(given)
    told = repr(access) + str(access) + json.dumps(shown_access(access))
    assert SECRET not in told
    assert "PRIVATE KEY" not in told
    assert "BEGIN" not in told


def test_what_is_shown_lets_its_owner_know_it_again() -> None:
    assert shown_access(parse_access(MTLS)) == {"kind": "mtls", "certificate_sha256": OURS.sha256}
    assert shown_access(parse_access(HEADERS))["headers"] == ["Authorization", "X-Api-Key"]
    shown = shown_access(parse_access({**OAUTH, "scope": "a b", "ca": AUTHORITY.pem}))
    assert shown == {
        "kind": "oauth2",
        "token_url": "https://login.acme.example/token",
        "client_id": "gateway",
        "scope": "a b",
        "sending": "basic",
        "ca_sha256": [AUTHORITY.sha256],
    }


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        (None, ""),
        ([], ""),
        ({}, "/kind"),
        ({"kind": 1}, "/kind"),
        ({"kind": "basic"}, "/kind"),
        ({"kind": "none", "secret": SECRET}, ""),
        ({**MTLS, "private_key": OURS.pem}, "/certificate"),
        ({**MTLS, "private_key": private_pem(AUTHORITY.key)}, "/certificate"),
        ({**MTLS, "private_key": SECRET}, "/certificate"),
        ({**MTLS, "private_key": "é" * 10}, "/certificate"),
        ({**MTLS, "certificate": private_pem(OURS.key)}, "/certificate"),
        ({"kind": "mtls", "certificate": OURS.pem}, "/private_key"),
        ({**MTLS, "ca": OURS.pem}, "/ca"),
        ({**MTLS, "ca": "no PEM"}, "/ca"),
        ({**OAUTH, "token_url": "http://login.acme.example/token"}, "/token_url"),
        ({**OAUTH, "token_url": f"https://u:{SECRET}@acme.example/"}, "/token_url"),
        ({**OAUTH, "token_url": "http://127.0.0.1:8080/"}, "/token_url"),
        ({**OAUTH, "client_secret": ""}, "/client_secret"),
        ({**OAUTH, "client_secret": f"{SECRET}\r\nX: y"}, "/client_secret"),
        ({**OAUTH, "client_id": "g" * 600}, "/client_id"),
        ({**OAUTH, "scope": 'a"b'}, "/scope"),
        ({**OAUTH, "sending": "query"}, "/sending"),
        ({**OAUTH, "headers": {}}, ""),
        ({"kind": "headers", "headers": {}}, "/headers"),
        ({"kind": "headers", "headers": {f"x-{n}": "v" for n in range(MAX_HEADERS + 1)}}, "/headers"),
        ({"kind": "headers", "headers": {"a b": SECRET}}, "/headers"),
        ({"kind": "headers", "headers": {1: SECRET}}, "/headers"),
        ({"kind": "headers", "headers": {"X-Key": f"{SECRET}\r\nHost: other"}}, "/headers/X-Key"),
        ({"kind": "headers", "headers": {"X-Key": " x"}}, "/headers/X-Key"),
        ({"kind": "headers", "headers": {"X-Key": "x", "x-key": "y"}}, "/headers/x-key"),
        ({"kind": "headers", "headers": {"Host": "inner"}}, "/headers/Host"),
        ({"kind": "headers", "headers": {"Content-Length": "1"}}, "/headers/Content-Length"),
        ({"kind": "headers", "headers": {"Transfer-Encoding": "x"}}, "/headers/Transfer-Encoding"),
        ({"kind": "headers", "headers": {"webhook-id": "x"}}, "/headers/webhook-id"),
        ({"kind": "headers", "headers": {"Cookie": "x"}}, "/headers/Cookie"),
    ],
)
def test_what_is_no_demand_is_refused_with_its_place_and_without_its_words(given: Any, pointer: str) -> None:
    with pytest.raises(AccessError) as refused:
        parse_access(given)
    assert refused.value.pointer == pointer
    assert SECRET not in str(refused.value)
    assert refused.value.code == "endpoint_invalid"


def test_a_certificate_that_is_for_servers_alone_is_refused() -> None:
    server = certified("gateway", usages=SERVER)
    with pytest.raises(AccessError, match="clientAuth"):
        parse_access({**MTLS, "certificate": server.pem, "private_key": private_pem(server.key)})


def test_a_token_server_on_loopback_is_for_trying_out() -> None:
    given = {**OAUTH, "token_url": "http://127.0.0.1:8080/token"}
    assert parse_access(given, allow_insecure_loopback=True).kind == "oauth2"


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"kind":"magic","demand":null,"authorities":""}'])
def test_what_was_kept_and_cannot_be_read_says_so(raw: bytes) -> None:
    with pytest.raises(AccessError, match="set it again"):
        decode_access(raw)


def test_each_endpoint_has_a_place_of_its_own() -> None:
    assert access_place("ep_1") != access_place("ep_2")
    assert EndpointAccess().kind == "none"
