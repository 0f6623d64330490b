"""Which Java is good enough for Kafka, for the tests and for the whole check of a bare machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.java_release import parse_java_release, why_java_is_missing

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("said", "release"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6)', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('openjdk version "25-ea" 2025-09-16', 25),
        ('java version "1.8.0_392"\nJava(TM) SE Runtime Environment (build 1.8.0_392-b13)', 8),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "11.0.2" 2019-01-15', 11),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
        ("", None),
    ],
)
def test_the_release_is_read_from_what_java_says(said: str, release: int | None) -> None:
    assert parse_java_release(said) == release


def put_java(folder: Path, version: str, code: int = 0) -> Path:
    program = folder / "java"
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2020-01-01' >&2\nexit {code}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("version", "code", "words"),
    [("1.8.0_392", 0, "is Java 8, and Kafka needs 17 or newer"), ("17.0.1", 1, "does not run")],
)
def test_a_java_that_cannot_run_kafka_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, code: int, words: str
) -> None:
    program = put_java(tmp_path, version, code)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    why = why_java_is_missing()
    assert why is not None
    assert str(program) in why
    assert words in why


@pytest.mark.parametrize("version", ["17.0.15", "21"])
def test_a_java_that_is_new_enough_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    put_java(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert why_java_is_missing() is None


@pytest.mark.parametrize(("version", "status"), [("11.0.2", 1), ("17.0.15", 0)])
def test_the_whole_check_asks_the_same_question(tmp_path: Path, version: str, status: int) -> None:
    (line,) = [one for one in (ROOT / ".ci" / "run").read_text().splitlines() if one.startswith("has_java()")]
    put_java(tmp_path, version)
    ran = subprocess.run(
        ("bash", "-c", f"PYTHON=python3\n{line}\nhas_java"),
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, "Kafka needs 17" in ran.stderr) == (status, status == 1), ran.stderr


def test_the_question_needs_no_installed_package() -> None:
    asked = (sys.executable, "-S", "-E", "-c", "from tests.java_release import why_java_is_missing")
    ran = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
