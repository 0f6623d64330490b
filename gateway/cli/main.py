"""The command tree, and how the program begins and ends."""

import os
import sys
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from gateway.cli import (
    account,
    configuration,
    contract,
    contracts,
    credentials,
    database,
    deliveries,
    doctor,
    endpoints,
    history,
    imports,
    listen,
    partners,
    replays,
    run,
    schemas,
    send,
    status,
    stream,
    types,
    verify,
    webhook,
)
from gateway.cli.command import Surroundings
from gateway.cli.errors import UnwritableError
from gateway.cli.exits import Exit
from gateway.cli.output import outlet
from gateway.settings import environment
from gateway.version import VERSION

_GROUPS = (
    run,
    database,
    doctor,
    configuration,
    contract,
    contracts,
    partners,
    credentials,
    endpoints,
    types,
    schemas,
    send,
    imports,
    stream,
    listen,
    history,
    deliveries,
    replays,
    verify,
    webhook,
    status,
    account,
)


def _tell_version(context: typer.Context, is_asked: bool) -> None:  # noqa: FBT001 - as typer calls it
    if is_asked:
        around: Surroundings = context.obj
        around.out.write(f"gateway {VERSION}\n")
        raise typer.Exit


def make_app() -> typer.Typer:
    """The tree of commands, nothing run yet."""
    app = typer.Typer(
        name="gateway",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_program)
    for group in _GROUPS:
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
        make_app()(args=list(arguments), prog_name="gateway", obj=around)
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
