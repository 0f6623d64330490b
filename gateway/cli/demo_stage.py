"""The demo's stage: a folder for everything, a gateway and a receiver as processes of their own.

Whatever happens, the processes are ended by their ids and the folder is removed, unless it is to be kept.
"""

import asyncio
import atexit
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from gateway.cli.demo_material import EXAMPLES
from gateway.errors import SetupError

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_LOOK_AGAIN_SECONDS: Final = 0.05
_TAIL_LINES: Final = 12


class Child:
    """One process; what it writes goes to a file."""

    def __init__(self, name: str, arguments: list[str], folder: Path, environ: Mapping[str, str]) -> None:
        """Start it, in a session of its own: Ctrl-C is for us, and we end it in order."""
        self.name = name
        self.out = folder / f"{name}.out"
        self.err = folder / f"{name}.err"
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self._popen = subprocess.Popen(  # noqa: S603 - our own programs, by absolute path
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=dict(environ),
                cwd=folder,  # a gateway.toml where the demo was called is not for this gateway
                start_new_session=True,
            )
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._popen.pid

    def verify_alive(self) -> None:
        """Make sure that it still runs.

        Raises:
            SetupError: it ended, with its last words.
        """
        code = self._popen.poll()
        if code is not None:
            words = self.last_words()
            raise SetupError(f"the {self.name} ended by itself (status {code}); it said:\n{words}")

    def last_words(self) -> str:
        """The last lines that it wrote about trouble."""
        return "\n".join(self.err.read_text(errors="replace").splitlines()[-_TAIL_LINES:])

    def kill(self) -> int:
        """End it at once, by SIGKILL; its exit status. Idempotent."""
        self._popen.kill()
        atexit.unregister(self.kill)
        return self._popen.wait()

    def stop(self) -> None:
        """Ask it to end, and end it if it does not. Idempotent."""
        self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        atexit.unregister(self.kill)


class Stage:
    """Folder and processes of one run. `environ`: what they find around them, without our own settings."""

    def __init__(self, environ: Mapping[str, str], *, keep: bool, ticks: Callable[[], float]) -> None:
        """Make the folder; start nothing yet."""
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
        self.data = self.folder / "gateway"
        self.secret_file = self.folder / "acme-webhook-secret"
        self.port = free_port()
        self._environ = {name: text for name, text in environ.items() if not name.startswith("GATEWAY_")}
        self._keep = keep
        self._ticks = ticks
        self._children: list[Child] = []

    @property
    def url(self) -> str:
        """Where the gateway listens: the same address after every start."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The certificate that the gateway made for itself, and that we trust."""
        return Path(str(json.loads((self.data / "address").read_text())["cacert"]))

    @property
    def operator_key(self) -> str:
        """The operator's key, from its file."""
        return (self.data / "operator.key").read_text().strip()

    def start_gateway(self) -> Child:
        """Start it on the data folder; whether it is ready, the caller asks over HTTP."""
        where = ["--data", str(self.data), "--port", str(self.port)]
        return self._start("gateway", ["-m", "gateway", "up", *where, "--tls", "dev"])

    async def start_receiver(self, fail_first: int) -> tuple[Child, int]:
        """Start Acme's receiver; the port that it listens on."""
        arguments = ["--secret-file", str(self.secret_file), "--port", "0", "--fail-first", str(fail_first)]
        child = self._start("receiver", [str(EXAMPLES / "receiver.py"), *arguments, "--with-parent"])
        text = await self.await_file(child, child.out)
        return child, int(json.loads(text)["port"])

    async def await_file(self, child: Child, path: Path) -> str:
        """The text of a file that a process writes when it is about to serve, once it is whole.

        Raises:
            SetupError: the process ended, or takes too long.
        """

        async def is_written() -> bool:
            return bool(_text_of(path))

        await self.ready(child, is_written)
        return _text_of(path)

    async def ready(self, child: Child, is_ready: Callable[[], Awaitable[bool]]) -> None:
        """Wait until a process serves.

        Raises:
            SetupError: it ended, or takes too long.
        """
        deadline = self._ticks() + _START_SECONDS
        while not await is_ready():
            child.verify_alive()
            if self._ticks() > deadline:
                words = child.last_words()
                raise SetupError(f"the {child.name} is not ready after {_START_SECONDS:.0f} s:\n{words}")
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    def keep_secret(self, text: str) -> None:
        """Hand the webhook secret to the receiver: a file that only this user can read."""
        self.secret_file.touch(mode=0o600)
        self.secret_file.write_text(text + "\n")

    def close(self) -> None:
        """End every process, and remove the folder unless it is to be kept."""
        for child in reversed(self._children):
            child.stop()
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name: str, arguments: list[str]) -> Child:
        child = Child(name, arguments, self.folder, self._environ)
        self._children.append(child)
        return child


def _text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def free_port() -> int:
    """A port on loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
