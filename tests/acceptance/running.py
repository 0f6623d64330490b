"""The gateway as a process of its own: start, wait until it is ready, speak to it, end it by its pid."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.stacks import Files, Stack
from tests.command_program import Command
from tests.faults.program import Fault, Forked
from tests.free_ports import free_port

ROOT = Path(__file__).parents[2]
READY_SECONDS = 90.0
END_SECONDS = 60.0
ANSWER_SECONDS = 60.0
"""Longer than the gateway itself waits for anybody, with what a busy machine adds."""

PATIENT: dict[str, str | int] = {"ingress.publish_timeout": "10s"}
"""How long a disk takes that many tests share, or a Kafka that is held up, must not matter; where it does, a
test asks for `AS_SHIPPED`."""

AS_SHIPPED: dict[str, str | int] = {"ingress.publish_timeout": "1800ms"}

ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "namespace": "com.acme",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "customer", "type": ["null", "string"], "default": None},
        {"name": "qty", "type": "int"},
    ],
}
CONTRACT = """\
gateway: v1
partner: acme
name: Acme GmbH
sends:
  order.placed: {schema: order.avsc, id: /order_id, key: /customer}
receives:
  order.accepted: {schema: order.avsc, id: /order_id}
"""


@dataclass
class Gateway:
    """One data folder with its port, and the process that runs on it now, if any.

    The port stays the folder's own, since the origin is frozen at the first start.
    """

    folder: Path
    flags: dict[str, str | int] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | Forked | None = None
    log_file: Path | None = None
    stack: Stack = field(default_factory=Files)
    is_prepared: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.log_file or self.folder.with_name(self.folder.name + ".log")

    def launch(self, *command: str, fault: Fault | None = None) -> subprocess.Popen[bytes] | Forked:
        """Start the process without waiting for it: `gateway up`, or another command line.

        `fault`: started by tests/faults/program.py instead, so that something goes wrong in it.
        """
        assert self.process is None or self.process.poll() is not None, "one process at a time"
        settings = self.settings()
        if fault is not None:
            self.process = Forked({"data": str(self.folder), **settings}, fault, self.log)
            return self.process
        self.process = Command(
            (*(command or ("up",)), "--data", str(self.folder)),
            environ={**os.environ, **{_variable(key): str(value) for key, value in settings.items()}},
            folder=ROOT,
            log=self.log,
        )
        return self.process

    def start(self, *command: str, fault: Fault | None = None) -> "Gateway":
        """Start, and wait until it is ready."""
        self.ensure_prepared()
        self.launch(*command, fault=fault)
        assert self.wait_ready(), self.said()
        return self

    def ensure_prepared(self) -> None:
        """Do once what is to be done before the first start that is to succeed."""
        if not self.is_prepared:
            self.stack.prepare({"data": str(self.folder), **self.settings()}, self.log)
            self.is_prepared = True

    def settings(self) -> dict[str, str | int]:
        """Those of the stack, and this gateway's own."""
        own: dict[str, str | int] = {"listen.public": f"127.0.0.1:{self.port}", "log.format": "json"}
        return {**own, **PATIENT, **self.stack.flags(), **self.flags}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query on its database, past the gateway."""
        return self.stack.rows(self.folder, query)

    def wait_ready(self) -> bool:
        """Whether it became ready before it ended."""
        assert self.process is not None
        deadline, answer = time.monotonic() + READY_SECONDS, ""
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            try:
                ready = httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False)
                if ready.status_code == 200:
                    return True
                answer = ready.text
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready after {READY_SECONDS} s: {answer}\n{self.said()}")

    def refuses(self, *command: str, code: int = 5) -> str:
        """Start where no start is possible: it ends by itself, with words for people and no trace of code."""
        before = self.log.stat().st_size if self.log.exists() else 0
        ended = self._ended(self.launch(*command), READY_SECONDS)
        text = self.log.read_bytes()[before:].decode()
        assert ended == code, (ended, text)
        assert "Traceback" not in text
        assert text.strip()
        return text

    def client(self, key: str | None = None) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=_headers(key), timeout=ANSWER_SECONDS, trust_env=False)

    def async_client(self, key: str | None = None) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url, headers=_headers(key), timeout=ANSWER_SECONDS, trust_env=False
        )

    def operator_key(self) -> str:
        return (self.folder / "operator.key").read_text().strip()

    def operator(self) -> httpx.Client:
        return self.client(self.operator_key())

    def agree(self, contract: str = CONTRACT, files: dict[str, str] | None = None) -> httpx.Response:
        """As `apply`, of a contract that is taken."""
        applied = self.apply(contract, files)
        assert applied.status_code in {200, 201}, applied.text
        return applied

    def apply(self, contract: str = CONTRACT, files: dict[str, str] | None = None) -> httpx.Response:
        """Bring a contract of acme into force, as `gateway apply` does."""
        body = {"contract": contract, "files": files or {"order.avsc": json.dumps(ORDER)}}
        with self.operator() as client:
            return client.put("/v1/partners/acme/contract", json=body)

    def partner_key(self) -> str:
        """A new API key of acme."""
        with self.operator() as client:
            made = client.post("/v1/partners/acme/credentials", json={"role": "partner"})
        assert made.status_code == 201, made.text
        return str(made.json()["secret"])

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(END_SECONDS)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._ended(self.process, END_SECONDS)

    def _ended(self, process: subprocess.Popen[bytes] | Forked, seconds: float) -> int:
        """The exit code of a process that ends by itself."""
        try:
            return process.wait(seconds)
        except (subprocess.TimeoutExpired, TimeoutError) as error:
            process.send_signal(signal.SIGKILL)
            raise AssertionError(f"still runs after {seconds:.0f} s: {self.said()}") from error

    def said(self) -> str:
        """The end of what it has written."""
        return self.log.read_text(errors="replace")[-4_000:] if self.log.exists() else ""


def take(client: httpx.Client, path: str, event: object, **more: Any) -> httpx.Response:
    """The answer to an event that was taken, after any 503, which asks for the same event again.

    Kafka may still be making the partner's topics, and a busy machine may hold an event up. After an outcome
    that was not known the answer may be that of a repeat.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while (answer := client.post(path, json=event, **more)).status_code == httpx.codes.SERVICE_UNAVAILABLE:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
    assert answer.status_code in {200, 201}, answer.text
    return answer


def _variable(key: str) -> str:
    return "GATEWAY_" + key.replace(".", "__").upper()


def _headers(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def orders(first: int, count: int, prefix: str = "A") -> Sequence[dict[str, Any]]:
    """Orders with ids of their own."""
    return [
        {"order_id": f"{prefix}-{n}", "customer": f"c{n % 7}", "qty": n} for n in range(first, first + count)
    ]
