"""The command line in this process: against a whole gateway on its real routes, or against canned answers."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli.command import Surroundings
from gateway.cli.main import invoke
from gateway.http.app import make_apps
from tests.builders import ORIGIN, House, open_house
from tests.world import CONTRACT, ORDER


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class Shell:
    """Runs command lines. `pauses`: what a command waited for, in seconds; nothing really waits."""

    folder: Path
    transport: httpx.BaseTransport | None = None
    environ: dict[str, str] = field(default_factory=dict)
    pauses: list[float] = field(default_factory=list)
    pause: Callable[[float], None] | None = None
    ticks: Callable[[], float] = lambda: 0.0

    def run(self, *arguments: str, stdin: bytes = b"") -> Ended:
        out, err = io.StringIO(), io.StringIO()
        around = Surroundings(
            environ={"GATEWAY_DATA": str(self.folder / "none"), **self.environ},
            source=io.BytesIO(stdin),
            out=out,
            err=err,
            pause=self.pause or self.pauses.append,
            ticks=self.ticks,
            transport=self.transport,
        )
        return Ended(invoke(arguments, around), out.getvalue(), err.getvalue())

    def write(self, name: str, content: object) -> Path:
        """A file of the folder: bytes and text as they are, anything else as JSON."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path


class Canned(httpx.BaseTransport):
    """Answers in turn, the last one for ever; keeps what was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def problem(
    status: int, code: str, *, headers: Mapping[str, str] | None = None, **members: object
) -> httpx.Response:
    document = {"code": code, "status": status, "detail": "Something.", **members}
    return httpx.Response(
        status,
        headers={"content-type": "application/problem+json", **(headers or {})},
        content=json.dumps(document).encode(),
    )


class Bridge(httpx.BaseTransport):
    """From a command, which blocks its thread, to an application in the loop of another thread."""

    def __init__(self, house: House) -> None:
        self._app: Any = make_apps(house.doors)[1]
        self._loop = asyncio.get_running_loop()
        self.asked: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        return asyncio.run_coroutine_threadsafe(self._answer(request), self._loop).result(30)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = await httpx.ASGITransport(self._app).handle_async_request(request)
        raw = b"".join([part async for part in answer.aiter_raw()])
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(raw))


class Overtaken(Bridge):
    """Between the plan and the change of a command, another operator applies a contract."""

    def __init__(self, house: House, contract: str) -> None:
        super().__init__(house)
        self._world, self._contract = house.world, contract

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if "dry_run=true" not in str(request.url):
            other = self._world.apply(self._contract, slug="bolt")
            asyncio.run_coroutine_threadsafe(other, self._loop).result(30)
        return super().handle_request(request)


@dataclass
class Desk:
    """A gateway, and the command line of an operator or of the partner acme."""

    house: House
    shell: Shell
    threads: ThreadPoolExecutor
    bridge: Bridge

    async def run(self, *arguments: str, stdin: bytes = b"", by: str = "operator") -> Ended:
        self.shell.environ["GATEWAY_KEY"] = self.house.keys[by]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self.threads, lambda: self.shell.run(*arguments, "--url", ORIGIN, stdin=stdin)
        )

    def contract(self, slug: str = "bolt", folder: str = "fleet", text: str = CONTRACT) -> str:
        """A contract file of a partner, and its schema; returns its path."""
        self.shell.write(f"{folder}/order.avsc", ORDER)
        return str(self.shell.write(f"{folder}/{slug}.yaml", text.replace("acme", slug)))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A command line with nobody to speak to."""
    return Shell(tmp_path)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A gateway that runs, with the partner acme, and an operator's command line."""
    async with open_house(tmp_path / "house") as house:
        bridge = Bridge(house)
        with ThreadPoolExecutor(1) as threads:
            yield Desk(house, Shell(tmp_path, bridge), threads, bridge)


def lines(*events: Mapping[str, object]) -> bytes:
    """Events as NDJSON."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def orders(count: int, start: int = 1) -> Sequence[dict[str, object]]:
    return [{"order_id": f"A-{number}", "qty": number} for number in range(start, start + count)]
