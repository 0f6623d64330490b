import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fuzz.engine import try_some
from tests.fuzz.targets import TARGETS, Target

BY_NAME = {one.name: one for one in TARGETS}


@pytest.mark.parametrize("name", BY_NAME)
def test_a_reader_raises_only_what_it_documents(name: str, tmp_path: Path) -> None:
    try_some(BY_NAME[name], 100, start=1, crashes=tmp_path)


@pytest.mark.parametrize("name", [one.name for one in TARGETS if one.documented])
def test_seeds_and_errors_are_both_met(name: str, tmp_path: Path) -> None:
    """A target whose reader refuses everything, or nothing, would find nothing."""
    target, met = BY_NAME[name], set[str]()

    def read(raw: bytes) -> None:
        try:
            target.read(raw)
        except target.documented:
            met.add("refused")
            raise
        met.add("taken")

    try_some(replace(target, read=read), 60, start=2, crashes=tmp_path)
    assert "refused" in met
    if any(_is_taken(target, one) for one in target.seeds):
        return
    raise AssertionError(f"no seed of {name} is taken")


def _is_taken(target: Target, raw: bytes) -> bool:
    try:
        target.read(raw)
    except target.documented:
        return False
    return True


def test_an_error_that_is_not_documented_is_found_with_its_input(tmp_path: Path) -> None:
    def read(raw: bytes) -> None:
        if b"\x80" in raw:
            raise IndexError(len(raw))

    target = Target("planted", read, (ValueError,), (b"abc",))
    with pytest.raises(IndexError):
        try_some(target, 2_000, start=1, crashes=tmp_path)
    assert b"\x80" in (tmp_path / "planted.crash").read_bytes()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("while raw: pass", "Timeout"),
        ("bytearray(3 << 30)", "MemoryError"),
        ("raise IndexError", "IndexError"),
    ],
)
def test_a_process_ends_where_an_input_hangs_or_eats_memory(fault: str, said: str, tmp_path: Path) -> None:
    program = f"""\
import pathlib
from tests.fuzz import engine
from tests.fuzz.targets import Target
engine.LONGEST_SECONDS = 1
engine.has_atheris = lambda: False
def read(raw):
    {fault}
target = Target("planted", read, (), (b"abc",))
engine.run(target, seconds=5, start=1, crashes=pathlib.Path({str(tmp_path)!r}))
"""
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert said in done.stderr
    assert (tmp_path / "planted.latest").read_bytes() == b"abc"
