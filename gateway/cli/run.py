"""Start the gateway: all roles, or one; set it up. The server's modules are loaded only here."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.loading import loading
from gateway.settings import Settings
from gateway.settings_sources import Loaded, load

if TYPE_CHECKING:
    from gateway.bootstrap.program import RoleName
    from gateway.cli.demo_partner import DemoPartner

Flags = Mapping[str, str | int | bool]

Folder = Annotated[
    str, typer.Option("--data", metavar="DIR", help="Data folder.", show_default="./gateway-data")
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file.", show_default="gateway.toml, if there"),
]

_LARGEST_PORT: Final = 65_535
_MOST_WORKERS: Final = 64
_FINAL: Final = frozenset({Exit.USAGE, Exit.CONFLICT})
"""What an operator has to mend: settings and set-up."""


@dataclass(frozen=True, slots=True)
class Start:
    """How `gateway up` starts."""

    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=_LARGEST_PORT, help="Port on 127.0.0.1.", show_default="8080"),
    ] = None
    contract: Annotated[
        list[Path] | None,
        typer.Option("--contract", metavar="FILE|DIR", help="Apply this at the start.", show_default=False),
    ] = None
    tls: Annotated[
        str | None,
        typer.Option(
            "--tls", metavar="dev", help="dev: make a certificate for trying out.", show_default=False
        ),
    ] = None
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="A proxy in front does TLS.")] = False
    demo: Annotated[
        bool, typer.Option("--demo", help="Add a partner to try out, acme, with a receiver of its webhooks.")
    ] = False


def register(app: typer.Typer) -> None:
    """Add up, init, serve, relay, sequence and demo."""
    command(app, "up", is_local=True)(up)
    command(app, "init", is_local=True)(init)
    command(app, "serve", is_local=True)(serve)
    command(app, "relay", is_local=True)(relay)
    command(app, "sequence", is_local=True)(sequence)
    command(app, "demo", is_local=True)(run_demo)


def up(
    call: Invocation,
    *,
    folder: Folder = "",
    config: Config = None,
    start: Start,
) -> Exit | None:
    """Run everything in this one process; the first start makes what is missing."""
    with loading():
        from gateway.bootstrap import program  # noqa: PLC0415 - clients start without loading the server
        from gateway.contract_folder import find_contracts  # noqa: PLC0415 - as above

    flags = _up_flags(folder, start)
    loaded = read_settings(call, config, flags)
    ca_file: Path | None = None
    if start.tls is not None:
        certificate, key = program.dev_tls(loaded.settings.data)
        ca_file = certificate.absolute()
        loaded = read_settings(call, config, {**flags, "tls.cert": str(certificate), "tls.key": str(key)})
    contracts = tuple(one for path in start.contract or () for one in find_contracts(path))
    options = program.Options(contracts=contracts, announce=_announcer(call), ca_file=ca_file)
    if not start.demo:
        program.run(loaded.settings, options)
        return None
    with closing(_demo_partner(call, loaded.settings, ca_file)) as partner:
        program.run(loaded.settings, replace(options, welcome=partner.settle))
    return None


def init(
    call: Invocation,
    *,
    folder: Folder = "",
    config: Config = None,
    new_operator_key: Annotated[
        bool,
        typer.Option(
            "--new-operator-key",
            help="Make another operator's key, where its file is lost, or not in a restored folder.",
        ),
    ] = False,
) -> Exit | None:
    """Set up once: tables, master key, signing keys, operator key."""
    with loading():
        from gateway.bootstrap import program  # noqa: PLC0415 - clients start without loading the server

    settings = read_settings(call, config, _folder_flags(folder)).settings
    program.init(settings, _announcer(call), new_operator_key=new_operator_key)
    return None


def serve(
    call: Invocation,
    *,
    folder: Folder = "",
    config: Config = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=_MOST_WORKERS, help="Processes that share the work.")
    ] = 1,
) -> Exit | None:
    """Run one role, HTTP for partners and operators; see also relay and sequence."""
    return _role(call, "serve", config, folder, workers)


def relay(call: Invocation, *, folder: Folder = "", config: Config = None) -> Exit | None:
    """Run one role, the deliveries: from outbound topics to webhooks."""
    return _role(call, "relay", config, folder)


def sequence(call: Invocation, *, folder: Folder = "", config: Config = None) -> Exit | None:
    """Run one role, the log: from topics and decisions to entries and checkpoints."""
    return _role(call, "sequence", config, folder)


def run_demo(
    call: Invocation,
    *,
    events: Annotated[
        int | None, typer.Option("--events", min=1, help="Send at most so many.", show_default=False)
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the gateway's folder and the papers.")] = False,
    broker: Annotated[
        str, typer.Option("--broker", metavar="URL", help="Run on this Kafka.", show_default=False)
    ] = "",
    database: Annotated[
        str, typer.Option("--database", metavar="URL", help="Run on this PostgreSQL.", show_default=False)
    ] = "",
    properties_file: Annotated[
        Path | None,
        typer.Option("--properties-file", metavar="FILE", help="Of that Kafka.", show_default=False),
    ] = None,
) -> Exit | None:
    """See it all: two partners, real events, webhooks, proofs and a kill, in about a minute."""
    if bool(broker) != bool(database) or (properties_file is not None and not broker):
        raise UsageError(
            "the demo runs on its own, or on both: --broker kafka://... --database postgresql://..."
        )
    from gateway.cli import demo  # noqa: PLC0415 - it loads what no other command needs
    from gateway.cli.demo_servers import Wanted  # noqa: PLC0415 - as above

    call.output.note("The demo starts a gateway of its own, on loopback, and ends it.")
    wanted = Wanted(broker, database, properties_file) if broker else None
    return Exit(demo.run_demo(events=events, keep=keep, wanted=wanted))


def read_settings(call: Invocation, config: Path | None, flags: Flags) -> Loaded:
    """The settings: flags, environment, file, defaults. Raises SettingsError."""
    return load(flags, environ=call.around.environ, file=config)


def _demo_partner(call: Invocation, settings: Settings, ca_file: Path | None) -> "DemoPartner":
    from gateway.cli.demo_material import EXAMPLES  # noqa: PLC0415 - clients start without loading the server
    from gateway.cli.demo_partner import DemoPartner  # noqa: PLC0415 - as above

    if not settings.listen.public.is_loopback:
        raise UsageError(
            f"--demo is for trying out on this machine, and listen.public is {settings.listen.public}: "
            "leave one of them out"
        )
    return DemoPartner(EXAMPLES, call.around.environ, ca_file)


def _announcer(call: Invocation) -> Callable[[str], None]:
    """Print at once: whoever waits for the address reads a file or a pipe."""

    def announce(text: str) -> None:
        for line in text.splitlines():
            call.output.line(line)
        call.output.out.flush()

    return announce


def _role(
    call: Invocation, name: "RoleName", config: Path | None, folder: str, workers: int = 1
) -> Exit | None:
    with loading():
        from gateway.bootstrap import program  # noqa: PLC0415 - clients start without loading the server

    settings = read_settings(call, config, _folder_flags(folder)).settings
    options = program.Options(mode="role", roles=(name,), announce=_announcer(call))
    if workers > 1:
        seat = program.fan_out(settings, workers, _FINAL)
        if isinstance(seat, int):
            return Exit(seat)
        options = replace(options, seat=seat)
    program.run(settings, options)
    return None


def _folder_flags(folder: str) -> Flags:
    return {"data": folder} if folder else {}


def _up_flags(folder: str, start: Start) -> dict[str, Any]:
    if start.tls not in {None, "dev"}:
        raise UsageError("--tls takes dev; for a certificate of your own set tls.cert and tls.key")
    flags: dict[str, Any] = dict(_folder_flags(folder))
    if start.port is not None:
        flags["listen.public"] = f"127.0.0.1:{start.port}"
    if start.behind_proxy:
        flags["listen.behind_proxy"] = True
    return flags
