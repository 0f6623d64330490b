import base64
import datetime as dt
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    MappingKeyResolver,
    algorithms,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.public_key import load_key
from gateway.auth.request import Shown
from gateway.auth.signature_base import Site, build_base, site_of
from gateway.auth.signature_fields import read_bytes, read_descriptions
from gateway.errors import CallerError

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "message_signatures.json").read_text())
SIGNATURES = {one["name"]: one for one in VECTORS["signatures"]}
SITE = Site("https", "gw.example")


def shown_of(vector: dict[str, Any]) -> Shown:
    request = vector["request"]
    return Shown(
        headers=tuple((name, value) for name, value in request["headers"]),
        method=request["method"],
        target=request["path"],
        query=request["query"],
    )


def built(vector: dict[str, Any], shown: Shown) -> bytes:
    site = Site(vector["request"]["scheme"], vector["request"]["authority"])
    return build_base(shown, read_descriptions(f"sig={vector['signature_input']}")["sig"], site).encoded()


def fits(vector: dict[str, Any], base: bytes) -> bool:
    key = load_key(base64.b64decode(VECTORS["keys"][vector["key"]]))
    return key.fits(base64.b64decode(vector["signature"]), base)


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_bases_and_signatures_of_the_rfc_are_reproduced(name: str) -> None:
    vector = SIGNATURES[name]
    base = built(vector, shown_of(vector))
    assert base.decode() == "\n".join(vector["base"])
    assert fits(vector, base)
    assert not fits(vector, base + b"\n")


def test_the_rfcs_signature_by_p256_over_a_response_fits_its_base() -> None:
    vector = VECTORS["response"]
    assert fits(vector, "\n".join(vector["base"]).encode())


def test_what_the_rfc_calls_a_harmless_change_of_a_request_changes_no_base() -> None:
    vector = SIGNATURES["B.4"]
    shown = shown_of(vector)
    host, date, first, second = shown.headers
    merged = ("accept", "application/json, */*")
    for harmless in (
        replace(shown, headers=(*shown.headers, ("accept-language", "en-US,en;q=0.5")), query="other"),
        replace(shown, headers=(host, ("referer", "https://developer.example.org/demo"), merged)),
        replace(shown, headers=(first, second, date, host)),
        replace(shown, headers=(host, ("accept", "\t application/json "), second)),
    ):
        assert fits(vector, built(vector, harmless))
    for harmful in (
        replace(shown, method="POST"),
        replace(shown, headers=(host, date, second, first)),
        replace(shown, target="/demo/"),
    ):
        assert not fits(vector, built(vector, harmful))


def test_each_part_of_a_target_has_its_component() -> None:
    shown = Shown(method="GET", target="/a%20b", query="c=d")
    names = ("@request-target", "@target-uri", "@scheme", "@path", "@query", "@authority")
    described = read_descriptions("s=(" + " ".join(f'"{name}"' for name in names) + ")")["s"]
    *lines, _ = build_base(shown, described, SITE).encoded().decode().split("\n")
    assert lines == [
        '"@request-target": /a%20b?c=d',
        '"@target-uri": https://gw.example/a%20b?c=d',
        '"@scheme": https',
        '"@path": /a%20b',
        '"@query": ?c=d',
        '"@authority": gw.example',
    ]
    bare = build_base(Shown(target="", query=""), read_descriptions('s=("@path" "@query")')["s"], SITE)
    assert bare.encoded().startswith(b'"@path": /\n"@query": ?\n')


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("https://GW.example", Site("https", "gw.example")),
        ("https://gw.example:443", Site("https", "gw.example")),
        ("https://gw.example:8443", Site("https", "gw.example:8443")),
        ("http://127.0.0.1:8080", Site("http", "127.0.0.1:8080")),
        ("http://gw.example:80", Site("http", "gw.example")),
        ("http://gw.example:443", Site("http", "gw.example:443")),
        ("https://[2001:DB8::1]:8443", Site("https", "[2001:db8::1]:8443")),
    ],
)
def test_the_authority_is_the_origins_as_a_host_header_has_it(origin: str, site: Site) -> None:
    assert site_of(origin) == site


@pytest.mark.parametrize(
    ("components", "named"),
    [
        ('"@status"', "@status"),
        ('"@query-param";name="a"', "@query-param"),
        ('"date";sf', "date"),
        ('"date";bs', "date"),
        ('"date";key="a"', "date"),
        ('"@method";req', "@method"),
        ('"@method" "@method"', "@method"),
        ('"date" "date"', "date"),
        ('"missing"', "missing"),
        ('"Date"', "signature-input"),
        ('"da te"', "signature-input"),
        ('""', "signature-input"),
        ("date", "signature-input"),
        (":ZGF0ZQ==:", "signature-input"),
        ("1", "signature-input"),
        ('"authorization"', "authorization"),
        ('"cookie"', "cookie"),
        ('"signature"', "signature-input"),
        ('"signature-input"', "signature-input"),
        ('"@signature-params"', "@signature-params"),
        ('"x-latin"', "x-latin"),
        ('"x-control"', "x-control"),
    ],
)
def test_a_component_that_cannot_be_signed_here_is_named(components: str, named: str) -> None:
    headers = (
        ("date", "today"),
        ("x-latin", "caf\xe9"),
        ("x-control", "a\x01b"),
        ("signature", "s=:YQ==:"),
        ("authorization", "Bearer sesame"),
        ("cookie", "sesame"),
    )
    described = read_descriptions(f"s=({components})")["s"]
    with pytest.raises(CallerError) as caught:
        build_base(Shown(headers), described, SITE)
    assert caught.value.code == "signature_invalid"
    assert caught.value.members["component"] == named
    assert "sesame" not in caught.value.text


@dataclass
class Message:
    """A request as the library takes it."""

    method: str
    url: str
    headers: dict[str, str]


class Exact(algorithms.HTTPSignatureAlgorithm):
    """Signs by keeping what it was given."""

    algorithm_id = "ed25519"

    def __init__(self, public_key: Any = None, private_key: Any = None) -> None:
        self.key = private_key or public_key

    def sign(self, message: bytes) -> bytes:
        return message


NAMES = ("date", "content-type", "x-one", "ce-id")
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20).map(
    str.strip
)
COMPONENTS = (
    "@method",
    "@authority",
    "@path",
    "@query",
    "@target-uri",
    "@scheme",
    "@request-target",
    *NAMES,
)


@settings(deadline=None, max_examples=60)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=st.from_regex(r"(/[a-zA-Z0-9._~!$&'()*+,;=:@%-]{0,8}){1,3}", fullmatch=True).filter(
        lambda text: re.fullmatch(r"([^%]|%[0-9A-Fa-f]{2})*", text) is not None
    ),
    query=st.from_regex(r"[a-zA-Z0-9=&/?]{0,12}", fullmatch=True),
    headers=st.fixed_dictionaries(dict.fromkeys(NAMES, VALUES)),
    covered=st.lists(st.sampled_from(COMPONENTS), unique=True, max_size=11),
    keyid=VALUES.filter(bool),
    nonce=VALUES.filter(bool),
    port=st.sampled_from(["", ":8443"]),
)
def test_an_independent_implementation_signs_the_same_bytes(
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    covered: list[str],
    keyid: str,
    nonce: str,
    port: str,
) -> None:
    origin = f"https://gw.example{port}"
    message = Message(method, f"{origin}{path}{'?' if query else ''}{query}", dict(headers))
    signer = HTTPMessageSigner(
        signature_algorithm=Exact,
        key_resolver=MappingKeyResolver(public_keys={}, private_keys={keyid: b"key"}),
    )
    created = dt.datetime.fromtimestamp(1_800_000_000, dt.UTC)
    signer.sign(
        message, key_id=keyid, created=created, nonce=nonce, label="sig1", covered_component_ids=covered
    )
    (described,) = read_descriptions(message.headers["Signature-Input"]).values()
    shown = Shown(tuple(headers.items()), method=method, target=path, query=query)
    ours = build_base(shown, described, site_of(origin)).encoded()
    (theirs,) = read_bytes("signature", message.headers["Signature"]).values()
    assert ours == theirs
    assert (described.string("keyid"), described.string("nonce")) == (keyid, nonce)


def test_the_independent_implementation_verifies_the_rfcs_own_signature_too() -> None:
    """So that the oracle of the test before is one."""
    vector = SIGNATURES["B.2.6"]
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(VECTORS["ed25519_private"]))
    headers = dict(vector["request"]["headers"])
    headers |= {
        "Signature-Input": f"sig={vector['signature_input']}",
        "Signature": f"sig=:{vector['signature']}:",
    }
    verifier = HTTPMessageVerifier(
        signature_algorithm=algorithms.ED25519,
        key_resolver=MappingKeyResolver(public_keys={vector["key"]: key.public_key()}, private_keys={}),
    )
    message = Message("POST", "https://example.com/foo?param=Value&Pet=dog", headers)
    (result,) = verifier.verify(message, max_age=None)
    assert result.parameters["keyid"] == vector["key"]
