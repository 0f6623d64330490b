"""The command tree, and how the program begins and ends."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Final, Protocol

import typer

from gateway.cli.command import Surroundings
from gateway.cli.errors import UnwritableError
from gateway.cli.exits import Exit
from gateway.cli.loading import loading
from gateway.cli.output import outlet
from gateway.settings import environment
from gateway.version import VERSION

_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "run": ("up", "init", "serve", "relay", "sequence", "demo"),
    "database": ("migrate",),
    "doctor": ("doctor",),
    "configuration": ("config",),
    "contract": ("contract",),
    "contracts": ("plan", "diff", "apply"),
    "partners": ("partners",),
    "credentials": ("credentials",),
    "keys": ("keys",),
    "endpoints": ("endpoints",),
    "types": ("types",),
    "schemas": ("schemas",),
    "kafka": ("kafka",),
    "send": ("send",),
    "imports": ("import", "imports"),
    "stream": ("stream",),
    "listen": ("listen",),
    "history": ("history",),
    "export": ("export",),
    "log": ("log",),
    "backup": ("backup",),
    "claims": ("claims",),
    "deliveries": ("deliveries",),
    "replays": ("replays",),
    "holds": ("holds",),
    "erasures": ("erasures",),
    "verify": ("verify",),
    "witness": ("witness",),
    "monitor": ("monitor",),
    "webhook": ("webhook",),
    "status": ("status",),
    "account": ("login", "logout", "me"),
}
"""Modules of this package, and the commands that each adds. Only what a command line needs is loaded."""


class _Group(Protocol):
    """A module of commands."""

    def register(self, app: typer.Typer) -> None:
        """Add its commands."""
        ...


def _tell_version(context: typer.Context, is_asked: bool) -> None:  # noqa: FBT001 - as typer calls it
    if is_asked:
        around: Surroundings = context.obj
        around.out.write(f"gateway {VERSION}\n")
        raise typer.Exit


def make_app(first: str = "") -> typer.Typer:
    """The tree of commands, nothing run yet. `first`: the command that is asked for, where it is known."""
    app = typer.Typer(
        name="gateway",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_program)
    wanted = [name for name, commands in _GROUPS.items() if first in commands]
    for name in wanted or _GROUPS:
        group: _Group = import_module(f"gateway.cli.{name}")
        group.register(app)
    return app


def _program(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Say which version this is.", is_eager=True, callback=_tell_version),
    ] = False,
) -> None:
    """Exchange events with business partners: validated, signed, delivered, provable."""


def invoke(arguments: Sequence[str], around: Surroundings) -> int:
    """Run one command line; returns the exit code."""
    try:
        with loading():
            app = make_app(arguments[0] if arguments else "")
        app(args=list(arguments), prog_name="gateway", obj=around)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(Exit.FAULT)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    return int(Exit.DONE)


def main() -> None:
    """The `gateway` program."""
    sys.stdout = outlet(sys.stdout)  # --help is written by others, to what stands here
    around = Surroundings(
        environ=environment(),
        source=sys.stdin.buffer,
        out=sys.stdout,
        err=sys.stderr,
        pause=time.sleep,
        ticks=time.monotonic,
    )
    code = int(Exit.DONE)
    try:
        code = invoke(sys.argv[1:], around)
        sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:
        pass
    except UnwritableError as error:
        if code == Exit.DONE:  # else the command has told it
            sys.stderr.write(f"gateway: {error.text}\n")
            code = int(Exit.FAULT)
    # Nobody reads on: what is left must not be flushed into the same place when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
