"""The demo's stage: a folder for everything, the gateway's processes and a receiver beside them.

On one machine the gateway is one process; on Kafka and PostgreSQL each of its roles is one.

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
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from gateway.bootstrap.program import dev_tls
from gateway.cli.demo_material import EXAMPLES
from gateway.cli.demo_servers import Servers
from gateway.errors import SetupError

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0
_LOOK_AGAIN_SECONDS: Final = 0.05
_TAIL_LINES: Final = 12
_OTHER_ROLES: Final = ("relay", "sequence")


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

    def has_ended(self) -> bool:
        """Whether it is done, and well.

        Raises:
            SetupError: it ended otherwise, with its last words.
        """
        if self._popen.poll() == 0:
            return True
        self.verify_alive()
        return False

    def last_words(self) -> str:
        """The last lines that it wrote about trouble."""
        return "\n".join(self.err.read_text(errors="replace").splitlines()[-_TAIL_LINES:])

    def hold(self) -> None:
        """Let it stand still, in the middle of whatever it does, until `let_go` or `kill`."""
        self._popen.send_signal(signal.SIGSTOP)

    def let_go(self) -> None:
        """Let it go on."""
        self._popen.send_signal(signal.SIGCONT)

    def kill(self) -> int:
        """End it at once, by SIGKILL; its exit status. Idempotent."""
        self._popen.kill()
        atexit.unregister(self.kill)
        return self._popen.wait()

    def ask_to_end(self) -> None:
        """Send SIGTERM, if it still runs, and do not wait."""
        self._popen.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Ask it to end, and end it if it does not. Idempotent."""
        self.ask_to_end()
        try:
            self._popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        atexit.unregister(self.kill)


class Stage:
    """Folder and processes of one run.

    `environ`: what they find around them, without our own settings. `servers`: Kafka and PostgreSQL, opened;
    None: all is in the folder.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        keep: bool,
        ticks: Callable[[], float],
        servers: Servers | None = None,
    ) -> None:
        """Make the folder; start nothing yet."""
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
        self.data = self.folder / "gateway"
        self.secret_file = self.folder / "acme-webhook-secret"
        self.port = free_port()
        self._environ = {name: text for name, text in environ.items() if not name.startswith("GATEWAY_")}
        self._keep = keep
        self._ticks = ticks
        self._children: list[Child] = []
        self.servers = servers
        if servers is not None:
            self._environ |= servers.environ()
            self._environ["GATEWAY_ORIGIN"] = self.url
            self._environ["GATEWAY_LISTEN__PUBLIC"] = f"127.0.0.1:{self.port}"
            self._environ["GATEWAY_KEYS__MASTER_FILE"] = str(self.data / "master.key")

    @property
    def url(self) -> str:
        """Where the gateway listens: the same address after every start."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The certificate that the gateway made for itself, and that we trust."""
        if self.servers is not None:
            return self._certificate()[0]
        return Path(str(json.loads((self.data / "address").read_text())["cacert"]))

    @property
    def operator_key(self) -> str:
        """The operator's key, from its file."""
        return (self.data / "operator.key").read_text().strip()

    @property
    def commands(self) -> Sequence[str]:
        """What starts the gateway by hand; the last one alone starts it again after the kill."""
        if self.servers is None:
            return (f"gateway up --data {self.data} --port {self.port} --tls dev",)
        first, *others = (f"gateway {role} --data {folder}" for role, folder in self._roles())
        return (f"gateway init --data {self.data}", *others, first)

    async def open_gateway(self) -> Child:
        """Start it for the first time; the process that serves HTTP. Is it ready? The caller asks it.

        Raises:
            SetupError: it cannot be set up.
        """
        if self.servers is not None:
            await self._ended(self._start("init", ["-m", "gateway", "init", "--data", str(self.data)]))
            _, *others = self._roles()
            for role, folder in others:
                self._start(role, ["-m", "gateway", role, "--data", str(folder)])
        return self.start_door()

    def start_door(self) -> Child:
        """Start the process that serves HTTP; on one machine that is the whole gateway."""
        where = ["--data", str(self.data)]
        if self.servers is None:
            return self._start(
                "gateway", ["-m", "gateway", "up", *where, "--port", str(self.port), "--tls", "dev"]
            )
        certificate, key = map(str, self._certificate())
        tls = {"GATEWAY_TLS__CERT": certificate, "GATEWAY_TLS__KEY": key}
        return self._start("serve", ["-m", "gateway", "serve", *where], tls)

    def verify_alive(self) -> None:
        """Make sure that every role that nobody killed still runs.

        Raises:
            SetupError: one ended by itself, with its last words.
        """
        for child in self._children:
            if child.name in _OTHER_ROLES:
                child.verify_alive()

    def last_words(self) -> str:
        """What the gateway's processes wrote last about trouble."""
        said = {child.name: child.last_words() for child in self._children if child.name != "receiver"}
        return "\n".join(f"{name}: {words}" for name, words in said.items() if words)

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

    def close(self) -> Sequence[str]:
        """End every process; remove folder, topics and database unless they are to be kept.

        Returns what could not be removed, in words.
        """
        for child in self._children:
            child.ask_to_end()
        for child in reversed(self._children):
            child.stop()
        if self._keep:
            return ()
        shutil.rmtree(self.folder, ignore_errors=True)
        return () if self.servers is None else self.servers.close()

    def _roles(self) -> Sequence[tuple[str, Path]]:
        """Each role with its folder, as if each had a machine of its own; the one that serves HTTP first."""
        return (("serve", self.data), *((role, self.folder / role) for role in _OTHER_ROLES))

    def _certificate(self) -> tuple[Path, Path]:
        """Certificate and key, made when they are first asked for."""
        return dev_tls(self.data)

    async def _ended(self, child: Child) -> None:
        deadline = self._ticks() + _START_SECONDS
        while not child.has_ended():
            if self._ticks() > deadline:
                raise SetupError(
                    f"{child.name} is not done after {_START_SECONDS:.0f} s:\n{child.last_words()}"
                )
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    def _start(self, name: str, arguments: list[str], more: Mapping[str, str] | None = None) -> Child:
        child = Child(name, arguments, self.folder, {**self._environ, **(more or {})})
        self._children.append(child)
        return child


def _text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def free_port() -> int:
    """A port on loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
