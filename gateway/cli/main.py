"""The command tree, and how the program begins and ends."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import typer

from gateway.cli import (
    account,
    configuration,
    contracts,
    database,
    history,
    partners,
    run,
    send,
    status,
    stream,
    types,
    verify,
)
from gateway.cli.command import Surroundings
from gateway.cli.exits import Exit
from gateway.settings import environment

_GROUPS = (
    run,
    database,
    configuration,
    contracts,
    partners,
    types,
    send,
    stream,
    history,
    verify,
    status,
    account,
)


def make_app() -> typer.Typer:
    """The tree of commands, nothing run yet."""
    app = typer.Typer(
        name="gateway",
        help="Exchange events with business partners: validated, signed, delivered, provable.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    for group in _GROUPS:
        group.register(app)
    return app


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
    around = Surroundings(
        environ=environment(),
        source=sys.stdin.buffer,
        out=sys.stdout,
        err=sys.stderr,
        pause=time.sleep,
        ticks=time.monotonic,
    )
    code = invoke(sys.argv[1:], around)
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.exit(code)
    # Nobody reads on: what is left must not be flushed into the closed pipe when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
