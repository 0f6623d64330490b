"""`gateway config`: which settings hold, and where each comes from."""

import typer

from gateway.bootstrap.offered import verify_offered
from gateway.cli.command import Invocation, command
from gateway.cli.exits import Exit
from gateway.cli.run import Config, Folder, read_settings


def register(app: typer.Typer) -> None:
    """Add the group config."""
    group = typer.Typer(help="Settings: flags, environment, gateway.toml, defaults.", no_args_is_help=True)
    command(group, "show", is_local=True)(show)
    command(group, "check", is_local=True)(check)
    app.add_typer(group, name="config")


def show(call: Invocation, *, folder: Folder = "", config: Config = None) -> Exit | None:
    """Show the value and the origin of every setting; passwords are hidden."""
    shown = read_settings(call, config, {"data": folder} if folder else {}).show()
    if call.output.as_json:
        call.output.document([{"key": one.name, "value": one.value, "origin": one.origin} for one in shown])
    else:
        call.output.table(("key", "value", "origin"), ([one.name, one.value, one.origin] for one in shown))
    return None


def check(call: Invocation, *, folder: Folder = "", config: Config = None) -> Exit | None:
    """Check the settings without starting anything; exit code 2 where they are wrong."""
    verify_offered(read_settings(call, config, {"data": folder} if folder else {}).settings)
    call.output.note("The settings are good.")
    return None
