"""Backups of an installation on one machine: make one while it runs, and make a data folder of one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.command import Invocation, command
from gateway.cli.exits import Exit
from gateway.cli.run import Config, Folder, read_settings

if TYPE_CHECKING:
    from gateway.upkeep.manifest import Manifest


Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A new file.")]


def register(app: typer.Typer) -> None:
    """Add the group backup."""
    group = typer.Typer(help="Backups of an installation on one machine.", no_args_is_help=True)
    command(group, "create", is_local=True)(create)
    command(group, "restore", is_local=True)(restore)
    app.add_typer(group, name="backup")


def create(
    call: Invocation,
    *,
    output: Output,
    with_master_key: Annotated[
        bool,
        typer.Option("--with-master-key", help="With the key that opens every secret in it: guard it so."),
    ] = False,
    folder: Folder = "",
    config: Config = None,
) -> Exit | None:
    """Back up the database and the topics of one moment, while the gateway runs."""
    from gateway.bootstrap import backups  # noqa: PLC0415 - clients start without loading the server

    settings = read_settings(call, config, {"data": folder} if folder else {}).settings
    with call.output.progress("bytes", None) as bar:
        made = backups.back_up(settings, output, with_master_key=with_master_key, told=bar.advance)
    master = settings.keys.master_file
    if call.output.as_json:
        document = _document(made)
        call.output.document({"file": str(output), **document, "master_key_file": str(master)})
        return None
    _show(call, made)
    call.output.line(f"file        {output}")
    if not made.has_master_key:
        call.output.warn(
            f"NOT COMPLETE: the master key {master} is not in it, and without it no key and no secret of "
            "this backup opens. Keep a copy of it elsewhere, or make the backup with --with-master-key."
        )
    return None


def restore(
    call: Invocation,
    *,
    backup: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    folder: Annotated[str, typer.Option("--data", metavar="DIR", help="Data folder to make: new, or empty.")],
    nothing_since: Annotated[
        bool,
        typer.Option(
            "--nothing-since",
            help="The gateway was stopped before the backup and never ran since, as for a move.",
        ),
    ] = False,
) -> Exit | None:
    """Make a data folder of a backup, verified by its digests: all of it, or nothing."""
    from gateway.upkeep.restore import restore_backup  # noqa: PLC0415 - clients start without loading SQL

    target = Path(folder)
    with call.output.progress("bytes", None) as bar:
        made = restore_backup(backup, target, is_at_rest=nothing_since, told=bar.advance)
    is_marked = "broker.db" in made.files and not nothing_since
    if call.output.as_json:
        call.output.document({"data": str(target), **_document(made), "needs_new_epoch": is_marked})
        return None
    _show(call, made)
    call.output.line(f"data        {target}")
    if not made.has_master_key:
        call.output.note(
            f"The master key is not in this backup: put it back as {target / 'master.key'}, mode 0600."
        )
    call.output.note(
        "operator.key and the folder tls are in no backup: put them back, or make another key with gateway "
        f"init --new-operator-key --data {target}"
    )
    if not nothing_since:
        call.output.note(
            "What was ended or held after this backup is as it was before: signing keys that were frozen, "
            "credentials that were revoked, partners that were suspended or closed, legal holds, erasures. "
            "Before the gateway starts, end again what had leaked: "
            f"gateway keys freeze --stopped --data {target}, "
            f"gateway credentials revoke --stopped ID --data {target}. The others: docs/backup.md."
        )
    if is_marked:
        call.output.note(
            "What was published after this backup is not in it. Before the gateway starts again, begin new "
            f"epochs of its logs: gateway log new-epoch --data {target} --reason 'restored from a backup'"
        )
    return None


def _document(made: "Manifest") -> dict[str, object]:
    return {
        "made_at": made.made_at,
        "program": made.program,
        "revision": made.revision,
        "origin": made.origin,
        "house_log": made.house_log,
        "files": {name: {"bytes": one.bytes, "sha256": one.sha256} for name, one in made.files.items()},
        "logs": dict(made.logs),
        "complete": made.has_master_key,
    }


def _show(call: Invocation, made: "Manifest") -> None:
    call.output.line(f"made at     {made.made_at}")
    call.output.line(f"origin      {made.origin}")
    call.output.line(f"logs        {len(made.logs)}, {sum(made.logs.values())} entries")
    for name, one in made.files.items():
        call.output.line(f"{name:<12}{one.bytes} bytes, sha256 {one.sha256}")
