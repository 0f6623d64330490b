"""An outsider needs the standard library, cryptography and `audit` to verify, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("name", ["audit.verify", "audit.__main__"])
def test_verification_needs_cryptography_and_nothing_more(name: str, root: Path) -> None:
    run = imported_by_an_outsider(name, root)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", ["sqlmodel", "gateway.event", "partners"])
def test_the_outsider_has_nothing_else(name: str, root: Path) -> None:
    run = imported_by_an_outsider(name, root)
    assert run.returncode != 0
    assert "an outsider has no" in run.stderr
