"""An outsider needs the standard library, cryptography and `audit` to verify, nothing else; and few lines."""

import ast
import io
import json
import os
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from audit.bundle import Bundle, format_bundle, write_tar
from audit.receipt import format_jwk
from tests.dossier import CONTENT, RECEIVER, SENDER, dossier, pem
from tests.unit.audit.builders import RECEIPT_SIGNER, papers

WHOLE = dossier()

LINES = 250
"""Of code, on the way of a receipt with its proof: who is to believe the verifier reads it before."""

BUNDLE_LINES = 600
"""Of a bundle of evidence with all that can be in it: archive, entries, keys, others' signatures besides."""

# `ALLOWED` are top-level names: cryptography, and what its wheel brings.
BLOCKER = """
import importlib, sys

ALLOWED = {"audit", "cryptography", "cffi", "_cffi_backend", "pycparser"} | set(sys.stdlib_module_names)


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ImportError(f"an outsider has no {name}")
        return None


sys.meta_path.insert(0, Blocker())
importlib.import_module(sys.argv[1])
"""


def imported_by_an_outsider(name: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Import a module in a new interpreter that has cryptography and nothing else of other people's."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKER, name],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "name",
    [
        "audit.verify",
        "audit.receiver",
        "audit.attempted",
        "audit.verify_export",
        "audit.anchor",
        "audit.judging",
        "audit.witnessed",
        "audit.revoked",
        "audit.compared",
        "audit.__main__",
    ],
)
def test_verification_needs_cryptography_and_nothing_more(name: str, root: Path) -> None:
    run = imported_by_an_outsider(name, root)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", ["sqlmodel", "gateway.event", "partners"])
def test_the_outsider_has_nothing_else(name: str, root: Path) -> None:
    run = imported_by_an_outsider(name, root)
    assert run.returncode != 0
    assert "an outsider has no" in run.stderr


# Runs the command as it is, then tells which modules of ours were loaded.
TELLER = """
import json, sys
from audit.__main__ import main

code = main(["verify", *sys.argv[1:]])
ours = {name: module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "audit"}
print(json.dumps([code, ours]))
"""


def loaded(folder: Path, root: Path, *words: str) -> tuple[int, dict[str, Path]]:
    """Exit code and loaded modules of a verification, where there is cryptography and nothing else."""
    honest = papers()
    (folder / "receipt.jws").write_bytes(honest.receipt)
    (folder / "event.tlog-proof").write_bytes(honest.proof)
    (folder / "bundle.json").write_bytes(format_bundle(Bundle(honest.receipt, honest.proof, honest.keys)))
    (folder / "bundle.tar").write_bytes(write_tar({"receipt.jws": honest.receipt}))
    (folder / "evidence.tar").write_bytes(WHOLE.raw)
    (folder / "order.json").write_bytes(CONTENT)
    (folder / "sender.pub").write_bytes(pem(SENDER))
    (folder / "receiver.pub").write_bytes(pem(RECEIVER))
    (folder / "keys.json").write_text(json.dumps({"keys": [format_jwk(RECEIPT_SIGNER.public_key)]}))
    pins = ["--keys", str(folder / "keys.json"), "--log-key", str(honest.keys.logs[0])]
    program = BLOCKER.replace("importlib.import_module(sys.argv[1])", "") + TELLER
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            *(word if word.startswith("-") else str(folder / word) for word in words),
            *pins,
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    code, ours = json.loads(run.stdout.splitlines()[-1])
    return code, {name: Path(file) for name, file in ours.items()}


def lines_of_code(text: str) -> int:
    """Lines that are neither empty, nor comments, nor docstrings."""
    described: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            described |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    blank = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in blank:
            code |= set(range(token.start[0], token.end[0] + 1))
    return len(code - described)


@pytest.mark.parametrize(
    "files", [("receipt.jws",), ("receipt.jws", "event.tlog-proof"), ("bundle.json",)], ids=" ".join
)
def test_the_way_of_a_receipt_is_short_enough_to_be_read(
    files: tuple[str, ...], root: Path, tmp_path: Path
) -> None:
    code, modules = loaded(tmp_path, root, *files)
    assert code == 0
    lines = {name: lines_of_code(file.read_text(encoding="utf-8")) for name, file in modules.items()}
    assert sum(lines.values()) <= LINES, lines


PARTIES = ("--content", "order.json", "--party-key", "sender.pub", "--party-key", "receiver.pub")


@pytest.mark.parametrize("more", [(), PARTIES], ids=["alone", "with all that one can have"])
def test_a_bundle_of_evidence_is_not_long_either(more: tuple[str, ...], root: Path, tmp_path: Path) -> None:
    code, modules = loaded(tmp_path, root, "evidence.tar", *more)
    assert code == 0
    assert {"audit.bundled", "audit.parties", "audit.forks", "audit.offered"} <= modules.keys()
    lines = {name: lines_of_code(file.read_text(encoding="utf-8")) for name, file in modules.items()}
    assert sum(lines.values()) <= BUNDLE_LINES, lines


def test_what_bundles_need_besides_is_loaded_for_bundles_alone(root: Path, tmp_path: Path) -> None:
    code, modules = loaded(tmp_path, root, "bundle.tar")
    assert code == 0
    _, few = loaded(tmp_path, root, "bundle.json")
    assert {"audit.bundled", "audit.parties"} <= modules.keys() - few.keys()


def test_lines_of_code_are_counted() -> None:
    assert (
        lines_of_code('"""a\nb"""\n\n# c\nx = (\n  1,\n)\n\n\ndef f():\n    """d"""\n    return 1  # e\n')
        == 5
    )
