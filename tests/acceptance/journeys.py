"""Who walks the journeys of the docs: a shell with curl as `gw`, and the `gateway` command as it is typed."""

import io
import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gateway.cli.command import Surroundings
from gateway.cli.main import invoke
from tests.acceptance.running import Gateway

ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "namespace": "com.acme",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "currency", "type": "string", "default": "EUR"},
        {"name": "lines", "type": {"type": "array", "items": {
            "type": "record", "name": "Line", "fields": [{"name": "qty", "type": "int"}],
        }}},
    ],
}  # fmt: skip
CONTRACT = """\
gateway: v1
partner: {slug}
authentication: {accept: [api_key, message_signature]}
sends:
  order.placed: {schema: order.avsc, id: /order_id, search: [/order_id, /currency]}
receives:
  order.accepted: {schema: order.avsc, id: /order_id}
limits: {events_per_second: 200, bytes_per_day: 5GiB}
"""
GW = """\
gw() { curl -sS --write-out '%{stderr}%{http_code}' -H "Authorization: Bearer $KEY" "$@"; }
"""
"""`gw` of the docs; its status beside the answer, where a pipe or a file does not get it."""
WAIT_SECONDS = 60.0

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What curl shows: the status, and the body as it stands on the terminal."""

    status: int
    text: str = field(repr=False)

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Developer:
    """A partner's developer: a key, a folder, and nothing but a shell."""

    gateway: Gateway
    key: str = field(repr=False)
    folder: Path

    def gw(self, line: str) -> Answer:
        """Run one line of shell that calls `gw` once."""
        kept = {name: text for name, text in os.environ.items() if "proxy" not in name.lower()}
        ran = subprocess.run(
            ["sh", "-ec", GW + line],
            cwd=self.folder,
            env={**kept, "GW": self.gateway.url, "KEY": self.key, "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, (line, ran.stderr)
        return Answer(int(ran.stderr), ran.stdout)

    def write(self, name: str, document: object) -> None:
        (self.folder / name).write_text(json.dumps(document))

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text())


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said where."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Operator:
    """An operator at the `gateway` command, in a folder of contract files; or who has another `key`."""

    gateway: Gateway
    folder: Path
    key: str = field(default="", repr=False)

    def run(self, line: str) -> Ended:
        """Run `gateway` with these words, parted by blanks, in this process but for that as anywhere."""
        out, err = io.StringIO(), io.StringIO()
        environ = {
            "GATEWAY_URL": self.gateway.url,
            "GATEWAY_KEY": self.key or self.gateway.operator_key(),
            "HOME": str(self.folder),
        }
        around = Surroundings(environ, io.BytesIO(), out, err, time.sleep, time.monotonic)
        with chdir(self.folder):
            code = invoke(line.split(), around)
        return Ended(code, out.getvalue(), err.getvalue())


def join(gateway: Gateway, slug: str, folder: Path) -> Developer:
    """The developer of a partner that the operator has just let in, in a folder of its own."""
    files = {"order.avsc": json.dumps(ORDER)}
    body = {"contract": CONTRACT.replace("{slug}", slug), "files": files}
    with gateway.operator() as operator:
        put = operator.put(f"/v1/partners/{slug}/contract", json=body)
        assert put.status_code == 201, put.text
        made = operator.post(f"/v1/partners/{slug}/credentials", json={"role": "partner"})
        assert made.status_code == 201, made.text
    home = folder / slug
    home.mkdir()
    return Developer(gateway, made.json()["secret"], home)


def until(
    look: Callable[[], T | None], seconds: float = WAIT_SECONDS, *, lacks: Callable[[], object] = lambda: ""
) -> T:
    """The first answer that is not empty; `lacks`: what to say if none comes."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited in vain: {lacks()}"
        time.sleep(0.05)
    return found
