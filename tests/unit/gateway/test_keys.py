from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc.jwk import OKPKey
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from audit.note import Signer
from audit.receipt import format_jwk, read_jwks
from gateway import keys
from gateway.database import Database
from gateway.errors import KeysMissingError, SealError
from gateway.keys import KeyRing, Opener, SigningKey, create_missing
from gateway.rows import KeyRow
from gateway.vault import MasterKey, Vault


class Entropy:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, count: int) -> bytes:
        self.calls += 1
        return self.calls.to_bytes(count)


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    database = Database(database_url)
    with database.begin() as opened:
        yield opened
    database.close()


@pytest.fixture
def vault() -> Vault:
    return Vault(MasterKey({1: bytes(32)}), Entropy())


def ring(session: Session, vault: Vault) -> KeyRing:
    create_missing(session, vault, now=1000, entropy=Entropy())
    return keys.load(session, Opener(vault))


def test_joserfc_reads_our_jwk_and_agrees_on_its_thumbprint() -> None:
    signer = SigningKey(bytes(range(32)), "receipt")
    members: dict[str, str | list[str]] = {**format_jwk(signer.public_key)}
    read = OKPKey.import_key(members)
    assert read.thumbprint() == signer.key_id


def test_signature_is_verified_by_the_public_key() -> None:
    signer = SigningKey(bytes(range(32)), "receipt")
    Ed25519PublicKey.from_public_bytes(signer.public_key).verify(signer.sign(b"message"), b"message")


def test_one_key_is_made_for_each_purpose_and_none_twice(session: Session, vault: Vault) -> None:
    made = create_missing(session, vault, now=1000, entropy=Entropy())
    assert [key.purpose for key in made] == ["receipt", "checkpoint", "webhook", "freshness", "anchor"]
    assert {key.created_at for key in made} == {1000}
    assert create_missing(session, vault, now=2000, entropy=Entropy()) == ()


def test_loaded_signers_are_the_ones_that_were_made(session: Session, vault: Vault) -> None:
    made = create_missing(session, vault, now=1000, entropy=Entropy())
    loaded = keys.load(session, Opener(vault))
    signers = [signer for purpose in keys.PURPOSES for signer in loaded.signing(purpose)]
    assert [one.key_id for one in signers] == [key.id for key in made]
    assert len({one.key_id for one in signers}) == len(keys.PURPOSES)
    assert set(loaded.known) == set(made)


def test_no_key_is_published_for_two_purposes(session: Session, vault: Vault) -> None:
    loaded = ring(session, vault)
    published = loaded.jwks()["keys"]
    assert [each["kid"] for each in published] == [loaded.receipt.key_id, loaded.webhooks[0].key_id]
    assert [each.get("purpose") for each in published] == [None, "webhook"]
    assert set(read_jwks(loaded.jwks())) == {loaded.receipt.key_id}
    assert loaded.public_keys("receipt") == {loaded.receipt.key_id: loaded.receipt.public_key}
    assert loaded.public_keys("checkpoint") == {
        loaded.checkpoints[0].key_id: loaded.checkpoints[0].public_key
    }


def test_retired_key_stays_published_and_signs_no_more(session: Session, vault: Vault) -> None:
    old = ring(session, vault).receipt
    retired = update(KeyRow).where(col(KeyRow.id) == old.key_id).values(retired_at=5000)
    session.execute(retired)
    with pytest.raises(KeysMissingError, match="receipt"):
        keys.load(session, Opener(vault))
    create_missing(session, vault, now=6000, entropy=lambda count: b"\x07" * count)
    loaded = keys.load(session, Opener(vault))
    assert loaded.receipt.key_id != old.key_id
    assert [each["kid"] for each in loaded.jwks()["keys"]] == [
        loaded.receipt.key_id,
        old.key_id,
        loaded.webhooks[0].key_id,
    ]


def test_missing_keys_say_what_to_run(session: Session, vault: Vault) -> None:
    with pytest.raises(KeysMissingError, match="gateway init"):
        keys.load(session, Opener(vault))


def test_another_master_key_opens_none(session: Session, vault: Vault) -> None:
    ring(session, vault)
    with pytest.raises(SealError):
        keys.load(session, Opener(Vault(MasterKey({1: b"\x01" * 32}), Entropy())))


def test_keys_swapped_between_rows_do_not_open(session: Session, vault: Vault) -> None:
    ring(session, vault)
    rows = session.exec(select(KeyRow)).all()
    sealed = [row.sealed for row in rows]
    for row, other in zip(rows, reversed(sealed), strict=True):
        row.sealed = other
    session.flush()
    with pytest.raises(SealError):
        keys.load(session, Opener(vault))


def test_one_seed_cannot_serve_two_purposes(session: Session, vault: Vault) -> None:
    with pytest.raises(IntegrityError):
        create_missing(session, vault, now=1, entropy=lambda count: b"\x07" * count)
    session.rollback()


def test_no_representation_or_row_shows_a_private_key(session: Session, vault: Vault) -> None:
    seeds = [letter * 32 for letter in (b"a", b"b", b"c", b"d", b"e")]
    signers = [SigningKey(seed, "receipt") for seed in seeds]
    waiting = list(seeds)
    create_missing(session, vault, now=1, entropy=lambda _: waiting.pop())
    shown = repr(signers) + repr(session.exec(select(KeyRow)).all()) + repr(keys.load(session, Opener(vault)))
    assert not any(seed.decode() in shown for seed in seeds)


def test_signing_keys_fit_the_port_of_the_log() -> None:
    signer: Signer = SigningKey(bytes(range(32)), "checkpoint")
    assert len(signer.sign(b"note")) == 64
