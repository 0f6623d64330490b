from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from gateway.doctor.finding import Finding, Level
from gateway.doctor.tls import Doors, judge_files, judge_without

NOW = datetime(2026, 11, 25, tzinfo=UTC)
DOORS = Doors("https://gw.example", is_beyond=True, behind_proxy=False)


def make(name: str, issuer: "Made | None" = None, days: int = 90, host: str = "gw.example") -> "Made":
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer else key
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=400))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return Made(key, certificate)


class Made:
    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.key = key
        self.certificate = certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, password: bytes | None = None) -> bytes:
        how = NoEncryption() if password is None else BestAvailableEncryption(password)
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


ROOT = make("root", days=4_000)
MIDDLE = make("middle", ROOT)
LEAF = make("leaf", MIDDLE)


def judged(chain: bytes, key: bytes, doors: Doors = DOORS) -> list[Finding]:
    found = judge_files(chain, key, doors, now=int(NOW.timestamp() * 1000))
    return [one for one in found if one.level is not Level.OK]


def test_a_chain_in_order_for_the_host_of_origin_is_good() -> None:
    assert judged(LEAF.pem + MIDDLE.pem + ROOT.pem, LEAF.key_pem()) == []


@pytest.mark.parametrize(
    ("chain", "key", "words"),
    [
        (b"nonsense", LEAF.key_pem(), "holds no PEM certificate"),
        (LEAF.pem, b"nonsense", "is no PEM private key"),
        (LEAF.pem, LEAF.key_pem(b"secret"), "is encrypted"),
        (LEAF.pem, MIDDLE.key_pem(), "does not belong to tls.cert"),
        (MIDDLE.pem + LEAF.pem, LEAF.key_pem(), "does not begin with the server's certificate"),
        (LEAF.pem + ROOT.pem, LEAF.key_pem(), "did not issue"),
    ],
)
def test_files_that_do_not_fit_are_faults(chain: bytes, key: bytes, words: str) -> None:
    assert words in next(one.what for one in judged(chain, key) if one.level is Level.FAULT)


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [(29, Level.WARNING, "ends in 29 days"), (-1, Level.FAULT, "ended on 2026-11-24")],
)
def test_the_end_is_told_in_time(days: int, level: Level, words: str) -> None:
    soon = make("leaf", MIDDLE, days)
    (one,) = judged(soon.pem + MIDDLE.pem, soon.key_pem())
    assert one.level is level
    assert words in one.what


def test_an_authority_that_ends_is_told_too() -> None:
    middle = make("middle", ROOT, 5)
    leaf = make("leaf", middle)
    (one,) = judged(leaf.pem + middle.pem, leaf.key_pem())
    assert "CN=middle in the chain ends in 5 days" in one.what


def test_a_certificate_for_another_host_is_a_fault_and_a_star_is_one_label() -> None:
    other = make("leaf", MIDDLE, host="other.example")
    (one,) = judged(other.pem + MIDDLE.pem, other.key_pem())
    assert "not for gw.example" in one.what
    star = make("leaf", MIDDLE, host="*.example")
    assert judged(star.pem + MIDDLE.pem, star.key_pem()) == []


def test_a_certificate_that_signed_itself_is_a_warning() -> None:
    own = make("own")
    (one,) = judged(own.pem, own.key_pem())
    assert (one.level, "signed itself" in one.what) == (Level.WARNING, True)


def test_without_a_certificate_the_doors_decide() -> None:
    assert judge_without(DOORS).level is Level.FAULT
    assert judge_without(Doors("http://127.0.0.1", is_beyond=False, behind_proxy=False)).level is Level.OK
    assert judge_without(Doors("https://gw.example", is_beyond=True, behind_proxy=True)).level is Level.OK
