"""What a signed request is called: one name for all that anybody can make of its signature."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.auth.public_key import load_key
from gateway.origin_evidence import Origin
from tests.signing import KINDS, private_key, public_der, raw_signature

BASE = b"what was signed"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
EC = "ecdsa-p256-sha256"


def of(signature: bytes, kind: str = EC) -> Origin:
    return Origin(kind, "crd_1", BASE, signature)


def other_of(signature: bytes) -> bytes:
    """The other signature that fits, made without the key."""
    return signature[:32] + (P256_ORDER - int.from_bytes(signature[32:])).to_bytes(32)


def test_both_signatures_that_fit_have_one_name_and_evidence_of_their_own() -> None:
    key = private_key(EC)
    made = raw_signature(key, BASE)
    other = other_of(made)
    assert all(load_key(public_der(key)).fits(one, BASE) for one in (made, other))
    assert of(made).name() == of(other).name()
    assert of(made).sha256() != of(other).sha256()
    low = min(made, other, key=lambda one: one[32:])
    assert of(low).name() == of(low).sha256()
    assert of(raw_signature(key, BASE)).name() != of(made).name()


@pytest.mark.parametrize("kind", [one for one in KINDS if one != EC])
def test_of_the_other_kinds_nobody_makes_a_second_signature(kind: str) -> None:
    key = private_key(kind)
    made, known = raw_signature(key, BASE), load_key(public_der(key))
    assert of(made, kind).name() == of(made, kind).sha256()
    if isinstance(key, rsa.RSAPrivateKey):
        number, modulus = int.from_bytes(made), key.public_key().public_numbers().n
        others = [(modulus - number).to_bytes(256), (number + modulus).to_bytes(257), b"\x00" + made]
    else:
        number = int.from_bytes(made[32:], "little") + ED25519_ORDER
        others = [made[:32] + number.to_bytes(32, "little"), made + b"\x00"]
    assert known.fits(made, BASE)
    assert not any(known.fits(one, BASE) for one in others)
