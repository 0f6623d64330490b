"""`gateway migrate`: bring the database up to this program, or say in what it differs."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.run import Config, Folder, read_settings


def register(app: typer.Typer) -> None:
    """Add migrate."""
    command(app, "migrate", is_local=True)(migrate)


def migrate(
    call: Invocation,
    *,
    folder: Folder = "",
    config: Config = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 5 where there is something to do.")
    ] = False,
) -> Exit | None:
    """Bring the database to the revision of this program."""
    from gateway.database import Database  # noqa: PLC0415 - clients start without loading SQL
    from gateway.migrations import history  # noqa: PLC0415 - as above

    settings = read_settings(call, config, {"data": folder} if folder else {}).settings
    kind, _, path = settings.database.url.partition(":///")
    if kind == "sqlite" and not Path(path).exists():
        hint = "Name its folder with --data; a new one is made by gateway up or gateway init."
        raise UsageError(f"there is no database {path}", hint=hint)
    database = Database(settings.database.url)
    try:
        with database.begin() as session:
            before = history.verify_revision(session) if check else history.upgrade(session)
            after = history.current(session)
    finally:
        database.close()
    if call.output.as_json:
        call.output.document({"before": before, "after": after, "program": history.head()})
    elif before == after:
        call.output.line(f"The database is at revision {after}; this program needs {history.head()}.")
    else:
        call.output.line(f"The database was at {before or 'nothing'} and is at revision {after} now.")
    return None
