"""The command of an outsider: what it prints and how it exits."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.__main__ import main
from audit.bundle import Bundle, format_bundle
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.proof import ConsistencyProof, format_consistency
from audit.receipt import format_jwk
from audit.tree import Head, prove_consistency
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, RECEIPT_SIGNER, papers, reader

HONEST = papers()
LOG_KEY = str(HONEST.keys.logs[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The papers of an honest gateway, as files."""
    (tmp_path / "receipt").write_bytes(HONEST.receipt)
    (tmp_path / "event.tlog-proof").write_bytes(HONEST.proof)
    (tmp_path / "bundle.json").write_bytes(format_bundle(Bundle(HONEST.receipt, HONEST.proof, HONEST.keys)))
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [format_jwk(RECEIPT_SIGNER.public_key)]}))
    old = Head(ORIGIN).append([b"a"])[0]
    new, nodes = Head(ORIGIN).append([b"a", b"b", b"c"])
    signed = [sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root()), LOG_SIGNER) for head in (old, new)]
    (tmp_path / "old").write_bytes(signed[0])
    proof = ConsistencyProof(1, prove_consistency(1, 3, reader(nodes)), signed[1])
    (tmp_path / "growth").write_bytes(format_consistency(proof))
    return tmp_path


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_it(*words: str) -> tuple[int, str]:
        named = [str(folder / word) if (folder / word).exists() else word for word in words]
        return main(["verify", *named]), capsys.readouterr().out

    return run_it


def test_proved_papers_exit_0_and_name_the_keys(run: Run) -> None:
    pins = ("--keys", "jwks.json", "--log-key", LOG_KEY)
    for files in (("receipt", "event.tlog-proof"), ("bundle.json",)):
        code, out = run(*files, *pins)
        assert code == 0
        assert out.startswith("proved\n")
        assert "\nthe operator's word only\n" in out
        assert "\nnot proved\n" in out
        assert RECEIPT_SIGNER.key_id in out
        assert LOG_KEY in out


def test_growth_is_proved(run: Run) -> None:
    code, out = run("old", "growth", "--log-key", LOG_KEY)
    assert code == 0
    assert "only grew from 1 to 3 entries" in out


def test_unpinned_keys_exit_9_and_never_say_proved(run: Run) -> None:
    code, out = run("bundle.json")
    assert code == 9
    assert out.startswith("verification failed\n")
    assert "signed by a key you have not pinned" in out


def test_a_content_beside_papers_of_no_event_is_not_verified(run: Run, folder: Path) -> None:
    (folder / "mine").write_bytes(b"{}")
    for words in (("old",), ("old", "growth")):
        with pytest.raises(SystemExit) as raised:
            run(*words, "--log-key", LOG_KEY, "--content", "mine")
        assert raised.value.code == 2, words


def test_altered_papers_exit_9(run: Run, folder: Path) -> None:
    (folder / "receipt").write_bytes(HONEST.receipt[:-8] + b"AAAAAAAA")
    code, out = run("receipt", "--keys", "jwks.json")
    assert code == 9
    assert out.startswith("verification failed\n")


def test_another_content_exits_9(run: Run, folder: Path) -> None:
    (folder / "content").write_bytes(b"another")
    code, out = run("receipt", "--keys", "jwks.json", "--content", "content")
    assert code == 9
    assert "another content" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["verify", "nowhere"], "nowhere"),
        (["verify", __file__, "--log-key", "name+0+x"], "pinned key"),
        (["verify", __file__, "--keys", __file__], "pinned key"),
        ([], "usage"),
        (["verify"], "usage"),
        (["unknown"], "usage"),
    ],
)
def test_wrong_usage_exits_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(words)
    assert raised.value.code == 2
    assert said in capsys.readouterr().err


def test_it_runs_as_a_module(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "audit", "verify", str(folder / "bundle.json")],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 9
    assert done.stdout.startswith("verification failed\n")
