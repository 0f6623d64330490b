import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.public_key import load_key
from gateway.errors import CallerError
from tests.signing import KINDS, private_key, public_der, raw_signature


@pytest.mark.parametrize("kind", KINDS)
def test_the_algorithm_follows_from_the_key(kind: str) -> None:
    key = private_key(kind)
    loaded = load_key(public_der(key))
    assert loaded.algorithm == kind
    signature = raw_signature(key, b"message")
    assert loaded.fits(signature, b"message")
    assert not loaded.fits(signature, b"massage")
    assert not loaded.fits(signature[:-1], b"message")
    assert not loaded.fits(signature + b"\0", b"message")
    assert not loaded.fits(b"", b"message")


@pytest.mark.parametrize("kind", KINDS)
def test_one_keys_signature_is_not_anothers(kind: str) -> None:
    loaded = load_key(public_der(private_key(kind)))
    for other in KINDS:
        if other != kind:
            assert not loaded.fits(raw_signature(private_key(other), b"message"), b"message")


def test_a_signature_by_p256_in_der_is_refused() -> None:
    key = private_key("ecdsa-p256-sha256")
    loaded = load_key(public_der(key))
    signature = raw_signature(key, b"message")
    halves = [signature[:32].lstrip(b"\0"), signature[32:].lstrip(b"\0")]
    der = b"".join(b"\x02" + bytes([len(one) + 1]) + b"\0" + one for one in halves)
    assert not loaded.fits(b"\x30" + bytes([len(der)]) + der, b"message")
    assert not loaded.fits(bytes(64), b"message")


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"no key",
        base64.b64decode("MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=")[:-1],
        public_der(ec.generate_private_key(ec.SECP384R1())),
        public_der(ec.generate_private_key(ec.SECP256K1())),
        public_der(rsa.generate_private_key(65_537, 1_024)),  # noqa: S505 - what must be refused
        public_der(ed448.Ed448PrivateKey.generate()),
        public_der(x25519.X25519PrivateKey.generate()),
    ],
    ids=["empty", "text", "short", "p384", "k256", "rsa1024", "ed448", "x25519"],
)
def test_other_keys_are_refused_in_words(der: bytes) -> None:
    with pytest.raises(CallerError, match="Ed25519, ECDSA over P-256, or RSA") as caught:
        load_key(der)
    assert caught.value.code == "parameter_invalid"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_key_or_refused_by_one_family(der: bytes) -> None:
    with pytest.raises(CallerError):
        load_key(b"\x30" + der)
