import json
from pathlib import Path

import pytest

from gateway.cli.errors import UsageError
from gateway.cli.place import (
    DEFAULT_URL,
    Login,
    Place,
    Wanted,
    check_url,
    find_place,
    forget_login,
    is_private,
    load_login,
    save_login,
    write_secret,
)

HERE = "http://127.0.0.1:9001"
THERE = "https://gw.example"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder as a running gateway leaves it."""
    folder = tmp_path / "gateway-data"
    write(folder / "operator.key", "gw_operator\n")
    write(folder / "ca.pem", "PEM")
    write(folder / "address", json.dumps({"url": HERE, "cacert": str(folder / "ca.pem")}))
    return folder


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "GATEWAY_DATA": str(tmp_path / "no"), **more}


def log_in(tmp_path: Path) -> None:
    key = write(tmp_path / "partner.key", "gw_partner\n")
    save_login(environ(tmp_path), Login(THERE, None, key))


def test_without_anything_the_default_address_is_taken_without_a_key(tmp_path: Path) -> None:
    assert find_place(Wanted(), environ(tmp_path)) == Place(DEFAULT_URL)


def test_the_data_folder_gives_address_key_and_authority(tmp_path: Path, folder: Path) -> None:
    found = find_place(Wanted(folder=str(folder)), environ(tmp_path))
    assert found == Place(HERE, "gw_operator", folder / "ca.pem")


def test_the_variable_of_the_data_folder_is_as_good_as_the_flag(tmp_path: Path, folder: Path) -> None:
    assert find_place(Wanted(), environ(tmp_path, GATEWAY_DATA=str(folder))).key == "gw_operator"


@pytest.mark.parametrize("text", ["data = 'FOLDER'\n", "data = 'FOLDER'\n[log]\nlevel = 'info'\n"])
def test_the_settings_file_says_where_the_data_folder_is(
    tmp_path: Path, folder: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "gateway.toml", text.replace("FOLDER", str(folder)))
    given = environ(tmp_path, GATEWAY_DATA="", GATEWAY_CONFIG=str(tmp_path / "gateway.toml"))
    assert find_place(Wanted(), given).key == "gw_operator"
    monkeypatch.chdir(tmp_path)
    assert find_place(Wanted(), environ(tmp_path, GATEWAY_DATA="")).key == "gw_operator"


@pytest.mark.parametrize("text", ["", "data = 7\n", "data = \n", "[data]\n"])
def test_a_settings_file_without_a_data_folder_names_none(tmp_path: Path, text: str) -> None:
    write(tmp_path / "gateway.toml", text)
    given = environ(tmp_path, GATEWAY_DATA="", GATEWAY_CONFIG=str(tmp_path / "gateway.toml"))
    assert find_place(Wanted(), given).key == ""


def test_an_authority_named_from_elsewhere_is_found_in_the_data_folder(tmp_path: Path, folder: Path) -> None:
    write(folder / "address", json.dumps({"url": HERE, "cacert": "gateway-data-elsewhere/ca.pem"}))
    assert find_place(Wanted(folder=str(folder)), environ(tmp_path)).cacert == folder / "ca.pem"


def test_a_login_goes_before_a_data_folder_that_is_only_near(tmp_path: Path, folder: Path) -> None:
    log_in(tmp_path)
    near = environ(tmp_path, GATEWAY_DATA=str(folder))
    assert find_place(Wanted(), near) == Place(THERE, "gw_partner")
    assert find_place(Wanted(folder=str(folder)), near).url == HERE


@pytest.mark.parametrize("url", ["http://127.0.0.1:9002", "https://other.example"])
def test_a_key_found_by_itself_goes_to_its_own_address_only(tmp_path: Path, folder: Path, url: str) -> None:
    log_in(tmp_path)
    assert find_place(Wanted(url=url, folder=str(folder)), environ(tmp_path)).key == ""
    assert find_place(Wanted(folder=str(folder)), environ(tmp_path, GATEWAY_URL=url)).key == ""


def test_a_flag_goes_before_a_variable(tmp_path: Path) -> None:
    flag, variable = (write(tmp_path / name, f"gw_{name}") for name in ("flag", "variable"))
    given = environ(tmp_path, GATEWAY_URL=HERE, GATEWAY_KEY_FILE=str(variable))
    assert find_place(Wanted(), given).key == "gw_variable"
    assert find_place(Wanted(url=THERE, key=str(flag)), given) == Place(THERE, "gw_flag")
    assert find_place(Wanted(), {**given, "GATEWAY_KEY": "gw_text"}).key == "gw_text"


def test_a_key_does_not_go_in_clear_beyond_this_machine(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in clear"):
        find_place(Wanted(url="http://gw.example"), environ(tmp_path, GATEWAY_KEY="gw_x"))


def test_an_open_address_in_clear_is_allowed_without_a_key(tmp_path: Path) -> None:
    assert find_place(Wanted(url="http://gw.example"), environ(tmp_path)).key == ""


def test_the_key_itself_on_the_command_line_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="path of a file") as caught:
        find_place(Wanted(key="gw_secret"), environ(tmp_path))
    assert "gw_secret" not in str(caught.value)


def test_a_key_that_others_can_read_is_told(tmp_path: Path) -> None:
    key = write(tmp_path / "key", "gw_x", 0o644)
    assert "chmod 600" in find_place(Wanted(key=str(key)), environ(tmp_path)).warnings[0]


@pytest.mark.parametrize("text", ["", "two words", "gw_x\ngw_y", "gw_é", "x" * 5000])
def test_a_file_without_a_key_is_refused(tmp_path: Path, text: str) -> None:
    key = write(tmp_path / "key", text)
    with pytest.raises(UsageError, match="holds no key"):
        find_place(Wanted(key=str(key)), environ(tmp_path))


@pytest.mark.parametrize("text", ["gw_\u201cquoted", "gw_a gw_b", "gw_a\nx: y", "gw_\udcff"])
def test_a_variable_without_a_key_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="GATEWAY_KEY holds no key") as caught:
        find_place(Wanted(), environ(tmp_path, GATEWAY_KEY=text))
    assert text not in str(caught.value)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        find_place(Wanted(key=str(tmp_path / "none")), environ(tmp_path))


@pytest.mark.parametrize("text", ["", "[]", "{}", '"x"', "{", "nul", '{"url": '])
def test_a_broken_address_file_is_a_usage_error(tmp_path: Path, folder: Path, text: str) -> None:
    write(folder / "address", text)
    with pytest.raises(UsageError):
        find_place(Wanted(folder=str(folder)), environ(tmp_path))


@pytest.mark.parametrize("url", ["", "gw.example", "ftp://x", "http://", "http://u:p@x", "http://x:port"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        check_url(url)


def test_an_address_loses_its_path_and_its_capitals() -> None:
    assert check_url("HTTPS://GW.Example:1/v1/x?y") == "https://gw.example:1"


@pytest.mark.parametrize(
    ("url", "is_it"),
    [
        ("https://gw.example", True),
        ("http://localhost:1", True),
        ("http://127.8.0.1", True),
        ("http://[::1]:80", True),
        ("http://localhost.example", False),
        ("http://10.0.0.1", False),
    ],
)
def test_private_is_tls_or_loopback(url: str, is_it: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_private(url) is is_it


def test_a_login_keeps_paths_for_its_owner_alone_and_no_key(tmp_path: Path) -> None:
    log_in(tmp_path)
    kept = tmp_path / "home/.config/gateway/login.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "gw_partner" not in kept.read_text()
    assert load_login(environ(tmp_path)) is not None


def test_a_login_takes_the_place_of_the_last_one_in_one_step(tmp_path: Path) -> None:
    log_in(tmp_path)
    kept = tmp_path / "home/.config/gateway/login.json"
    with kept.open() as reading:
        save_login(environ(tmp_path), Login(HERE, None, key="gw_typed"))
        assert json.load(reading)["url"] == THERE
    assert find_place(Wanted(), environ(tmp_path)) == Place(HERE, "gw_typed")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert list(kept.parent.iterdir()) == [kept]


def test_a_login_that_was_killed_leaves_nothing_behind_a_logout(tmp_path: Path) -> None:
    log_in(tmp_path)
    kept = tmp_path / "home/.config/gateway/login.json"
    write(kept.with_name("login.json.half"), "gw_half")
    assert forget_login(environ(tmp_path)) == kept
    assert list(kept.parent.iterdir()) == []


def test_the_config_folder_of_the_desktop_is_used_where_it_is_named(tmp_path: Path) -> None:
    kept = save_login({"XDG_CONFIG_HOME": str(tmp_path / "xdg")}, Login(THERE, None, tmp_path / "key"))
    assert kept == tmp_path / "xdg/gateway/login.json"


def test_without_a_home_a_login_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="HOME"):
        save_login({}, Login(THERE, None, tmp_path / "key"))


def test_a_secret_written_over_an_open_file_closes_it(tmp_path: Path) -> None:
    path = write(tmp_path / "open", "x", 0o666)
    write_secret(path, "secret")
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_repr_shows_the_key() -> None:
    assert "gw_x" not in repr(Place(HERE, "gw_x"))
