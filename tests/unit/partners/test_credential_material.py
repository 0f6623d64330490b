"""What credentials are made of: good texts, texts that mean harm, and one family of errors for both."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from partners.credential_material import (
    read_authorities,
    read_certificate,
    read_oauth_client,
    read_public_key,
    read_webhook_key,
    read_webhook_secret,
    verify_issuer,
)
from partners.errors import CredentialMaterialError
from tests.certificates import NOW, SERVER, Certified, certified, private_pem, public_pem

URI = "spiffe://acme.example/gateway"
RSA = rsa.generate_private_key(65_537, 2_048)
WEAK = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - to be refused
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LEAF = certified()
ROOT = certified("root", is_authority=True, usages=())
NOW_MS = int(NOW.timestamp() * 1_000)
Read = Callable[[str], object]


def authorities(text: str) -> object:
    return read_authorities(text, URI)


def b64(number: int, size: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(size)).decode().rstrip("=")


def jwk_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> dict[str, str]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.public_key().public_bytes_raw()
        return {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"kty": "RSA", "n": b64(numbers.n, 256), "e": b64(numbers.e, 3)}
    point = key.public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": b64(point.x, 32), "y": b64(point.y, 32)}


def test_a_certificate_is_known_by_its_digest_and_its_times() -> None:
    read = read_certificate(LEAF.pem)
    assert (read.match, read.der) == (f"sha256:{LEAF.sha256}", LEAF.der)
    assert (read.not_before, read.not_after) == (NOW_MS, NOW_MS + 365 * 86_400_000)
    assert not read.is_authority
    assert read_certificate(ROOT.pem).is_authority
    assert read_certificate(f"openssl x509 says:\n{LEAF.pem}".replace("\n", "\r\n")) == read


@pytest.mark.parametrize("key", [RSA, EC, ED, ec.generate_private_key(ec.SECP384R1())])
def test_certificates_of_strong_keys_are_taken(key: Any) -> None:
    made = certified(key=key, usages=())
    assert read_certificate(made.pem).der == made.der


def test_authorities_are_taken_with_their_uri_each_once() -> None:
    other = certified("other", is_authority=True, usages=(), days=700)
    read = read_authorities(ROOT.pem + other.pem + ROOT.pem, URI)
    assert read.match == f"uri:{URI}"
    assert x509.load_pem_x509_certificates(read.authorities) == [ROOT.certificate, other.certificate]
    assert read.not_after == NOW_MS + 700 * 86_400_000


@pytest.mark.parametrize("key", [RSA, EC, ED])
def test_a_public_key_is_the_same_as_pem_and_as_jwk(key: Any) -> None:
    read = read_public_key(public_pem(key))
    assert read_public_key(json.dumps(jwk_of(key) | {"kid": "x", "use": "sig", "alg": "none"})) == read
    assert load_der_public_key(read.spki) == key.public_key()


def test_clients_and_webhook_texts_are_read() -> None:
    client = read_oauth_client("https://id.acme.example", "acme-prod", "gw")
    assert client.match == "https://id.acme.example\nacme-prod"
    assert json.loads(client.secret()) == {"audience": "gw"}
    assert read_webhook_secret("whsec_" + base64.b64encode(b"s" * 24).decode()).secret == b"s" * 24
    raw = ED.public_key().public_bytes_raw()
    assert read_webhook_key("whpk_" + base64.b64encode(raw).decode()).public_key == raw


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("https://id.acme.example", True),
        ("https://id.acme.example:8443/realms/acme/", True),
        ("https://login.example/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/v2.0", True),
        ("http://127.0.0.1:9000", True),
        ("http://localhost/x", True),
        ("http://[::1]:80", True),
        ("http://id.acme.example", False),
        ("http://127.0.0.1.example", False),
        ("http://localhost.example", False),
        ("https://", False),
        ("https:///x", False),
        ("https://user@id.example", False),
        ("https://id.example?x=1", False),
        ("https://id.example/#x", False),
        ("https://id.example/ x", False),
        ("ftp://id.example", False),
        ("", False),
    ],
)
def test_an_issuer_is_a_url_to_the_letter(text: str, is_one: bool) -> None:  # noqa: FBT001 - a column of the table
    if is_one:
        assert verify_issuer(text) == text
        return
    with pytest.raises(CredentialMaterialError, match="issuer"):
        verify_issuer(text)


def test_no_repr_shows_what_is_secret() -> None:
    text = "whsec_" + base64.b64encode(b"secret-of-24-bytes------").decode()
    assert "secret-of" not in repr(read_webhook_secret(text))


def block(label: str, raw: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.b64encode(raw).decode()}\n-----END {label}-----\n"


def with_bytes(made: Certified, old: bytes, new: bytes) -> str:
    assert old in made.der
    return block("CERTIFICATE", made.der.replace(old, new))


HOSTILE: list[tuple[Read, str, str]] = [
    (read_certificate, "", "PEM"),
    (read_certificate, "-----BEGIN CERTIFICATE-----", "PEM"),
    (read_certificate, LEAF.pem + LEAF.pem, "without its chain"),
    (read_certificate, LEAF.pem + "-----BEGIN CERTIFICATE-----\nAA", "PEM"),
    (read_certificate, public_pem(EC), "CERTIFICATE"),
    (read_certificate, private_pem(EC), "private key"),
    (read_certificate, LEAF.pem + private_pem(EC), "private key"),
    (read_certificate, block("CERTIFICATE", b""), "damaged"),
    (read_certificate, block("CERTIFICATE", LEAF.der[:-1]), "damaged"),
    (read_certificate, block("CERTIFICATE", LEAF.der + b"\x00"), "damaged"),
    (read_certificate, block("CERTIFICATE", b"\x30\x84\xff\xff\xff\xff"), "damaged"),
    (read_certificate, block("CERTIFICATE", b"\x30\x80" * 5_000), "damaged"),
    (read_certificate, "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----", "base64"),
    (read_certificate, LEAF.pem.replace("M", "\u00e9", 1), "ASCII"),
    (read_certificate, LEAF.pem + " " * 65_536, "characters"),
    (read_certificate, certified(usages=SERVER).pem, "clientAuth"),
    (read_certificate, certified(usages=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)).pem, "clientAuth"),
    (read_certificate, certified(key=WEAK).pem, "too weak"),
    (authorities, LEAF.pem, "may not issue others"),
    (authorities, ROOT.pem + LEAF.pem, "may not issue others"),
    (authorities, ROOT.pem * 9, "at most 8"),
    (lambda text: read_authorities(text, "acme"), ROOT.pem, "SAN URI"),
    (lambda text: read_authorities(text, "spiffe://a b"), ROOT.pem, "SAN URI"),
    (lambda text: read_authorities(text, "spiffe://\u00e9"), ROOT.pem, "SAN URI"),
    (lambda text: read_authorities(text, "u:" + "x" * 480), ROOT.pem, "SAN URI"),
    (read_public_key, LEAF.pem, "PUBLIC KEY"),
    (read_public_key, public_pem(EC) * 2, "one PEM block"),
    (read_public_key, private_pem(ED), "private key"),
    (read_public_key, public_pem(WEAK), "2048 to 4096"),
    (read_public_key, public_pem(ec.generate_private_key(ec.SECP384R1())), "must be Ed25519"),
    (read_public_key, block("PUBLIC KEY", b"\x30\x03\x02\x01\x00"), "damaged"),
    (read_public_key, "{", "JSON"),
    (read_public_key, "{" * 10_000, "JSON"),
    (read_public_key, '{"a":' * 60_000, "characters"),
    (read_public_key, '{"kty":"oct","k":"AAAA"}', "private key"),
    (read_public_key, json.dumps(jwk_of(ED) | {"d": "AAAA"}), "private key"),
    (read_public_key, json.dumps(jwk_of(ED) | {"x": "AAAA"}), "damaged"),
    (read_public_key, json.dumps(jwk_of(ED) | {"x": 7}), "base64url"),
    (read_public_key, json.dumps(jwk_of(ED) | {"x": "A" * 43}), "must be Ed25519"),
    (read_public_key, json.dumps(jwk_of(EC) | {"y": b64(1, 32)}), "damaged"),
    (read_public_key, json.dumps(jwk_of(EC) | {"crv": "secp256k1"}), "kty and crv"),
    (read_public_key, json.dumps({"kty": "RSA", "n": b64(3, 256), "e": "AQAB"}), "damaged"),
    (read_public_key, json.dumps(jwk_of(RSA) | {"e": b64((1 << 40) + 1, 6)}), "2048 to 4096"),
    (read_public_key, json.dumps({"kty": "RSA", "n": "", "e": ""}), "damaged"),
    (read_public_key, json.dumps({"kty": ["RSA"]}), "kty and crv"),
    (read_webhook_secret, "whsec_", "24 to 64 bytes"),
    (read_webhook_secret, "whsec_" + base64.b64encode(b"s" * 65).decode(), "24 to 64 bytes"),
    (read_webhook_secret, "whsec_!!!!", "base64"),
    (read_webhook_secret, base64.b64encode(b"s" * 32).decode(), "whsec_"),
    (read_webhook_secret, "whsec_" + "A" * 500, "whsec_"),
    (read_webhook_key, "whpk_" + base64.b64encode(b"s" * 31).decode(), "damaged"),
    (read_webhook_key, "whpk_" + base64.b64encode(bytes(32)).decode(), "anybody can sign"),
    (read_webhook_key, "whpk_" + base64.b64encode(b"\xec" + b"\xff" * 31).decode(), "anybody can sign"),
    (read_webhook_key, "whsk_" + base64.b64encode(b"s" * 64).decode(), "private key"),
    (lambda text: read_oauth_client(text, "s", "a"), "http://id.acme.example", "https"),
    (lambda text: read_oauth_client(text, "s", "a"), "https://id.acme.example\ns", "printable"),
    (lambda text: read_oauth_client("https://id", text, "a"), "a\nb", "printable"),
    (lambda text: read_oauth_client("https://id", text, "a"), "", "subject"),
    (lambda text: read_oauth_client("https://id", text, "a"), "\ud800", "subject"),
    (lambda text: read_oauth_client("https://id", text, "a"), "s" * 480, "at most"),
    (lambda text: read_oauth_client("https://id", "s", text), "a" * 481, "at most"),
]


@pytest.mark.parametrize(("read", "text", "words"), HOSTILE)
def test_what_is_not_what_it_is_given_as_is_refused_and_not_repeated(
    read: Read, text: str, words: str
) -> None:
    with pytest.raises(CredentialMaterialError, match=words) as caught:
        read(text)
    assert len(text) < 24 or text not in str(caught.value)


READERS: tuple[Read, ...] = (
    read_certificate,
    authorities,
    read_public_key,
    read_webhook_secret,
    read_webhook_key,
)


def is_read_or_refused(text: str) -> None:
    for read in READERS:
        try:
            read(text)
        except CredentialMaterialError:
            continue


def test_a_certificate_whose_serial_number_is_negative_is_refused() -> None:
    der = bytearray(LEAF.der)
    der[der.index(b"\xa0\x03\x02\x01\x02\x02") + 7] = 0x9E  # behind the version, v3, and the length
    with pytest.raises(CredentialMaterialError, match=r"serial number|cannot be read"):
        read_certificate(block("CERTIFICATE", bytes(der)))


@given(st.text(max_size=200), st.sampled_from(["", "whsec_", "whpk_", "{", "-----BEGIN PUBLIC KEY-----\n"]))
def test_any_text_is_read_or_refused(text: str, prefix: str) -> None:
    is_read_or_refused(prefix + text)


@given(
    st.sampled_from([LEAF.der, ROOT.der]),
    st.integers(min_value=0, max_value=2_000),
    st.integers(min_value=1, max_value=255),
    st.integers(min_value=0, max_value=2_000),
)
def test_a_damaged_certificate_is_read_or_refused(der: bytes, place: int, flip: int, cut: int) -> None:
    changed = bytearray(der)
    changed[place % len(der)] ^= flip
    is_read_or_refused(block("CERTIFICATE", bytes(changed)))
    is_read_or_refused(block("CERTIFICATE", bytes(changed[: cut % len(der)])))
    is_read_or_refused(block("PUBLIC KEY", bytes(changed)))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg"]), VALUES))
def test_any_jwk_is_read_or_refused(changes: dict[str, Any]) -> None:
    for key in (ED, EC, RSA):
        is_read_or_refused(json.dumps(jwk_of(key) | changes))
