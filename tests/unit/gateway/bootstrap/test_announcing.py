import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.bootstrap.announcing import ADDRESS_FILE, announce_doors
from gateway.bootstrap.ground import Ground, prepare
from gateway.errors import SetupError
from tests.world import make_settings, nothing


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """Of an installation that was set up in another folder."""
    made = prepare(make_settings(tmp_path / "first"), "init")
    yield made
    made.database.close()


def test_a_second_machine_needs_no_data_folder_of_its_own(tmp_path: Path, ground: Ground) -> None:
    folder = tmp_path / "second" / "data"
    announce_doors(replace(ground, settings=make_settings(folder)), None, nothing)
    assert json.loads((folder / ADDRESS_FILE).read_text())["url"] == "http://127.0.0.1:8080"


def test_a_folder_that_cannot_be_made_is_said_in_words(tmp_path: Path, ground: Ground) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = make_settings(tmp_path / "file" / "data")
    with pytest.raises(SetupError, match=r"file/data cannot be written \(Not a directory\)"):
        announce_doors(replace(ground, settings=settings), None, nothing)
