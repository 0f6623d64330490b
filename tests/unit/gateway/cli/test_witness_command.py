"""The command line of `gateway witness`: what it refuses before it makes anything."""

import pytest

from audit.note import VerifierKey
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN
from tests.unit.gateway.cli.conftest import Shell

LOG = str(VerifierKey(ORIGIN, LOG_SIGNER.public_key))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "which logs?"),
        (["--log", "nonsense"], "--log: verifier key"),
        (["--log", LOG, "--listen", "nonsense"], "--listen nonsense"),
        (["--log", LOG, "--listen", "0.0.0.0:0"], "beyond loopback without TLS"),
        (["--log", LOG, "--tls-cert", "cert.pem"], "go together"),
        (["--log", LOG, "--algorithm", "rsa"], "ed25519 or ml-dsa-44"),
    ],
)
def test_a_wrong_command_line_makes_nothing(shell: Shell, arguments: list[str], why: str) -> None:
    files = ["--key", str(shell.folder / "key"), "--state", str(shell.folder / "state")]
    ended = shell.run("witness", "--name", "w.example/1", *files, *arguments)
    assert ended.code == 2
    assert why in ended.err
    assert list(shell.folder.glob("*")) == []


def test_without_a_name_there_is_no_new_key(shell: Shell) -> None:
    files = ["--key", str(shell.folder / "key"), "--state", str(shell.folder / "state")]
    ended = shell.run("witness", "--log", LOG, *files)
    assert ended.code == 5
    assert "say --name" in ended.err
    assert not (shell.folder / "state").exists()
