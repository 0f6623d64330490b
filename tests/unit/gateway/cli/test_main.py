import io
import re
from pathlib import Path

import httpx
import pytest
import typer

from gateway.cli.command import Surroundings
from gateway.cli.main import invoke, make_app
from tests.unit.gateway.cli.conftest import Canned, Shell

ROOT = Path(__file__).parents[4]


class ClosedPipe(io.StringIO):
    """Where nobody reads any more."""

    def write(self, _: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def paths(app: typer.Typer, start: str = "") -> set[str]:
    """Every command that there is."""
    found = {start + str(one.name) for one in app.registered_commands}
    for group in app.registered_groups:
        assert group.typer_instance is not None
        found |= paths(group.typer_instance, f"{start}{group.name} ")
    return found


def test_the_tree_has_the_commands_that_were_promised() -> None:
    promised = {
        *("up", "init", "serve", "relay", "sequence", "migrate", "plan", "apply", "diff", "send", "stream"),
        *("verify", "status", "login", "me", "demo"),
        *(f"history {one}" for one in ("list", "show", "proof")),
        *(f"credentials {one}" for one in ("list", "create", "show", "revoke")),
        *(f"partners {one}" for one in ("list", "show")),
        *(f"config {one}" for one in ("show", "check")),
    }
    assert paths(make_app()) >= promised


@pytest.mark.parametrize("path", sorted(paths(make_app())))
def test_every_command_explains_itself(shell: Shell, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run(*path.split(), "--help").code == 0
    assert "Usage: gateway" in capsys.readouterr().out


def test_commands_named_in_the_readme_exist() -> None:
    named = re.findall(r"^gateway ((?:[a-z]+ ?){1,2})", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    known = paths(make_app())
    assert named
    assert [one for one in named if one.strip() not in known and one.split()[0] not in known] == []


@pytest.mark.parametrize("arguments", [["nonsense"], ["status", "--nonsense"], ["history"], []])
def test_a_wrong_command_line_ends_with_2(shell: Shell, arguments: list[str]) -> None:
    assert shell.run(*arguments).code == 2


def test_nobody_there_ends_with_8(shell: Shell) -> None:
    shell.transport = Canned(httpx.ConnectError("refused"))
    ended = shell.run("status")
    assert (ended.code, "nobody answers" in ended.err, ended.out) == (8, True, "")


def test_a_closed_pipe_is_no_fault(tmp_path: Path) -> None:
    around = Surroundings(
        environ={"GATEWAY_DATA": str(tmp_path)},
        source=io.BytesIO(),
        out=ClosedPipe(),
        err=io.StringIO(),
        pause=lambda _: None,
        ticks=lambda: 0.0,
        transport=Canned(httpx.Response(200, json={"role": "partner"})),
    )
    assert invoke(["me"], around) == 0


def test_a_key_that_others_can_read_is_told_beside_the_result(shell: Shell) -> None:
    shell.transport = Canned(httpx.Response(200, json={"role": "partner"}))
    key = shell.write("key", "gw_x")
    key.chmod(0o644)
    ended = shell.run("me", "--key", str(key), "--json")
    assert (ended.document(), "chmod 600" in ended.err) == ({"role": "partner"}, True)
