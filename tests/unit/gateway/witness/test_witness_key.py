"""A witness's key: made once, private, read back strictly."""

from pathlib import Path

import pytest

from audit.cosignature import ED25519, ML_DSA_44
from gateway.errors import SetupError
from gateway.witness.key import CosigningKey, load_key, make_key


def entropy(count: int) -> bytes:
    return b"\x0a" * count


@pytest.mark.parametrize("algorithm", [ED25519, ML_DSA_44])
def test_a_key_is_made_once_private_and_read_back(tmp_path: Path, algorithm: int) -> None:
    made = make_key(tmp_path / "key", "witness.example/w1", algorithm, entropy)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert load_key(tmp_path / "key").key == made.key
    with pytest.raises(SetupError, match="cannot be written"):
        make_key(tmp_path / "key", "witness.example/w1", algorithm, entropy)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    make_key(tmp_path / "key", "w", ED25519, entropy)
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(SetupError, match="chmod 600"):
        load_key(tmp_path / "key")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:0],
        lambda text: text.removeprefix("PRIVATE+KEY+"),
        lambda text: text.removesuffix("\n"),
        lambda text: text + "\n",
        lambda text: text.replace("+w+", "+v+"),
        lambda text: text.replace("BAoK", "AQoK"),
        lambda text: text[:40],
        lambda text: "\xff" + text,
    ],
)
def test_another_text_is_no_key_and_is_not_quoted(tmp_path: Path, change: object) -> None:
    assert callable(change)
    text = CosigningKey("w", ED25519, entropy(32)).text()
    path = tmp_path / "key"
    path.write_text(change(text), encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(SetupError, match="is not the key of a witness") as caught:
        load_key(path)
    assert "CgoK" not in str(caught.value)


def test_a_missing_key_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        load_key(tmp_path / "none")


def test_a_name_that_no_key_may_have_is_refused(tmp_path: Path) -> None:
    for name in ("a b", "a+b", "x" * 300):
        with pytest.raises(SetupError, match="--name"):
            make_key(tmp_path / "key", name, ED25519, entropy)


def test_the_repr_shows_no_secret() -> None:
    assert "CgoK" not in repr(CosigningKey("w", ED25519, entropy(32)))
