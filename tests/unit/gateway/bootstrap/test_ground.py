"""The first start, killed at any point, ends in one operator key that works and that somebody can read."""

from pathlib import Path

import pytest

from gateway.bootstrap.ground import OPERATOR_KEY, Ground, clock, prepare
from gateway.errors import MasterKeyError, SetupError
from partners import store
from partners.api_key import verify_api_key
from tests.world import make_settings


def role_of(ground: Ground, text: str) -> str:
    with ground.database.begin() as session:
        directory = store.load(session)
    return verify_api_key(text, directory, ground.pepper, now=clock()).role


def test_the_operators_key_is_shown_once_and_kept_in_its_file(tmp_path: Path) -> None:
    first = prepare(make_settings(tmp_path), "up")
    text = (tmp_path / OPERATOR_KEY).read_text().strip()
    assert first.new_operator_key == text
    assert role_of(first, text) == "operator"
    assert (tmp_path / OPERATOR_KEY).stat().st_mode & 0o777 == 0o600
    first.database.close()
    second = prepare(make_settings(tmp_path), "up")
    assert second.new_operator_key is None
    second.database.close()


def test_a_start_killed_after_its_commit_leaves_a_key_that_the_next_one_finds(tmp_path: Path) -> None:
    prepare(make_settings(tmp_path), "up").database.close()
    text = (tmp_path / OPERATOR_KEY).read_text()
    (tmp_path / OPERATOR_KEY).rename(tmp_path / "operator.key.new")
    ground = prepare(make_settings(tmp_path), "up")
    assert (tmp_path / OPERATOR_KEY).read_text() == text
    assert role_of(ground, text.strip()) == "operator"
    ground.database.close()


def test_a_start_killed_before_its_commit_leaves_a_draft_that_nobody_takes_for_a_key(tmp_path: Path) -> None:
    (tmp_path / "operator.key.new").write_text("gw_of_a_rolled_back_start\n")
    ground = prepare(make_settings(tmp_path), "up")
    text = (tmp_path / OPERATOR_KEY).read_text().strip()
    assert role_of(ground, text) == "operator"
    assert not (tmp_path / "operator.key.new").exists()
    ground.database.close()


def test_a_key_file_of_an_earlier_database_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / OPERATOR_KEY).write_text("gw_of_the_lost_database\n")
    with pytest.raises(SetupError, match="restore that database"):
        prepare(make_settings(tmp_path), "up")
    assert (tmp_path / OPERATOR_KEY).read_text() == "gw_of_the_lost_database\n"


def test_a_lost_master_key_is_not_made_anew(tmp_path: Path) -> None:
    prepare(make_settings(tmp_path), "up").database.close()
    (tmp_path / "master.key").unlink()
    with pytest.raises(MasterKeyError, match="there is no master key"):
        prepare(make_settings(tmp_path), "up")
    assert not (tmp_path / "master.key").exists()


def test_expired_operators_get_a_new_key_from_whoever_holds_the_folder(tmp_path: Path) -> None:
    first = prepare(make_settings(tmp_path), "up")
    with first.database.begin() as session:
        session.connection().exec_driver_sql("UPDATE partners_credential SET not_after = 1")
    first.database.close()
    old = (tmp_path / OPERATOR_KEY).read_text()
    second = prepare(make_settings(tmp_path), "up")
    new = (tmp_path / OPERATOR_KEY).read_text()
    assert new != old
    assert role_of(second, new.strip()) == "operator"
    assert (tmp_path / "operator.expired").read_text() == old
    second.database.close()


def test_a_damaged_database_is_a_matter_for_the_operator(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    prepare(settings, "up").database.close()
    (tmp_path / "gateway.db").write_bytes(b"overwritten by something else ... " * 300)
    with pytest.raises(SetupError, match=r"gateway\.db: the database file is damaged: restore a backup"):
        prepare(settings, "up")
