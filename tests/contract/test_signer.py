"""What every `audit.note.Signer` must do; known answers of RFC 8032, 7.1, and RFC 8037, appendix A."""

from collections.abc import Iterator

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.note import Signer, thumbprint
from gateway.keys import HeldKey, SigningKey
from gateway.pkcs11 import Token
from tests.softhsm import PIN, TOKEN, SoftToken

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC_KEY = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
SIGNATURE_OF_NOTHING = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)
KEY_ID = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def known() -> list[SigningKey]:
    """Those whose seed is that of the RFCs."""
    return [SigningKey(SEED, "receipt"), SigningKey(SEED, "checkpoint")]


@pytest.fixture(params=["memory", pytest.param("token", marks=pytest.mark.softhsm)])
def signer(request: pytest.FixtureRequest) -> Iterator[Signer]:
    if request.param == "memory":
        yield SigningKey(SEED, "receipt")
        return
    held: SoftToken = request.getfixturevalue("soft_token")
    label = request.node.name
    held.add(label)
    token = Token(held.module, TOKEN, held.pin_file)
    yield HeldKey(label, token.find(label), "checkpoint", token.sign)
    token.close()


@pytest.mark.parametrize("one", known(), ids=lambda one: one.purpose)
def test_the_public_key_is_the_seeds(one: Signer) -> None:
    assert one.public_key == PUBLIC_KEY
    assert one.key_id == KEY_ID
    assert one.sign(b"") == SIGNATURE_OF_NOTHING


def test_the_key_id_is_the_thumbprint_of_the_public_key(signer: Signer) -> None:
    assert signer.key_id == thumbprint(signer.public_key)


def test_a_signature_is_plain_ed25519_and_always_the_same(signer: Signer) -> None:
    signature = signer.sign(b"message")
    assert signature == signer.sign(b"message")
    assert len(signature) == 64


def test_a_signature_covers_the_whole_message(signer: Signer) -> None:
    key = Ed25519PublicKey.from_public_bytes(signer.public_key)
    signature = signer.sign(b"one message")
    key.verify(signature, b"one message")
    with pytest.raises(InvalidSignature):
        key.verify(signature, b"one messagf")


def test_the_repr_shows_no_private_key(signer: Signer) -> None:
    shown = repr(signer)
    assert SEED.hex() not in shown
    assert repr(SEED) not in shown
    assert PIN not in shown
