from pathlib import Path

import pytest

from gateway.cli.errors import UnwritableError, UsageError
from gateway.cli.secret_file import claimed


def write_and_fail(path: Path) -> None:
    with claimed(path, "the key") as keep:
        keep("secret")
        raise RuntimeError


def test_a_secret_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with claimed(path, "the key") as keep:
        keep("secret")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("secret", 0o600)


def test_a_file_that_nothing_was_written_to_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(RuntimeError), claimed(path, "the key"):
        raise RuntimeError
    assert not path.exists()


def test_what_was_written_before_a_failure_stays(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(RuntimeError):
        write_and_fail(path)
    assert path.read_text() == "secret"


def test_a_secret_that_cannot_be_written_is_said_to_be_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with claimed(path, "the key") as keep:
        path.unlink()
        path.mkdir()
        with pytest.raises(UnwritableError, match="nobody has the key"):
            keep("secret")


def test_an_empty_file_of_somebody_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch()
    with claimed(path, "the key"):
        pass
    assert path.exists()


def test_a_file_that_holds_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("older")
    with pytest.raises(UsageError, match="a new file for the key"), claimed(path, "the key"):
        pass
    assert path.read_text() == "older"
