"""One installation of the gateway under load: its settings, its processes, its partners and their keys."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import httpx

from bench.orders import SCHEMA_FILE, contract, slugs
from bench.programs import Program, wait_until
from gateway.bootstrap.ground import clock, entropy
from gateway.http.tls import make_dev_certificate
from tests.free_ports import free_port

Kind = Literal["embedded", "kafka"]
ROLES: Final[dict[Kind, tuple[str, ...]]] = {"embedded": ("up",), "kafka": ("serve", "relay", "sequence")}
CONCURRENCY: Final = 64
_LEAST_CONCURRENCY: Final = 8
"""Of an endpoint; it is the usual one, too."""
_READY_SECONDS: Final = 90.0
_DRAIN_SECONDS: Final = 300.0


@dataclass(slots=True)
class Installation:
    """A data folder with what belongs to it. `settings`: database and broker; the rest is made here."""

    kind: Kind
    folder: Path
    settings: dict[str, str | int]
    port: int = field(default_factory=free_port)
    programs: dict[str, Program] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        """Write its settings file, and set the database up where that is a step of its own."""
        self.folder.mkdir(parents=True)
        certificate, key = make_dev_certificate(self.folder / "tls", now=clock(), entropy=entropy)
        self.settings |= {
            "data": str(self.folder / "data"),
            "listen.public": f"127.0.0.1:{self.port}",
            "tls.cert": str(certificate),
            "tls.key": str(key),
            "log.format": "json",
            "log.level": "warning",
        }
        lines = [f'{name} = "{value}"' for name, value in self.settings.items()]
        self.config.write_text("\n".join(lines) + "\n")
        if self.kind == "kafka":
            first = self._program("init")
            first.start()
            wait_until(lambda: first.pid == 0, _READY_SECONDS, f"gateway init: {first.said()}")
            first.stop()

    @property
    def config(self) -> Path:
        """The settings file, as `--config` takes it."""
        return self.folder / "gateway.toml"

    @property
    def url(self) -> str:
        """The origin."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        """What clients have to trust."""
        return self.folder / "tls" / "dev-cert.pem"

    def pids(self) -> list[int]:
        """Of the gateway's own processes that run now."""
        return [one.pid for one in self.programs.values() if one.pid]

    def start(self, *roles: str) -> None:
        """Start roles (default: all of this kind), and wait until the doors are open; `relay/2`: another."""
        for role in roles or ROLES[self.kind]:
            self.programs[role] = self._program(role)
            self.programs[role].start()
        door = self.programs.get("up") or self.programs.get("serve")
        if door is not None and door.pid:
            with self.client() as client:
                wait_until(lambda: _is_ready(client, door), _READY_SECONDS, f"not ready: {door.said()}")

    def stop(self, *roles: str) -> None:
        """End roles (default: all that run)."""
        for role in roles or tuple(self.programs):
            self.programs[role].stop()

    def client(self) -> httpx.Client:
        """An operator's client."""
        file = self.folder / "data" / "operator.key"
        headers = {"Authorization": f"Bearer {file.read_text().strip()}"} if file.exists() else {}
        trust = ssl.create_default_context(cafile=self.certificate)
        return httpx.Client(base_url=self.url, headers=headers, verify=trust, timeout=60, trust_env=False)

    def admit(self, partners: int, *webhooks: str) -> None:
        """Apply the contract of so many partners, and make a key for each; `webhooks`: theirs, in turns."""
        concurrency = max(_LEAST_CONCURRENCY, CONCURRENCY // partners)
        files = {"order.avsc": SCHEMA_FILE.read_text()}
        with self.client() as client:
            for number, slug in enumerate(slugs(partners)):
                webhook = webhooks[number % len(webhooks)] if webhooks else None
                body = {"contract": contract(slug, webhook, concurrency), "files": files}
                client.put(f"/v1/partners/{slug}/contract", json=body).raise_for_status()
                made = client.post(f"/v1/partners/{slug}/credentials", json={"role": "partner"})
                self.keys.append(made.raise_for_status().json()["secret"])
        self.key_file.write_text("".join(f"Bearer {key}\n" for key in self.keys))

    @property
    def key_file(self) -> Path:
        """An Authorization value a line, one of each partner."""
        return self.folder / "keys"

    @property
    def operator_file(self) -> Path:
        """The operator's Authorization value, for a generator that sends events to a partner."""
        key = (self.folder / "data" / "operator.key").read_text().strip()
        file = self.folder / "operator-key"
        file.write_text(f"Bearer {key}\n")
        return file

    def drain(self) -> None:
        """Wait until every record is in its log, every delivery made, and all of it published.

        Claims without a record are not waited for: where a request was answered with 503, they are its
        repeat's to settle, and a generator repeats nothing.
        """
        with self.client() as client:
            wait_until(lambda: not waiting(client), _DRAIN_SECONDS, f"the gateway is behind: {self.folder}")

    def _program(self, role: str) -> Program:
        command = ("gateway", role.split("/", maxsplit=1)[0], "--config", str(self.config))
        return Program(command, self.folder / f"{role.replace('/', '-')}.log")


def waiting(client: httpx.Client) -> list[Any]:
    """What the gateway has yet to do."""
    status = client.get("/v1/status").raise_for_status().json()
    waits: list[Any] = [one for one in status["logs"] if one["size"] != one["published"]]
    waits += [one for one in status["lag"] if one["sequence"] or one.get("relay")]
    return waits + ([status["deliveries"]] if status["deliveries"]["states"] else [])


def _is_ready(client: httpx.Client, door: Program) -> bool:
    door.verify_runs()
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
