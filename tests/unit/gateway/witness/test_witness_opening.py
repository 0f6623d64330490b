"""Starts of a witness: a key and its state are there together, or neither is."""

from pathlib import Path

import pytest

from audit.cosignature import ED25519
from gateway.errors import SetupError
from gateway.witness.key import CosigningKey
from gateway.witness.opening import open_witness
from gateway.witness.state import State, open_state

NAME = "witness.example/w1"


class Entropy:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, count: int) -> bytes:
        self.calls += 1
        return bytes([self.calls]) * count


def opened(folder: Path, name: str = NAME) -> tuple[CosigningKey, State]:
    return open_witness(folder / "key", folder / "state", name=name, algorithm=ED25519, entropy=Entropy())


def test_the_first_start_makes_both_and_the_next_finds_them(tmp_path: Path) -> None:
    signer, state = opened(tmp_path)
    state.close()
    again, state = opened(tmp_path, "")
    assert again.key == signer.key
    assert state.owner() == str(signer.key)
    state.close()


def test_a_key_without_its_memory_is_refused(tmp_path: Path) -> None:
    """It would cosign any history: this is how a restored machine becomes a liar."""
    _, state = opened(tmp_path)
    state.close()
    (tmp_path / "state").unlink()
    with pytest.raises(SetupError, match="would cosign any history"):
        opened(tmp_path)


def test_a_memory_without_its_key_is_refused(tmp_path: Path) -> None:
    _, state = opened(tmp_path)
    state.close()
    (tmp_path / "key").unlink()
    with pytest.raises(SetupError, match="whose key is missing"):
        opened(tmp_path)


def test_killed_between_the_two_the_next_start_goes_on(tmp_path: Path) -> None:
    open_state(tmp_path / "state").close()
    signer, state = opened(tmp_path)
    assert state.owner() == str(signer.key)
    state.close()


def test_anothers_memory_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        _, state = opened(tmp_path / name, f"witness.example/{name}")
        state.close()
    with pytest.raises(SetupError, match="belongs to the witness"):
        open_witness(
            tmp_path / "one/key", tmp_path / "two/state", name="", algorithm=ED25519, entropy=Entropy()
        )


def test_the_first_start_needs_a_name_and_later_ones_no_other(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="say --name"):
        opened(tmp_path, "")
    assert not (tmp_path / "state").exists()
    opened(tmp_path)[1].close()
    with pytest.raises(SetupError, match=r"is called witness\.example/w1"):
        opened(tmp_path, "witness.example/w2")


def test_a_key_beside_a_memory_that_is_empty_is_refused(tmp_path: Path) -> None:
    """A file that was cut to nothing remembers as little as one that is gone."""
    _, state = opened(tmp_path)
    state.close()
    (tmp_path / "state").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(SetupError, match="would cosign any history"):
            opened(tmp_path)


def test_killed_before_the_key_is_there_the_next_start_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr("gateway.witness.key.os.open", killed)
        with pytest.raises(KilledError):
            opened(tmp_path)
    assert not (tmp_path / "key").exists()
    signer, state = open_witness(
        tmp_path / "key", tmp_path / "state", name=NAME, algorithm=ED25519, entropy=lambda n: b"\x09" * n
    )
    assert state.owner() == str(signer.key)
    state.close()
