"""A client's certificate as a proxy in front hands it on, in one of four notations, each read exactly.

Whom to believe is not decided here, see `gateway.auth.proxy`; nor is anything of a certificate verified, see
`gateway.auth.certificate`. A header that stands twice, or in a second spelling, has passed the proxy from
somebody else: nobody chooses between the two.

Source: RFC 9440 and RFC 8941 section 3.3.5; Envoy, HTTP connection manager, x-forwarded-client-cert; AWS
Application Load Balancer, mutual TLS; nginx, ngx_http_ssl_module, `$ssl_client_escaped_cert`.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

from gateway.auth.request import Shown
from gateway.errors import CallerError

Notation = Literal["off", "rfc9440", "xfcc", "aws_alb", "nginx"]

CARRIERS: Final[Mapping[Notation, Sequence[str]]] = {
    "off": (),
    "rfc9440": ("client-cert", "client-cert-chain"),
    "xfcc": ("x-forwarded-client-cert",),
    "aws_alb": ("x-amzn-mtls-clientcert-leaf", "x-amzn-mtls-clientcert"),
    "nginx": ("x-ssl-client-cert", "x-ssl-client-verify"),
}
"""The headers of each notation, names in lower case."""

MAX_CHAIN: Final = 8
_ENCODED: Final = re.compile(r"(?:[A-Za-z0-9._~+/=-]|%[0-9A-Fa-f]{2})*")
_PEM: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----[\r\n]*"
)
_PAIR: Final = re.compile(r'([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;=\\]*))')
_OUTER: Final = re.compile(r"[ \t]*,[ \t]*")


@dataclass(frozen=True, slots=True)
class Passed:
    """What a proxy has handed on, DER: the client's certificate, and those that came with it."""

    certificate: bytes = field(repr=False)
    chain: tuple[bytes, ...] = field(default=(), repr=False)


def read_passed(notation: Notation, shown: Shown) -> Passed | None:
    """Read the certificate from the headers of a request; None where the client has shown none.

    Raises:
        CallerError: `credential_invalid`: a header cannot be read, or stands twice.
    """
    carriers = CARRIERS[notation]
    if not carriers:
        return None
    values: dict[str, str] = {}
    for name, value in shown.headers:
        plain = name.replace("_", "-")
        if plain in carriers:
            if plain != name or plain in values:
                raise _refusal(plain, "stands more than once, or in two spellings: the proxy must remove it")
            values[plain] = value.strip(" \t")
    return _READERS[notation](values) if values else None


def _rfc9440(values: Mapping[str, str]) -> Passed:
    name, chain_name = CARRIERS["rfc9440"]
    if name not in values:
        raise _refusal(chain_name, f"stands without {name}")
    chain = [_byte_sequence(one, chain_name) for one in _OUTER.split(values.get(chain_name, "")) if one]
    if chain_name in values and (not chain or _OUTER.split(values[chain_name]).count("")):
        raise _refusal(chain_name, "is not a list of byte sequences, :base64:")
    return _passed(_byte_sequence(values[name], name), chain, chain_name)


def _byte_sequence(text: str, name: str) -> bytes:
    if len(text) < 3 or text[0] != ":" or text[-1] != ":":  # noqa: PLR2004 - two colons, and something between
        raise _refusal(name, "is not a byte sequence, :base64:")
    return _base64(text[1:-1].encode("latin-1"), name)


def _xfcc(values: Mapping[str, str]) -> Passed:
    """Of several elements the last is by the proxy next to us; the others may say what they like.

    Envoy writes URI and DNS without quotes, as the client's certificate has them: a name in it can hold
    `,Hash=..;Cert=".."`, which then looks like another element. So where there are several, none may have a
    URI or DNS; and a Cert counts only with the one Hash, which Envoy always writes, and first.
    """
    (name,) = CARRIERS["xfcc"]
    elements = list(_elements(values[name], name))
    if len(elements) > 1 and any(key in {"uri", "dns"} for one in elements for key, _ in one):
        text = "has several elements, with URI or DNS: use SANITIZE_SET, or leave `uri` and `dns` out"
        raise _refusal(name, text)
    found: dict[str, str] = {}
    for key, value in elements[-1]:
        if key in found and key in {"cert", "chain", "hash"}:
            raise _refusal(name, f"has {key} twice in one element")
        found[key] = value
    if "cert" not in found:
        raise _refusal(name, "has no Cert in its last element: tell Envoy to set `cert: true`")
    (certificate,) = _one(_certificates(found["cert"], name), name)
    if found.get("hash", "").lower() != sha256(certificate).hexdigest():
        raise _refusal(name, "has a Hash that is not of its Cert, or none")
    chain = _certificates(found["chain"], name) if "chain" in found else []
    return _passed(certificate, chain[1:] if chain[:1] == [certificate] else chain, name)


def _elements(text: str, name: str) -> Iterator[list[tuple[str, str]]]:
    """Each element as its pairs, keys in lower case; what is quoted may hold separators."""
    at = 0
    element: list[tuple[str, str]] = []
    while True:
        pair = _PAIR.match(text, at)
        if pair is None:
            raise _refusal(name, "is not a list of elements, Key=value;Key=value")
        quoted, plain = pair[2], pair[3]
        element.append((pair[1].lower(), plain if quoted is None else quoted.replace('\\"', '"')))
        at = pair.end()
        if at == len(text):
            yield element
            return
        outer = _OUTER.match(text, at)
        if outer is not None:
            yield element
            element, at = [], outer.end()
        elif text[at] == ";":
            at += 1
        else:
            raise _refusal(name, "is not a list of elements, Key=value;Key=value")


def _aws_alb(values: Mapping[str, str]) -> Passed:
    """Verified by the balancer: the certificate alone; passed through: with the chain behind it."""
    if len(values) > 1:
        raise _refusal(" and ".join(values), "stand both: a balancer sends one of them")
    ((name, value),) = values.items()
    certificate, *chain = _certificates(value, name)
    if chain and name == CARRIERS["aws_alb"][0]:
        raise _refusal(name, "holds more than one certificate")
    return _passed(certificate, chain, name)


def _nginx(values: Mapping[str, str]) -> Passed | None:
    name, verdict_name = CARRIERS["nginx"]
    verdict, value = values.get(verdict_name, ""), values.get(name, "")
    if verdict == "NONE" and not value:
        return None
    if verdict != "SUCCESS":
        raise _refusal(verdict_name, "is not SUCCESS: nginx could not verify the client's certificate")
    (certificate,) = _one(_certificates(value, name), name)
    return _passed(certificate, [], name)


_READERS: Final = {"rfc9440": _rfc9440, "xfcc": _xfcc, "aws_alb": _aws_alb, "nginx": _nginx}


def _certificates(text: str, name: str) -> list[bytes]:
    """PEM in URL encoding, one certificate or more and nothing else."""
    if not _ENCODED.fullmatch(text):
        raise _refusal(name, "is not URL-encoded PEM")
    pem, at = unquote_to_bytes(text), 0
    found: list[bytes] = []
    while at < len(pem):
        block = _PEM.match(pem, at)
        if block is None:
            raise _refusal(name, "is not URL-encoded PEM")
        found.append(_base64(re.sub(rb"\r?\n", b"", block[1]), name))
        at = block.end()
    if not found:
        raise _refusal(name, "is empty")
    return found


def _one(found: list[bytes], name: str) -> list[bytes]:
    if len(found) != 1:
        raise _refusal(name, "holds more than one certificate")
    return found


def _base64(text: bytes, name: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _refusal(name, "does not hold base64") from error
    if not found or base64.b64encode(found) != text:
        raise _refusal(name, "does not hold base64 in its one right form")
    return found


def _passed(certificate: bytes, chain: Sequence[bytes], name: str) -> Passed:
    if len(chain) > MAX_CHAIN:
        raise _refusal(name, f"holds more than {MAX_CHAIN} certificates of authorities")
    return Passed(certificate, tuple(chain))


def _refusal(name: str, what: str) -> CallerError:
    return CallerError("credential_invalid", f"The proxy's header {name} {what}.")
