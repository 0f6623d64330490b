"""Commands that the documents show exist, with the options shown."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

# Asks for help after all that was written: an unknown command or option is a usage error first.
ASKER = """
import contextlib, io, json, sys
from gateway.cli.main import main

for command in json.loads(sys.argv[1]):
    sys.argv = ["gateway", *command, "--help"]
    said = io.StringIO()
    code = 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as end:
            code = end.code
    if code:
        print(" ".join(command))
"""


def commands(text: str) -> set[tuple[str, ...]]:
    """What follows `gateway` in a document's code: in lines of fenced blocks, and in spans in backticks.

    At the start of a line, and where the line pipes something into it.
    """
    fenced = re.findall(r"^```(?:sh|shell|console)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in fenced for line in block.splitlines()]
    spans = re.findall(r"`((?:\.venv/bin/)?gateway [^`|]+)`", text)
    found = set()
    for part in (part for line in [*lines, *spans] for part in line.split(" | ")):
        shown = re.match(r"(?:\$ )?(?:\w+=\$\()?(?:\.venv/bin/)?gateway (?P<words>.+)", part.strip())
        if shown:
            found.add(tuple(shlex.split(shown["words"], comments=True)))
    return found


def unknown(shown: Iterable[tuple[str, ...]], folder: Path) -> list[str]:
    """The commands that the program refuses."""
    run = subprocess.run(
        [sys.executable, "-c", ASKER, json.dumps(sorted(shown))],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_commands_in_the_documents_exist(texts: Mapping[Path, str], root: Path) -> None:
    shown = {command for path, text in texts.items() if path.suffix == ".md" for command in commands(text)}
    assert ("up",) in shown
    assert unknown(shown, root) == []


def test_an_unknown_command_or_option_is_seen(root: Path) -> None:
    assert unknown([("up",), ("fly",), ("up", "--nonsense")], root) == ["fly", "up --nonsense"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```sh\ngateway plan -f acme.yaml   # see\n```\n", {("plan", "-f", "acme.yaml")}),
        ("```sh\nhead -1 a.jsonl | gateway send order.placed -\n```\n", {("send", "order.placed", "-")}),
        (
            "```sh\nREF=$(gateway history list --json | python -c 'print(1)')\n```\n",
            {("history", "list", "--json")},
        ),
        ("run `.venv/bin/gateway up` now", {("up",)}),
        ("one of `gateway plan|apply`, or the gateway itself", set()),
    ],
)
def test_commands_are_found_in_code_only(text: str, found: set[tuple[str, ...]]) -> None:
    assert commands(text) == found
