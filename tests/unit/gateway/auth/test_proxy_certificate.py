import base64
import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.proxy_certificate import CARRIERS, Notation, Passed, read_passed
from gateway.auth.request import Shown
from gateway.errors import CallerError
from tests.authorities import CLIENT, make, uris

NOW = 1_800_000_000_000
CA = make("ca", at=NOW, is_ca=True)
LEAF = make("acme", CA, at=NOW, extensions=(uris("urn:acme"), CLIENT))
OTHER = make("other", CA, at=NOW)
HASH = hashlib.sha256(LEAF.der).hexdigest()
OTHER_HASH = hashlib.sha256(OTHER.der).hexdigest()


def sf(der: bytes) -> str:
    return f":{base64.b64encode(der).decode()}:"


def escaped(*pems: bytes, safe: str = "") -> str:
    return quote(b"".join(pems), safe=safe)


LEAF_PEM, BOTH_PEM = escaped(LEAF.pem), escaped(LEAF.pem, CA.pem)
AWS_LEAF = escaped(LEAF.pem, safe="+=/")
XFCC = f'Hash={HASH};Cert="{LEAF_PEM}"'
OTHER_XFCC = f'Hash={OTHER_HASH};Cert="{escaped(OTHER.pem)}"'

Headers = Sequence[tuple[str, str]]


def read(notation: Notation, headers: Headers) -> Passed | None:
    return read_passed(notation, Shown(tuple(headers)))


RIGHT: dict[str, tuple[Notation, Headers, Passed | None]] = {
    "rfc9440": ("rfc9440", [("client-cert", sf(LEAF.der))], Passed(LEAF.der)),
    "rfc9440 chain": (
        "rfc9440",
        [("client-cert", f" {sf(LEAF.der)} "), ("client-cert-chain", f"{sf(CA.der)} ,\t{sf(OTHER.der)}")],
        Passed(LEAF.der, (CA.der, OTHER.der)),
    ),
    "rfc9440 none": ("rfc9440", [("x-forwarded-client-cert", XFCC)], None),
    "xfcc": ("xfcc", [("x-forwarded-client-cert", XFCC)], Passed(LEAF.der)),
    "xfcc as Istio sets it": (
        "xfcc",
        [("x-forwarded-client-cert", f'By=spiffe://gw;{XFCC};Subject="CN=a\\,b;=\\"";URI=urn:acme;DNS=')],
        Passed(LEAF.der),
    ),
    "xfcc chain": (
        "xfcc",
        [("x-forwarded-client-cert", f'{XFCC};Chain="{BOTH_PEM}"')],
        Passed(LEAF.der, (CA.der,)),
    ),
    "xfcc last": (
        "xfcc",
        [("x-forwarded-client-cert", f'{OTHER_XFCC};Subject="x", {XFCC}')],
        Passed(LEAF.der),
    ),
    "xfcc quoted comma": (
        "xfcc",
        [("x-forwarded-client-cert", f'Subject="CN=x\\",{OTHER_XFCC.replace(chr(34), chr(39))}";{XFCC}')],
        Passed(LEAF.der),
    ),
    "aws verified": ("aws_alb", [("x-amzn-mtls-clientcert-leaf", AWS_LEAF)], Passed(LEAF.der)),
    "aws passed through": (
        "aws_alb",
        [("x-amzn-mtls-clientcert", escaped(LEAF.pem, CA.pem, safe="+=/"))],
        Passed(LEAF.der, (CA.der,)),
    ),
    "nginx": (
        "nginx",
        [("x-ssl-client-cert", LEAF_PEM), ("x-ssl-client-verify", "SUCCESS")],
        Passed(LEAF.der),
    ),
    "nginx none": ("nginx", [("x-ssl-client-verify", "NONE")], None),
    "nginx none, empty": ("nginx", [("x-ssl-client-verify", "NONE"), ("x-ssl-client-cert", "")], None),
    "nginx CRLF": (
        "nginx",
        [
            ("x-ssl-client-cert", escaped(LEAF.pem.replace(b"\n", b"\r\n"))),
            ("x-ssl-client-verify", "SUCCESS"),
        ],
        Passed(LEAF.der),
    ),
    "off": ("off", [("client-cert", "junk")], None),
}


@pytest.mark.parametrize(("notation", "headers", "passed"), RIGHT.values(), ids=RIGHT)
def test_each_notation_is_read(notation: Notation, headers: Headers, passed: Passed | None) -> None:
    assert read(notation, headers) == passed


def rfc9440(value: str, *more: tuple[str, str]) -> tuple[Notation, Headers]:
    return "rfc9440", [("client-cert", value), *more]


def chained(value: str) -> tuple[Notation, Headers]:
    return rfc9440(sf(LEAF.der), ("client-cert-chain", value))


def xfcc(value: str) -> tuple[Notation, Headers]:
    return "xfcc", [("x-forwarded-client-cert", value)]


def aws(value: str, *more: tuple[str, str]) -> tuple[Notation, Headers]:
    return "aws_alb", [("x-amzn-mtls-clientcert-leaf", value), *more]


def nginx(value: str, verdict: str = "SUCCESS", *more: tuple[str, str]) -> tuple[Notation, Headers]:
    return "nginx", [("x-ssl-client-cert", value), ("x-ssl-client-verify", verdict), *more]


B64 = base64.b64encode(LEAF.der).decode()
FORGED = f"x,{OTHER_XFCC}"
HOSTILE: dict[str, tuple[Notation, Headers]] = {
    "empty": rfc9440(""),
    "one colon": rfc9440(":"),
    "nothing between colons": rfc9440("::"),
    "no colons": rfc9440(B64),
    "one colon missing": rfc9440(f":{B64}"),
    "a string": rfc9440(f'"{B64}"'),
    "PEM": rfc9440(LEAF_PEM),
    "parameters": rfc9440(f"{sf(LEAF.der)};a=1"),
    "a list": rfc9440(f"{sf(LEAF.der)}, {sf(OTHER.der)}"),
    "no padding": rfc9440(":TUE:"),
    "padding within": rfc9440(f":{B64[:40]}={B64[40:]}:"),
    "spare bits set": rfc9440(":MB==:"),
    "URL-safe base64": rfc9440(":" + base64.urlsafe_b64encode(b"\xfb\xff\xfe" * 9).decode() + ":"),
    "blank within": rfc9440(f":{B64[:8]} {B64[8:]}:"),
    "line break within": rfc9440(f":{B64[:64]}\t{B64[64:]}:"),
    "beyond ASCII": rfc9440(":\xe9\xe9\xe9\xe9:"),
    "twice": rfc9440(sf(LEAF.der), ("client-cert", sf(LEAF.der))),
    "underscore beside": rfc9440(sf(LEAF.der), ("client_cert", sf(OTHER.der))),
    "underscore alone": ("rfc9440", [("client_cert", sf(LEAF.der))]),
    "chain alone": ("rfc9440", [("client-cert-chain", sf(CA.der))]),
    "chain twice": rfc9440(sf(LEAF.der), *[("client-cert-chain", sf(CA.der))] * 2),
    "chain empty": chained(""),
    "chain with a gap": chained(f"{sf(CA.der)},,{sf(CA.der)}"),
    "chain ends in a comma": chained(f"{sf(CA.der)},"),
    "chain of tokens": chained("abc"),
    "chain too long": chained(", ".join([sf(CA.der)] * 9)),
    "xfcc empty": xfcc(""),
    "xfcc no pair": xfcc("junk"),
    "xfcc no value": xfcc("Cert"),
    "xfcc without Cert": xfcc(f"By=spiffe://gw;Hash={HASH}"),
    "xfcc Cert in the first element only": xfcc(f"{XFCC},Hash={HASH}"),
    "xfcc without Hash": xfcc(f'Cert="{LEAF_PEM}"'),
    "xfcc Hash of another": xfcc(f'Hash={OTHER_HASH};Cert="{LEAF_PEM}"'),
    "xfcc Cert twice": xfcc(f'{XFCC};Cert="{escaped(OTHER.pem)}"'),
    "xfcc cert in small letters too": xfcc(f'{XFCC};cert="{escaped(OTHER.pem)}"'),
    "xfcc Hash twice": xfcc(f"{XFCC};Hash={OTHER_HASH}"),
    "xfcc element forged by a name": xfcc(f"{XFCC};URI={FORGED}"),
    "xfcc element forged by a quoted name": xfcc(f'{XFCC};DNS="x",{OTHER_XFCC}'),
    "xfcc element forged by a name in the last one": xfcc(f"{XFCC};URI=x,{OTHER_XFCC};DNS=y"),
    "xfcc pair forged by a name": xfcc(f'Hash={HASH};URI=x;Cert="{escaped(OTHER.pem)}"'),
    "xfcc quote left open": xfcc(f'Hash={HASH};Cert="{LEAF_PEM}'),
    "xfcc quote within": xfcc(f'Hash={HASH};Cert=a"{LEAF_PEM}"'),
    "xfcc after a quote": xfcc(f'Hash={HASH};Cert="{LEAF_PEM}"x'),
    "xfcc escaped end": xfcc(f'Hash={HASH};Cert="{LEAF_PEM}\\"'),
    "xfcc ends in a separator": xfcc(f"{XFCC};"),
    "xfcc ends in a comma": xfcc(f"{XFCC},"),
    "xfcc begins with a comma": xfcc(f",{XFCC}"),
    "xfcc two certificates": xfcc(f'Hash={HASH};Cert="{BOTH_PEM}"'),
    "xfcc chain broken": xfcc(f'{XFCC};Chain="x"'),
    "xfcc not encoded": xfcc(f'Hash={HASH};Cert="{LEAF.pem.decode()}"'),
    "xfcc twice": ("xfcc", [*xfcc(XFCC)[1], *xfcc(XFCC)[1]]),
    "xfcc underscored": ("xfcc", [("x_forwarded_client_cert", XFCC)]),
    "aws empty": aws(""),
    "aws junk": aws("junk"),
    "aws base64 alone": aws(B64),
    "aws bad escape": aws(AWS_LEAF.replace("%20", "%2", 1)),
    "aws escape of no hex": aws(AWS_LEAF.replace("%20", "%ZZ", 1)),
    "aws plus for a blank": aws(AWS_LEAF.replace("%20", "+")),
    "aws two in the leaf": aws(escaped(LEAF.pem, CA.pem, safe="+=/")),
    "aws both headers": aws(AWS_LEAF, ("x-amzn-mtls-clientcert", AWS_LEAF)),
    "aws twice": aws(AWS_LEAF, ("x-amzn-mtls-clientcert-leaf", AWS_LEAF)),
    "aws mixed spelling": aws(AWS_LEAF, ("x-amzn-mtls_clientcert-leaf", AWS_LEAF)),
    "aws text before": aws("x" + AWS_LEAF),
    "aws text after": aws(AWS_LEAF + "x"),
    "aws text between": aws(escaped(LEAF.pem + b"x" + CA.pem)),
    "aws other label": aws(escaped(LEAF.pem.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"))),
    "aws a key": aws(escaped(LEAF.pem.replace(b"CERTIFICATE", b"PRIVATE KEY"))),
    "aws empty block": aws(escaped(b"-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n")),
    "aws NUL": aws(escaped(LEAF.pem[:80] + b"\x00" + LEAF.pem[80:])),
    "aws twice encoded": aws(quote(AWS_LEAF)),
    "aws bare CR": aws(escaped(LEAF.pem[:60] + b"\r" + LEAF.pem[60:])),
    "nginx no verdict": ("nginx", [("x-ssl-client-cert", LEAF_PEM)]),
    "nginx verdict empty": nginx(LEAF_PEM, ""),
    "nginx failed": nginx(LEAF_PEM, "FAILED:unable to verify the first certificate"),
    "nginx none with a certificate": nginx(LEAF_PEM, "NONE"),
    "nginx small letters": nginx(LEAF_PEM, "success"),
    "nginx success of nothing": nginx(""),
    "nginx success alone": ("nginx", [("x-ssl-client-verify", "SUCCESS")]),
    "nginx two certificates": nginx(BOTH_PEM),
    "nginx verdict twice": nginx(LEAF_PEM, "FAILED:x", ("x-ssl-client-verify", "SUCCESS")),
    "nginx verdict underscored": nginx(LEAF_PEM, "FAILED:x", ("x_ssl_client_verify", "SUCCESS")),
    "nginx with tabs as $ssl_client_cert": nginx(LEAF.pem.decode().replace("\n", "\t")),
}


@pytest.mark.parametrize(("notation", "headers"), HOSTILE.values(), ids=HOSTILE)
def test_nothing_else_is_taken(notation: Notation, headers: Headers) -> None:
    with pytest.raises(CallerError) as caught:
        read(notation, headers)
    assert caught.value.code == "credential_invalid"
    assert "client" in caught.value.text
    assert B64[:24] not in caught.value.text


VALUES = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=60),
    st.lists(
        st.sampled_from(
            [
                XFCC,
                sf(LEAF.der),
                LEAF_PEM,
                AWS_LEAF,
                *',;="\\ :%',
                "Cert=",
                "Hash=",
                HASH,
                "NONE",
                "SUCCESS",
                "a",
            ]
        ),
        max_size=8,
    ).map("".join),
)
NAMES: Callable[[Notation], Any] = lambda notation: st.sampled_from(  # noqa: E731 - a strategy of one argument
    [*CARRIERS[notation], *(one.replace("-", "_", 1) for one in CARRIERS[notation])]
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_stands_there_raises_one_family(data: st.DataObject) -> None:
    notation: Notation = data.draw(st.sampled_from(["rfc9440", "xfcc", "aws_alb", "nginx"]))
    headers = data.draw(st.lists(st.tuples(NAMES(notation), VALUES), max_size=3))
    with suppress(CallerError):
        passed = read(notation, headers)
        if passed is not None:
            assert passed.certificate
            assert not any("_" in name for name, _ in headers)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80))
def test_no_name_in_a_clients_certificate_changes_whose_it_is(name: str) -> None:
    """As Envoy writes it: a URI as it is, unquoted."""
    for text in (f"{XFCC};URI={name}", f"{XFCC};URI={name},{OTHER_XFCC}", f"{XFCC};URI={name};{OTHER_XFCC}"):
        with suppress(CallerError):
            passed = read("xfcc", [("x-forwarded-client-cert", text)])
            assert passed == Passed(LEAF.der)
