"""The outsider's own program for exports."""

from pathlib import Path

import pytest

from audit.verify_export import main
from gateway.database import Database
from tests.made_logs import database_at, exported, grow, keys_of, mixed
from tests.unit.audit.builders import ORIGIN

KEY = str(keys_of(ORIGIN).logs[0])


@pytest.fixture
def database(tmp_path: Path, migrated_file: Path) -> Database:
    opened = database_at(tmp_path, migrated_file)
    with opened.begin() as session:
        grow(session, [mixed(number) for number in range(20)])
    return opened


async def test_exports_are_verified_by_files_and_keys_alone(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("a.tar", "b.tar")]
    for number, path in enumerate(files):
        stretch = ORIGIN, 10 * number, 10 * number + 10
        path.write_bytes(await exported(database, stretch, kind="avro", name=f"exp_{number}"))
    database.close()
    names = [str(path) for path in files]
    assert main([*names, "--log-key", KEY]) == 0
    out = capsys.readouterr().out
    assert f"every entry of {ORIGIN} from index 0 up to, not with, 10: 10 entries" in out
    assert "nothing is missing between the exports at index 10" in out
    assert main([*names[::-1], "--log-key", KEY]) == 9
    assert main(names) == 9
    assert "have not pinned" in capsys.readouterr().out
    files[0].write_bytes(files[0].read_bytes().replace(b"entries-1", b"entries-2"))
    assert main([*names, "--log-key", KEY]) == 9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.tar"], "cannot be read"),
        (["receipt"], "no exports"),
        (["receipt", "--log-key", "x"], "pinned key"),
        ([], "files"),
    ],
)
def test_what_is_no_export_is_a_wrong_usage(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "receipt").write_bytes(b"x.y.z")
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
