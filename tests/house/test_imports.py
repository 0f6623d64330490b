"""Importing a module does nothing: no socket, no thread, no program started, no file written."""

import json
import os
import subprocess
import sys
from pathlib import Path

# Runs in an interpreter of its own, since this one has imported and started much already.
IMPORTER = """
import importlib, json, os, sys, threading

seen = []
now = "start"
WATCHED = {
    "socket.__new__", "socket.bind", "socket.connect", "socket.getaddrinfo", "sqlite3.connect",
    "subprocess.Popen", "os.fork", "os.posix_spawn", "os.mkdir", "os.remove", "os.rename",
}


def hook(event, args):
    if event in WATCHED:
        seen.append([now, event, repr(args)[:200]])
    elif event == "open":
        path, mode, flags = args
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and path != os.devnull:
            seen.append([now, event, repr(args)[:200]])


def start(thread, really=threading.Thread.start):
    seen.append([now, "thread", thread.name])
    really(thread)


threading.Thread.start = start  # Python 3.11 raises no audit event for threads
sys.addaudithook(hook)
for now in sys.argv[1:]:
    importlib.import_module(now)
print(json.dumps(seen))
"""


def effects(names: tuple[str, ...], folder: Path) -> list[str]:
    """What importing the modules did, each as `module: event: arguments`."""
    run = subprocess.run(
        [sys.executable, "-B", "-c", IMPORTER, *names],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr
    return [": ".join(effect) for effect in json.loads(run.stdout.splitlines()[-1])]


def test_importing_any_module_has_no_effect(modules: tuple[str, ...], root: Path) -> None:
    assert effects(modules, root) == []


def test_effects_of_an_import_are_seen(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(
        "import socket, threading\n"
        "socket.socket().close()\n"
        "threading.Thread(target=list).start()\n"
        "open('trace', 'w').close()\n",
        encoding="utf-8",
    )
    found = effects(("loud",), tmp_path)
    assert [effect.split(": ")[1] for effect in found] == ["socket.__new__", "thread", "open"]
