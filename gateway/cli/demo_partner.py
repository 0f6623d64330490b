"""The partner of `gateway up --demo`: Acme of the examples, with a key and a receiver for its webhooks.

What a newcomer would do with four commands, done once in the data folder; never to an Acme that somebody
else made there. The receiver is a process of its own, which ends with the gateway however that ends.
"""

import asyncio
import json
import shlex
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.administration.desk import ContractText, Wish
from gateway.administration.evidence import Author
from gateway.auth.request import Shown
from gateway.bootstrap.announcing import operator_url
from gateway.bootstrap.ground import OPERATOR_KEY, clock
from gateway.bootstrap.parts import Parts
from gateway.cli.demo_material import confirmation, first_shipment, verify_there
from gateway.cli.demo_stage import Child
from gateway.cli.place import write_secret
from gateway.contract_folder import load_contract
from gateway.errors import CallerError, SetupError
from gateway.settings import Settings
from partners.endpoint import Endpoint
from partners.issuing import WantedCredential

FOLDER: Final = "demo"
KEY: Final = "acme.key"
SECRET: Final = "acme-webhook-secret"  # noqa: S105 - the name of a file
SHIPMENT: Final = "shipment.json"
ANSWER: Final = "answer.json"
_PARTNER: Final = "acme"
_NEEDED: Final = ("acme.yaml", "receiver.py", "data/orders.jsonl")
_PORT: Final = 8099
_PLACE: Final = f"127.0.0.1:{_PORT}"
_START_SECONDS: Final = 10.0
_LOOK_AGAIN_SECONDS: Final = 0.05
_OPERATOR: Final = Author("operator", None)


class DemoPartner:
    """Settles Acme in a gateway that is about to run; keeps its receiver until it is closed."""

    def __init__(self, examples: Path, environ: Mapping[str, str], ca_file: Path | None = None) -> None:
        """Read the examples; start nothing yet. `ca_file`: what clients have to trust, if anything.

        Raises:
            SetupError: the examples are not there.
            ContractFileError: they are not as they were.
        """
        verify_there(examples, _NEEDED)
        self._examples = examples
        self._contract = load_contract(examples / "acme.yaml")
        self._environ = {name: text for name, text in environ.items() if not name.startswith("GATEWAY_")}
        self._ca_file = ca_file
        self._receiver: Child | None = None

    async def settle(self, parts: Parts) -> Sequence[str]:
        """Make what is missing, start the receiver; returns what to tell, line by line.

        Raises:
            SetupError: there is an Acme that this command did not make, or the receiver does not start.
        """
        folder = parts.ground.settings.data / FOLDER
        endpoint = self._endpoint(parts, folder)
        shipment = first_shipment(self._examples).content
        _write(folder / SHIPMENT, shipment)
        _write(folder / ANSWER, confirmation(shipment).content)
        port = await self._receive(folder, _PORT if endpoint is None else _port_of(endpoint))
        if endpoint is None or _port_of(endpoint) != port:
            await self._apply(parts, folder, port)
        await self._keep_key(parts, folder)
        return self._lines(parts.ground.settings, folder, port)

    def close(self) -> None:
        """End the receiver, if there is one. Idempotent."""
        if self._receiver is not None:
            self._receiver.stop()
            self._receiver = None

    def _endpoint(self, parts: Parts, folder: Path) -> Endpoint | None:
        """Acme's endpoint from an earlier start; None where it is to be made."""
        directory = parts.catalog.current.directory
        if directory.partner(_PARTNER) is None:
            return None
        if not (folder / SECRET).is_file():
            raise SetupError(
                f"there is a partner {_PARTNER} already, which --demo did not make: "
                "start without --demo, or with a new folder: --data DIR"
            )
        return next((one for one in directory.endpoints(_PARTNER) if one.name == "receiver"), None)

    async def _receive(self, folder: Path, wanted: int) -> int:
        """Start the receiver, on the wanted port if it is free; the port that it listens on."""
        port = wanted if _is_free(wanted) else 0
        arguments = ["--secret-file", str((folder / SECRET).resolve()), "--port", str(port), "--with-parent"]
        (folder / "receiver.out").unlink(missing_ok=True)
        program = str(self._examples / "receiver.py")
        self._receiver = Child("receiver", [program, *arguments], folder, self._environ)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_SECONDS
        while not (said := self._receiver.out.read_text()).endswith("\n"):
            self._receiver.verify_alive()
            if loop.time() > deadline:
                raise SetupError(f"the receiver of --demo does not start: {self._receiver.last_words()}")
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return int(json.loads(said)["port"])

    async def _apply(self, parts: Parts, folder: Path, port: int) -> None:
        """Bring the contract into force, with the receiver where it is; keep the secret for it."""
        text = self._contract.text.replace(_PLACE, f"127.0.0.1:{port}")
        sent = ContractText(text, self._contract.name, self._contract.files)
        try:
            done = await parts.administration.put_contract(_PARTNER, sent, Wish(), by=_OPERATOR)
        except CallerError as error:
            raise SetupError(f"the contract of --demo is refused: {error}; start without --demo") from error
        for _, secret in done.secrets:
            _write(folder / SECRET, f"{secret}\n".encode())

    async def _keep_key(self, parts: Parts, folder: Path) -> None:
        """Make Acme's key, unless the one that was kept is still in force."""
        path, directory = folder / KEY, parts.catalog.current.directory
        if path.is_file():
            shown = Shown((("authorization", f"Bearer {path.read_text().strip()}"),))
            try:
                await parts.callers.identify(shown, directory, now=clock())
            except CallerError:
                pass  # revoked, or past its year: another one
            else:
                return
        try:
            made = await parts.administration.create_credential(
                WantedCredential(_PARTNER, "partner", "demo"), by=_OPERATOR
            )
        except CallerError as error:
            raise SetupError(f"no key can be made for {_PARTNER}: {error}") from error
        _write(path, f"{made.text}\n".encode())

    def _lines(self, settings: Settings, folder: Path, port: int) -> Sequence[str]:
        trust = "" if self._ca_file is None else f" --cacert {shlex.quote(str(self._ca_file))}"
        scheme = "http" if settings.tls.cert is None else "https"
        ours, theirs = settings.data / OPERATOR_KEY, f"{scheme}://{settings.listen.public}"

        def post(key: Path, url: str, body: Path) -> str:
            token = f'"Authorization: Bearer $(cat {shlex.quote(str(key))})"'
            content = f'-H "Content-Type: application/json" -d @{shlex.quote(str(body))}'
            return f"curl{trust} -H {token} {url} {content}"

        return (
            f"demo       {_PARTNER} is a partner, and receives webhooks on port {port} while this runs",
            f"as acme    {post(folder / KEY, f'{theirs}/v1/events/order.shipped', folder / SHIPMENT)}",
            "to acme    "
            + post(ours, f"{operator_url(settings)}/v1/partners/acme/events/order.accepted", folder / ANSWER),
            f"webhooks   curl http://127.0.0.1:{port}/counts",
        )


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_secret(path, content.decode())
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}") from error


def _port_of(endpoint: Endpoint) -> int:
    return urlsplit(endpoint.url).port or 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the receiver binds
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
