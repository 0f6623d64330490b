"""`gateway witness`: cosign the checkpoints of logs that only grew. Needs no gateway and no database."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from audit.errors import MalformedError
from audit.note import VerifierKey, parse_verifier_key
from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.loading import loading
from gateway.units import Address, parse_address

_ALGORITHMS: Final = ("ed25519", "ml-dsa-44")


@dataclass(frozen=True, slots=True)
class Files:
    """What the witness keeps."""

    state: Annotated[
        Path, typer.Option("--state", metavar="FILE", help="What it cosigned last; made at the first start.")
    ] = Path("witness.db")
    key: Annotated[
        Path, typer.Option("--key", metavar="FILE", help="Its private key; made at the first start.")
    ] = Path("witness.key")


@dataclass(frozen=True, slots=True)
class NewKey:
    """How a key that is made now is called, and what it is."""

    name: Annotated[
        str,
        typer.Option("--name", help="Of a new key: a URL without scheme, witness.example/w1."),
    ] = ""
    algorithm: Annotated[
        str, typer.Option("--algorithm", metavar="NAME", help="Of a new key: ed25519 or ml-dsa-44.")
    ] = "ed25519"


@dataclass(frozen=True, slots=True)
class Door:
    """Where the witness listens."""

    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen.")] = (
        "127.0.0.1:8090"
    )
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain, PEM.")
    ] = None
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key, PEM.")
    ] = None
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="A proxy in front does TLS.")] = False

    def address(self) -> Address:
        """Where to listen. Raises UsageError: no address, or one beyond loopback without TLS."""
        try:
            address = parse_address(self.listen)
        except ValueError as error:
            raise UsageError(f"--listen {self.listen}: {error}") from error
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("--tls-cert and --tls-key go together")
        if not (address.is_loopback or self.tls_cert is not None or self.behind_proxy):
            raise UsageError(
                f"--listen {address} is beyond loopback without TLS: name --tls-cert and --tls-key, or "
                "say --behind-proxy where a proxy ends TLS"
            )
        return address


def register(app: typer.Typer) -> None:
    """Add witness."""
    command(app, "witness", is_local=True)(witness)


def witness(
    call: Invocation,
    *,
    log: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="KEY", help="A log to cosign: name+id+base64.", show_default=False),
    ] = None,
    files: Files,
    new: NewKey,
    door: Door,
) -> Exit | None:
    """Run a witness: it cosigns what a log shows it, once it has seen that the log only grew."""
    with loading():
        from gateway.bootstrap import witness as program  # noqa: PLC0415 - clients load no server
        from gateway.witness.key import ALGORITHMS  # noqa: PLC0415 - as above

    if new.algorithm not in _ALGORITHMS:
        raise UsageError(f"--algorithm takes {' or '.join(_ALGORITHMS)}")
    tls = None if door.tls_cert is None or door.tls_key is None else (door.tls_cert, door.tls_key)
    program.run(
        program.Wanted(
            listen=door.address(),
            key=files.key,
            state=files.state,
            logs=_logs(log or ()),
            name=new.name,
            algorithm=ALGORITHMS[new.algorithm],
            tls=tls,
            announce=_announcer(call),
        )
    )
    return None


def _logs(texts: "list[str] | tuple[str, ...]") -> list[VerifierKey]:
    if not texts:
        raise UsageError("which logs? name the key of each by --log")
    try:
        return [parse_verifier_key(text) for text in texts]
    except MalformedError as error:
        raise UsageError(f"--log: {error}") from error


def _announcer(call: Invocation) -> Callable[[str], None]:
    """Print at once: whoever waits for the key reads a file or a pipe."""

    def announce(text: str) -> None:
        call.output.line(text)
        call.output.out.flush()

    return announce
