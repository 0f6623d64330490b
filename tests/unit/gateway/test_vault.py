import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MasterKeyError, SealError
from gateway.vault import MasterKey, Vault, load_master, make_master, place_of

KEY = bytes(range(32))
PLACE = place_of("gateway_key", "k1", "sealed")


def counted() -> "Entropy":
    return Entropy()


class Entropy:
    """Bytes that never repeat, in a known order."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, count: int) -> bytes:
        self.calls += 1
        return self.calls.to_bytes(count)


def vault(key: bytes = KEY) -> Vault:
    return Vault(MasterKey({1: key}), counted())


def test_what_was_sealed_opens_at_its_place() -> None:
    ours = vault()
    assert ours.open(ours.seal(b"secret", PLACE), PLACE) == b"secret"


def test_sealed_bytes_hold_version_nonce_and_tag() -> None:
    sealed = vault().seal(b"secret", PLACE)
    assert sealed[:4] == b"\x00\x00\x00\x01"
    assert sealed[4:16] == (1).to_bytes(12)
    assert len(sealed) == 4 + 12 + len(b"secret") + 16
    assert b"secret" not in sealed


def test_each_seal_takes_a_fresh_nonce() -> None:
    ours = vault()
    assert ours.seal(b"secret", PLACE)[4:16] != ours.seal(b"secret", PLACE)[4:16]


@pytest.mark.parametrize(
    "place",
    [
        place_of("gateway_key", "k2", "sealed"),
        place_of("gateway_key", "k1", "other"),
        place_of("partners_key", "k1", "sealed"),
    ],
)
def test_secret_moved_to_another_place_does_not_open(place: str) -> None:
    ours = vault()
    with pytest.raises(SealError):
        ours.open(ours.seal(b"secret", PLACE), place)


def test_another_master_key_does_not_open_and_the_text_says_what_to_set() -> None:
    sealed = vault().seal(b"secret", PLACE)
    with pytest.raises(SealError, match=r"keys\.master_file"):
        vault(bytes(32)).open(sealed, PLACE)


@given(st.binary(max_size=80))
def test_any_bytes_open_or_raise_one_error(raw: bytes) -> None:
    with pytest.raises(SealError):
        vault().open(raw, PLACE)


@given(st.integers(0, 37), st.integers(1, 255))
def test_one_changed_byte_is_noticed(index: int, change: int) -> None:
    sealed = bytearray(vault().seal(b"secret", PLACE))
    sealed[index] ^= change
    with pytest.raises(SealError):
        vault().open(bytes(sealed), PLACE)


def test_older_version_still_opens_after_the_newest_seals() -> None:
    old = vault().seal(b"secret", PLACE)
    both = Vault(MasterKey({1: KEY, 2: bytes(32)}), counted())
    assert both.open(old, PLACE) == b"secret"
    assert both.seal(b"secret", PLACE)[:4] == b"\x00\x00\x00\x02"
    assert both.pepper() == vault().pepper()


def test_pepper_is_neither_master_key_nor_sealing_key() -> None:
    master = MasterKey({1: KEY})
    assert len({vault().pepper(), KEY, master.derive("seal", 1)}) == 3
    assert vault().pepper() != vault(bytes(32)).pepper()


def test_no_representation_shows_the_key() -> None:
    master = MasterKey({1: KEY})
    assert repr(master) == "MasterKey(versions=[1])"
    assert str(KEY) not in repr(Vault(master, counted()))


def test_made_file_is_private_and_loads_to_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    made = make_master(path, lambda count: KEY[:count])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    sealed = Vault(made, counted()).seal(b"secret", PLACE)
    assert Vault(load_master(path), counted()).open(sealed, PLACE) == b"secret"
    path.chmod(0o400)
    assert load_master(path).newest == 1


def test_existing_master_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    make_master(path, counted())
    before = path.read_bytes()
    with pytest.raises(MasterKeyError, match="never overwritten"):
        make_master(path, counted())
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    make_master(path, counted())
    path.chmod(mode)
    with pytest.raises(MasterKeyError, match="chmod 600"):
        load_master(path)


def test_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyError, match="gateway init"):
        load_master(tmp_path / "master.key")


def test_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyError, match="cannot read"):
        load_master(tmp_path)
    with pytest.raises(MasterKeyError, match="cannot make"):
        make_master(tmp_path / "no" / "folder.key", counted())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"gateway-master-key/v1\n",
        b"gateway-master-key/v1\n1 QUJD\n",
        b"gateway-master-key/v1\n0 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        b"gateway-master-key/v2\n1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        b"gateway-master-key/v1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        b"\xff\xfe",
    ],
)
def test_malformed_file_is_refused_without_showing_it(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(MasterKeyError, match="not a master key file") as caught:
        load_master(path)
    assert "AAEC" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("parts", [("", "k", "c"), ("t", "a/b", "c"), ("t", "k", "")])
def test_ambiguous_place_is_refused(parts: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="slash"):
        place_of(*parts)
