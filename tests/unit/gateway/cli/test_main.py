import io
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import typer

from gateway.cli.command import Surroundings
from gateway.cli.main import invoke, make_app
from gateway.version import VERSION
from tests.unit.gateway.cli.conftest import Canned, Shell, problem

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


def test_it_says_which_version_it_is(shell: Shell) -> None:
    ended = shell.run("--version")
    assert (ended.code, ended.out) == (0, f"gateway {VERSION}\n")


def test_the_tree_has_the_commands_that_were_promised() -> None:
    promised = {
        *("up", "init", "serve", "relay", "sequence", "migrate", "plan", "apply", "diff", "send", "stream"),
        *("import", *(f"imports {one}" for one in ("list", "show", "cancel"))),
        *("verify", "status", "login", "me", "demo"),
        *(f"history {one}" for one in ("list", "show", "proof")),
        *(f"credentials {one}" for one in ("list", "create", "show", "revoke")),
        *(f"partners {one}" for one in ("list", "show")),
        *(f"config {one}" for one in ("show", "check")),
    }
    assert paths(make_app()) >= promised


def test_each_command_is_found_without_loading_the_others() -> None:
    everything = paths(make_app())
    for first in {path.partition(" ")[0] for path in everything}:
        mine = {path for path in everything if path.partition(" ")[0] == first}
        assert mine <= paths(make_app(first)) < everything
    assert paths(make_app("nonsense")) == everything


@pytest.mark.parametrize("name", ["up", "status"])
def test_a_command_loads_neither_the_server_nor_what_others_need(name: str) -> None:
    program = f"import sys; from gateway.cli.main import make_app; make_app({name!r}); print(*sys.modules)"
    done = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    assert "gateway.cli.main" in loaded
    assert not loaded & {
        "sqlalchemy",
        "alembic",
        "aiohttp",
        "gateway.cli.contract",
        "gateway.bootstrap.program",
    }


def test_a_server_loads_no_client_no_upgrade_and_nothing_that_draws() -> None:
    program = (
        "import sys; from gateway.cli.main import make_app; make_app('serve'); "
        "from gateway.bootstrap import program; print(*sys.modules)"
    )
    done = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    assert "gateway.bootstrap.program" in loaded
    assert not loaded & {"httpx", "alembic", "mako", "gateway.cli.client", "gateway.cli.drawing", "rich.live"}


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


class FullDisk(io.StringIO):
    """Takes words into its buffer, and none further."""

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def on_a_full_disk(
    folder: Path, *arguments: str, answer: httpx.Response, stdin: bytes = b""
) -> tuple[int, str]:
    """Exit code and words on stderr of a command whose answer cannot be written."""
    err = io.StringIO()
    around = Surroundings(
        environ={"GATEWAY_DATA": str(folder)},
        source=io.BytesIO(stdin),
        out=FullDisk(),
        err=err,
        pause=lambda _: None,
        ticks=lambda: 0.0,
        transport=Canned(answer),
    )
    return invoke(arguments, around), err.getvalue()


def test_an_answer_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    expected = (1, "gateway: cannot write the answer: no space left on device\n")
    for words in (["me"], ["me", "--json"]):
        assert (
            on_a_full_disk(tmp_path, *words, answer=httpx.Response(200, json={"role": "partner"})) == expected
        )


@pytest.mark.parametrize(
    ("duplicate", "sums"),
    [(False, "1 accepted, 0 sent before, 0 refused"), (True, "0 accepted, 1 sent before, 0 refused")],
)
def test_an_event_that_was_taken_is_told_though_its_receipt_cannot_be_written(
    tmp_path: Path, duplicate: object, sums: str
) -> None:
    answer = httpx.Response(200, json={"ref": "evt_1", "id": "A", "duplicate": duplicate})
    expected = (1, f"gateway: cannot write the answer: no space left on device; {sums}\n")
    for words in ([], ["--json"]):
        assert on_a_full_disk(tmp_path, "send", "t", "-", *words, answer=answer, stdin=b"{}") == expected


def test_a_batch_tells_how_much_of_it_was_taken_though_nothing_can_be_written(tmp_path: Path) -> None:
    refused = {"index": 1, "status": 422, "problem": {"code": "event_invalid"}}
    sums = {"accepted": 1, "duplicates": 0, "refused": 1, "results": [refused]}
    answer = httpx.Response(200, json=sums)
    for words in ([], ["--json"]):
        code, err = on_a_full_disk(
            tmp_path, "send", "t", "-", "--batch", *words, answer=answer, stdin=b"{}\n{}\n"
        )
        assert code == 1
        assert "no space left on device; 1 accepted, 0 sent before, 1 refused\n" in err


def test_a_refusal_is_told_though_its_document_cannot_be_written(tmp_path: Path) -> None:
    answer = problem(404, "not_found", retry="no")
    code, err = on_a_full_disk(tmp_path, "me", "--json", answer=answer)
    assert (code, "not_found: " in err, "no space left" in err) == (4, True, True)


def test_the_program_ends_without_a_traceback_where_nothing_can_be_written() -> None:
    with Path("/dev/full").open("w") as full:
        for words in (["--help"], ["config", "show"]):
            done = subprocess.run(
                [sys.executable, "-m", "gateway", *words], stdout=full, stderr=subprocess.PIPE, check=False
            )
            assert done.returncode == 1
            assert done.stderr.decode() == "gateway: cannot write the answer: no space left on device\n"


def test_a_key_that_others_can_read_is_told_beside_the_result(shell: Shell) -> None:
    shell.transport = Canned(httpx.Response(200, json={"role": "partner"}))
    key = shell.write("key", "gw_x")
    key.chmod(0o644)
    ended = shell.run("me", "--key", str(key), "--json")
    assert (ended.document(), "chmod 600" in ended.err) == ({"role": "partner"}, True)
