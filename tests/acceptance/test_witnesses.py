"""Witnesses as partners run them: processes of their own, killed and started again, beside a real gateway."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from audit.checkpoint import read_checkpoint, verify_checkpoint
from audit.cosignature import CosignerKey, parse_cosigner_key, verify_cosignatures
from audit.note import VerifierKey, parse_verifier_key
from tests.acceptance.running import ROOT, Gateway
from tests.free_ports import free_port
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN
from tests.unit.gateway.witness.submissions import FORGED, submission

PATIENCE_SECONDS = 60.0


@dataclass
class Program:
    """`gateway witness` with its folder and port. `key`: as it printed it."""

    folder: Path
    log_key: str
    algorithm: str = "ed25519"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    key: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Program":
        """Start it, and wait until it has said its key."""
        self.folder.mkdir(exist_ok=True)
        files = ["--state", str(self.folder / "state"), "--key", str(self.folder / "key")]
        where = ["--listen", f"127.0.0.1:{self.port}"]
        named = [] if self.key else ["--name", f"w.example/{self.folder.name}", "--algorithm", self.algorithm]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "witness", *where, "--log", self.log_key, *files, *named],
            cwd=ROOT,
            env={**os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        said = [self.process.stdout.readline() for _ in range(3)]
        assert said[0].startswith("witness "), said
        key = said[1].removeprefix("key").strip()
        assert self.key in {"", key}
        self.key = key
        return self

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()

    def add(self, body: bytes) -> httpx.Response:
        return httpx.post(f"{self.url}/add-checkpoint", content=body, timeout=30, trust_env=False)


@contextmanager
def program(*arguments: Any, **more: Any) -> Iterator[Program]:
    made = Program(*arguments, **more)
    try:
        yield made.start()
    finally:
        made.end()


def until(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_a_witness_that_is_killed_never_cosigns_another_history(tmp_path: Path) -> None:
    log_key = str(VerifierKey(ORIGIN, LOG_SIGNER.public_key))
    with program(tmp_path / "one", log_key) as witness:
        assert witness.add(submission(0, 10)).status_code == 200
        witness.end(signal.SIGKILL)
        witness.start()
        # As it was asked before the kill, by somebody who never heard the answer; then as it should be.
        refused = witness.add(submission(0, 10))
        assert (refused.status_code, refused.text) == (409, "10\n")
        assert witness.add(submission(10, 20, FORGED)).status_code == 422
        body = submission(10, 20)
        answer = witness.add(body)
        assert answer.status_code == 200
        checkpoint, note = read_checkpoint(body.partition(b"\n\n")[2] + answer.content)
        assert verify_cosignatures(note, checkpoint, [parse_cosigner_key(witness.key)])
        assert (tmp_path / "one/key").stat().st_mode & 0o777 == 0o600
        assert witness.process is not None
        witness.end(signal.SIGTERM)
        assert witness.process.returncode == 0


def test_a_gateways_anchor_is_cosigned_by_who_is_there(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "data", flags={"audit.anchor_interval": "1s"})
    try:
        gateway.start()
        with gateway.client() as client:
            log_key = client.get("/log/anchor/keys").text.strip()
        with (
            program(tmp_path / "one", log_key) as one,
            program(tmp_path / "two", log_key, "ml-dsa-44") as two,
        ):
            policy = tmp_path / "policy"
            lines = [f"witness {name} {who.key} {who.url}" for name, who in (("one", one), ("two", two))]
            # The third has a key, and is gone.
            with program(tmp_path / "three", log_key) as three:
                lines.append(f"witness three {three.key} {three.url}")
            policy.write_text("\n".join([*lines, "group enough 2 one two three", "quorum enough", ""]))
            assert gateway.stop() == 0, gateway.said()
            gateway.flags["audit.witness_policy"] = str(policy)
            gateway.start()
            until(lambda: standing(gateway)["cosigned"]["size"] > 0, "two of three have cosigned it")
            found = standing(gateway)
            assert {each["name"]: bool(each["size"]) for each in found["witnesses"]} == {
                "one": True,
                "two": True,
                "three": False,
            }
            assert found["witnesses"][2]["problem"] == "connect_failed"
            keys = [parse_cosigner_key(who.key) for who in (one, two)]
            until(lambda: cosigned(gateway, log_key, *keys) > 0, "both lines are served")
            size = standing(gateway)["size"]
            # One is killed: the other goes on, and the anchor too.
            one.end(signal.SIGKILL)
            gateway.agree()
            until(lambda: standing(gateway)["size"] > size, "the anchor goes on")
            one.start()
            until(lambda: standing(gateway)["cosigned"]["size"] > size, "the one that came back")
    finally:
        gateway.kill()


def standing(gateway: Gateway) -> dict[str, Any]:
    with gateway.operator() as client:
        found: dict[str, Any] = client.get("/v1/status").json()["anchor"]
    return found


def cosigned(gateway: Gateway, log_key: str, *keys: CosignerKey) -> int:
    """The size of the checkpoint that is served, once it has lines of all these."""
    with gateway.client() as client:
        shown = client.get("/log/checkpoint").content
    checkpoint = verify_checkpoint(shown, [parse_verifier_key(log_key)])
    found = verify_cosignatures(read_checkpoint(shown)[1], checkpoint, keys)
    return checkpoint.size if set(found) == set(keys) else 0
