"""The command blocks of README and quickstart, run as they are written; outputs are not compared.

A block that ends in a program which stays is a terminal of its own; all others are one terminal, in order.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.running import PATIENT, ROOT
from tests.free_ports import free_port

WAIT_SECONDS = 240.0
STAYS = re.compile(r"gateway up|python \S*receiver\.py")
AWAIT = """\
import sys, time, urllib.error, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for _ in range(1600):
    try:
        opener.open(sys.argv[1], timeout=5)
        sys.exit(0)
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        pass
    time.sleep(0.05)
sys.exit(f"{sys.argv[1]} is not there after 80 s")
"""


def blocks(text: str) -> list[str]:
    """The shell blocks of a document."""
    return re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def script(shown: Sequence[str], gateway: str, receiver: str) -> str:
    """One script of all blocks: what stays runs behind the others, and is awaited."""
    lines = ["set -ex", "stay=", "trap 'kill $stay || :; wait || :' EXIT"]
    for block in shown:
        *first, last = block.strip().splitlines()
        if STAYS.match(last):
            url = receiver if "receiver" in last else gateway
            lines += ["(", *first, f"exec {last}", ") &", 'stay="$stay $!"', f"await {url}"]
        else:
            lines.append(block)
    return "\n".join(lines)


def program(folder: Path, name: str, command: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{command}\n")
    file.chmod(0o755)


@contextmanager
def clone(folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A clone that is set up, as far as the commands see it, and the environment of its terminals."""
    here, bins = folder / "clone", folder / "bin"
    (here / ".venv/bin").mkdir(parents=True)
    (here / ".venv/bin/activate").touch()
    (here / "examples").symlink_to(ROOT / "examples")
    bins.mkdir()
    program(bins, "make", 'test "$*" = setup')
    program(bins, "gateway", f'exec "{sys.executable}" -m gateway "$@"')
    program(bins, "python", f'exec "{sys.executable}" "$@"')
    (bins / "await.py").write_text(AWAIT)
    program(bins, "await", f'exec "{sys.executable}" "{bins}/await.py" "$@"')
    foreign = ("gateway_", "http_proxy", "https_proxy", "all_proxy")
    kept = {name: text for name, text in os.environ.items() if not name.lower().startswith(foreign)}
    path = f"{bins}{os.pathsep}{os.environ['PATH']}"
    yield here, {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder)}


def run(folder: Path, document: str, changes: dict[str, str], left_out: Sequence[str] = ()) -> str:
    """Run a document's blocks; returns what was shown. `changes`: what has to be another on this machine."""
    text = (ROOT / document).read_text(encoding="utf-8")
    gateway, receiver = free_port(), free_port()
    with clone(folder) as (here, environ):
        for wanted, instead in changes.items():
            assert wanted in text, f"{document} does not say {wanted} any more"
            text = text.replace(wanted, instead.format(here=here, folder=folder, receiver=receiver))
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{gateway}")
        shown = [block for block in blocks(text) if block.strip() not in left_out]
        assert len(shown) == len(blocks(text)) - len(left_out)
        whole = script(shown, f"http://127.0.0.1:{gateway}/readyz", f"http://127.0.0.1:{receiver}/counts")
        environ["GATEWAY_LISTEN__PUBLIC"] = f"127.0.0.1:{gateway}"
        environ["GATEWAY_INGRESS__PUBLISH_TIMEOUT"] = str(PATIENT["ingress.publish_timeout"])
        said = folder / "said"
        with said.open("wb") as out:
            shell = subprocess.Popen(
                ["sh", "-c", whole],
                cwd=here,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            try:
                code = shell.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                if shell.poll() is None:
                    os.killpg(shell.pid, signal.SIGKILL)  # a session of our own
        assert code == 0, said.read_text()[-6_000:]
        return said.read_text()


@pytest.mark.curl
def test_the_readme_does_what_it_says(tmp_path: Path) -> None:
    said = run(tmp_path, "README.md", {}, left_out=["make demo"])
    assert "ASN-124" in said


@pytest.mark.curl
def test_the_quickstart_ends_in_a_proof(tmp_path: Path) -> None:
    changes = {
        "/tmp/first-day": "{folder}/first-day",  # noqa: S108 - what the document says
        "YOUR-CLONE": "{here}",
        "8099": "{receiver}",
        "--fail-first 1\n": "--fail-first 1 --port {receiver}\n",
        "sleep 8\n": "sleep 1\n",
    }
    said = run(tmp_path, "docs/quickstart.md", changes)
    assert "\nproved\n" in said


def test_blocks_of_other_languages_are_not_run() -> None:
    text = "```sh\na\nb\n```\n```text\nc\n```\n```python\nd\n```\n"
    assert blocks(text) == ["a\nb\n"]


def test_a_command_that_fails_ends_the_script(tmp_path: Path) -> None:
    whole = script(["true\nfalse\ntouch reached\n"], "", "")
    ended = subprocess.run(["sh", "-c", whole], cwd=tmp_path, capture_output=True, check=False)
    assert (ended.returncode != 0, (tmp_path / "reached").exists()) == (True, False)
