import json
import os
from pathlib import Path

import pytest

from gateway.contract_folder import MAX_BYTES, find_contracts, load_contract
from partners.errors import ContractFileError
from tests.world import CONTRACT, ORDER


def write(folder: Path, contract: str = CONTRACT, schema: str | None = None) -> Path:
    (folder / "acme.yaml").write_text(contract)
    (folder / "order.avsc").write_text(json.dumps(ORDER) if schema is None else schema)
    return folder / "acme.yaml"


def problem(path: Path) -> str:
    with pytest.raises(ContractFileError) as caught:
        load_contract(path)
    (one,) = caught.value.problems
    return f"{Path(one.file).name}:{one.line} {one.detail}"


def test_a_contract_comes_with_what_it_names(tmp_path: Path) -> None:
    found = load_contract(write(tmp_path))
    assert (found.partner, found.name, found.text) == ("acme", "acme.yaml", CONTRACT)
    assert dict(found.files) == {"order.avsc": json.dumps(ORDER)}


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    path = write(inside)
    (tmp_path / "secret").write_text("x")
    (inside / "order.avsc").unlink()
    (inside / "order.avsc").symlink_to(tmp_path / "secret")
    assert "leads out of its folder" in problem(path)


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "order.avsc").unlink()
    (tmp_path / "order.avsc").symlink_to(tmp_path / "order.avsc")
    assert "order.avsc" in problem(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "order.avsc").unlink()
    assert problem(path) == "order.avsc:1 cannot be read: No such file or directory"
    assert "cannot be read" in problem(tmp_path / "none.yaml")


def test_a_pipe_in_a_files_place_is_not_waited_for(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "order.avsc").unlink()
    os.mkfifo(tmp_path / "order.avsc")
    assert problem(path) == "order.avsc:1 is no regular file: a pipe or device is not read"


def test_a_pipe_or_device_in_the_contracts_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", Path("/dev/zero")):
        assert "is no regular file" in problem(path)


def test_a_folder_in_a_files_place_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "order.avsc").unlink()
    (tmp_path / "order.avsc").mkdir()
    assert "cannot be read: Is a directory" in problem(path)


def test_what_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(b"gateway: v1\npartner: caf\xe9\n")
    assert problem(path) == "acme.yaml:2 is not UTF-8: save it as UTF-8"


def test_no_file_is_read_beyond_the_limit(tmp_path: Path) -> None:
    path = write(tmp_path, schema=" " * (MAX_BYTES + 1))
    assert problem(path) == f"order.avsc:1 has more than {MAX_BYTES} bytes"


def test_a_folder_is_its_yaml_files_in_order(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.json"):
        (tmp_path / name).write_text("")
    assert [path.name for path in find_contracts(tmp_path)] == ["a.yaml", "b.yml"]
    assert find_contracts(tmp_path / "a.yaml") == [tmp_path / "a.yaml"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ContractFileError, match=r"no \*\.yaml"):
        find_contracts(empty)
