"""`gateway keys rewrap`: another version of the master key, while the gateway runs.

Works on the database and the key file themselves; no gateway is asked.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.run import Config, Folder, read_settings

if TYPE_CHECKING:
    from gateway.database import Database
    from gateway.sealing.rewrap import Pass
    from gateway.settings import Settings
    from gateway.vault import Vault

_PASSES: Final = 3
_BETWEEN_SECONDS: Final = 2.0
"""For every process to meet the new version: each looks at the signing keys every second."""


def register(group: typer.Typer) -> None:
    """Add rewrap."""
    command(group, "rewrap", is_local=True)(rewrap)


def rewrap(
    call: Invocation,
    *,
    folder: Folder = "",
    config: Config = None,
    add_version: Annotated[
        bool, typer.Option("--add-version", help="Only add a version to the key file; bring it everywhere.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 5 while an old version is needed.")
    ] = False,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Only take old versions out of the key file.")
    ] = False,
) -> Exit | None:
    """Seal everything anew under the newest version of the master key, while the gateway runs."""
    if add_version + check + drop_old > 1:
        raise UsageError("--add-version, --check and --drop-old are said one at a time")
    settings = read_settings(call, config, {"data": folder} if folder else {}).settings
    if add_version:
        _add_version(call, settings)
        return None
    database, vault = _open(settings)
    try:
        if check or drop_old:
            return _check(call, settings, database, vault, drops=drop_old)
        return _rewrap(call, database, vault)
    finally:
        database.close()


def _add_version(call: Invocation, settings: "Settings") -> None:
    from gateway.bootstrap.ground import entropy  # noqa: PLC0415 - clients start without loading the server
    from gateway.vault import KEY_BYTES, amend_master  # noqa: PLC0415 - as above

    path = settings.keys.master_file
    master = amend_master(path, lambda before: before.with_new(entropy(KEY_BYTES)))
    if call.output.as_json:
        call.output.document({"file": str(path), "version": master.newest})
        return
    call.output.line(f"{path} has version {master.newest} now.")
    call.output.note(
        "Keep a copy of it where the backups are not, bring it to every machine of this gateway, and then "
        "run gateway keys rewrap once."
    )


def _rewrap(call: Invocation, database: "Database", vault: "Vault") -> Exit | None:
    from gateway.sealing.rewrap import count_old, rewrap  # noqa: PLC0415 - clients start without loading SQL

    done: dict[str, int] = {}
    for _ in range(_PASSES):
        with call.output.progress("sealing anew", None) as bar:
            found = rewrap(database, vault, lambda _, count: bar.advance(count))
        done = {name: done.get(name, 0) + count for name, count in found.counts.items()}
        if not found.total:
            break
        call.around.pause(_BETWEEN_SECONDS)
    left = count_old(database, vault)
    if call.output.as_json:
        call.output.document({"version": vault.newest, "sealed_anew": done, "left": dict(left.counts)})
    else:
        call.output.table(("column", "sealed anew"), ([name, count] for name, count in done.items()))
        call.output.line(_words(vault, left))
    return None if not left.total else Exit.CONFLICT


def _check(
    call: Invocation, settings: "Settings", database: "Database", vault: "Vault", *, drops: bool
) -> Exit | None:
    from gateway.errors import MasterKeyError  # noqa: PLC0415 - clients start without loading the server
    from gateway.sealing.rewrap import count_old  # noqa: PLC0415 - as above
    from gateway.vault import MasterKey, amend_master  # noqa: PLC0415 - as above

    left = count_old(database, vault)
    if drops and not left.total:
        path = settings.keys.master_file

        def without_old(master: MasterKey) -> MasterKey:
            if master.newest != vault.newest:
                raise MasterKeyError(
                    f"{path} got version {master.newest} meanwhile, under which nothing is sealed yet: run "
                    "gateway keys rewrap, then --drop-old again"
                )
            return master.without_old()

        amend_master(path, without_old)
        call.output.note(f"{path} has version {vault.newest} alone now: bring it to every machine.")
    if call.output.as_json:
        call.output.document({"version": vault.newest, "left": dict(left.counts)})
    else:
        call.output.line(_words(vault, left))
    return Exit.CONFLICT if left.total else None


def _words(vault: "Vault", left: "Pass") -> str:
    if not left.total:
        return (
            f"Everything is sealed under version {vault.newest}; older ones may be taken out of the key file."
        )
    named = ", ".join(f"{count} in {name}" for name, count in left.counts.items() if count)
    return f"Sealed under older versions than {vault.newest}: {named}. Run gateway keys rewrap."


def _open(settings: "Settings") -> "tuple[Database, Vault]":
    from gateway.bootstrap.ground import entropy  # noqa: PLC0415 - clients start without loading the server
    from gateway.database import Database  # noqa: PLC0415 - as above
    from gateway.migrations import history  # noqa: PLC0415 - as above
    from gateway.vault import Vault, load_master  # noqa: PLC0415 - as above

    kind, _, path = settings.database.url.partition(":///")
    if kind == "sqlite" and not Path(path).exists():
        raise UsageError(f"there is no database {path}", hint="Name its folder with --data.")
    vault = Vault(load_master(settings.keys.master_file), entropy)
    database = Database(settings.database.url)
    with database.begin() as session:
        history.verify_revision(session)
    return database, vault
