import pytest

from gateway.migrations.history import head
from tests.unit.gateway.cli.conftest import Shell


def test_settings_are_shown_with_their_origin_and_without_passwords(shell: Shell) -> None:
    shell.environ["GATEWAY_DATABASE__URL"] = "postgresql://u:geheim@db/x"
    ended = shell.run("config", "show", "--data", "elsewhere", "--json")
    found = {one["key"]: one for one in ended.document()}
    assert found["data"] == {"key": "data", "value": "elsewhere", "origin": "flag"}
    assert found["database.url"]["origin"] == "environment GATEWAY_DATABASE__URL"
    assert "geheim" not in ended.out
    assert "listen.public" in shell.run("config", "show").out


def test_wrong_settings_end_with_2_and_all_faults(shell: Shell) -> None:
    shell.environ |= {"GATEWAY_NONSENSE": "1", "GATEWAY_LISTEN__PUBLC": "x"}
    ended = shell.run("config", "check")
    assert ended.code == 2
    assert "GATEWAY_NONSENSE" in ended.err
    assert "did you mean GATEWAY_LISTEN__PUBLIC" in ended.err


def test_good_settings_end_with_0(shell: Shell) -> None:
    ended = shell.run("config", "check")
    assert (ended.code, ended.out) == (0, "")


def test_a_setting_that_refuses_a_start_is_no_good_setting(shell: Shell) -> None:
    shell.environ["GATEWAY_EGRESS__RATE"] = "10"
    ended = shell.run("config", "check")
    assert (ended.code, "egress.rate is not offered" in ended.err) == (2, True)


def test_init_sets_up_once_and_shows_the_key_once(shell: Shell) -> None:
    folder = str(shell.folder / "data")
    first, second = (shell.run("init", "--data", folder) for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    key = (shell.folder / "data/operator.key").read_text().strip()
    assert key in first.out
    assert key not in second.out


def test_migrate_brings_a_database_to_the_program(shell: Shell) -> None:
    shell.run("init", "--data", str(shell.folder / "data"))
    ended = shell.run("migrate", "--data", str(shell.folder / "data"), "--json")
    assert ended.document() == {"before": head(), "after": head(), "program": head()}


def test_an_empty_database_is_told_by_check_and_mended_by_migrate(shell: Shell) -> None:
    shell.write("data/gateway.db", b"")
    folder = str(shell.folder / "data")
    checked = shell.run("migrate", "--check", "--data", folder)
    assert (checked.code, "gateway migrate" in checked.err) == (5, True)
    assert f"is at revision {head()} now" in shell.run("migrate", "--data", folder).out
    assert shell.run("migrate", "--check", "--data", folder).code == 0


def test_a_database_that_is_not_there_is_not_made_by_migrate(shell: Shell) -> None:
    ended = shell.run("migrate", "--data", str(shell.folder / "none"))
    assert (ended.code, "gateway up" in ended.err) == (2, True)
    assert not (shell.folder / "none").exists()


@pytest.mark.parametrize("role", ["serve", "relay", "sequence"])
def test_a_single_role_refuses_the_embedded_broker(shell: Shell, role: str) -> None:
    ended = shell.run(role, "--data", str(shell.folder / "data"))
    assert (ended.code, "gateway up" in ended.err) == (5, True)


@pytest.mark.parametrize(
    "arguments", [["--tls", "prod"], ["--port", "0"], ["--port", "70000"], ["--nonsense"]]
)
def test_a_wrong_start_touches_nothing(shell: Shell, arguments: list[str]) -> None:
    assert shell.run("up", "--data", str(shell.folder / "data"), *arguments).code == 2
    assert not (shell.folder / "data").exists()
