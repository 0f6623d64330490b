"""One partner's contract as files: begun, fetched, checked without a gateway; and what was in force."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.administration.effect import without_effect
from gateway.administration.fitness import verify_fitness
from gateway.cli.client import Client, path_of, under
from gateway.cli.command import Invocation, command
from gateway.cli.contract_start import start_files
from gateway.cli.contracts import read_contracts
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.contract_folder import LocalContract
from partners.contract_file import read_contract
from partners.contract_schema import contract_schema
from partners.errors import ContractFileError, Problem, SlugError
from partners.partner import verify_slug

Slug = Annotated[str, typer.Argument(metavar="PARTNER", help="Its name in the contract file, such as acme.")]
Folder = Annotated[Path, typer.Option("--dir", "-d", metavar="DIR", help="Where the files are put.")]
_COLUMNS: Final = ("revision", "applied_at", "applied_by", "sha256")


def register(app: typer.Typer) -> None:
    """Add the group contract."""
    group = typer.Typer(help="One partner's contract, as files.", no_args_is_help=True)
    command(group, "init")(init)
    command(group, "pull", asks=True)(pull)
    command(group, "lint")(lint)
    command(group, "show")(show)
    command(group, "revisions")(list_revisions)
    command(group, "schema")(show_schema)
    app.add_typer(group, name="contract")


def init(call: Invocation, partner: Slug, *, to: Folder = Path()) -> Exit | None:
    """Begin a contract: a file with every section explained, a schema, and the format for your editor.

    What contracts of one folder share, and is there as it would be written, stays.
    """
    try:
        files = start_files(verify_slug(partner))
    except SlugError as error:
        raise UsageError(str(error)) from error
    _write(call, to, _missing(to, files, f"{partner}.yaml"))
    call.output.note(f"next: gateway contract lint {to / f'{partner}.yaml'}")
    return None


def pull(call: Invocation, partner: Slug, *, to: Folder = Path()) -> Exit | None:
    """Fetch the contract in force, with the files that it names; asks before it changes a file."""
    with call.client() as client:
        found = client.get(_path(client, partner, "contract")).document()
    name = str(found["file_name"])
    files = {name: str(found["contract"]), **found["files"]}
    # What a server sends must not write where it likes: the same rules as for a file on this disk.
    attached = read_contract(files[name], name=name, allow_insecure_loopback=True).paths()
    if Path(name).name != name or not set(found["files"]) <= set(attached):
        raise UsageError("the answer names files that no contract may name: is this the gateway?")
    changed = [one for one, text in files.items() if _differs(to / one, text)]
    if changed:
        call.confirm(f"Overwrite {', '.join(sorted(changed))} in {to}?")
    _write(call, to, files)
    return None


def lint(
    call: Invocation,
    file: Annotated[list[Path], typer.Argument(metavar="FILE|DIR...", help="Contract files, or folders.")],
) -> Exit | None:
    """Check contract files and their schemas without a gateway; exit code 6 with every problem found.

    Of what is no problem but does nothing, or gets nothing yet, it says so, as plan does.
    """
    contracts = read_contracts(file)
    problems = [problem for one in contracts for problem in _problems(one)]
    if problems:
        raise ContractFileError(problems)
    notes = [without_effect(one.file) for one in contracts]
    if call.output.as_json:
        both = zip(contracts, notes, strict=True)
        items = [{"partner": one.partner, "file": one.name, "notes": list(each)} for one, each in both]
        call.output.document({"items": items})
        return None
    for one, each in zip(contracts, notes, strict=True):
        count = f"{len(one.files)} file{'' if len(one.files) == 1 else 's'}"
        call.output.line(f"{one.name}: {one.partner}, with {count}: no problem found")
        for note in each:
            call.output.line(f"  {note}")
    return None


def show(
    call: Invocation,
    partner: Slug,
    *,
    revision: Annotated[
        int | None, typer.Option("--revision", min=1, help="An earlier one.", show_default="in force")
    ] = None,
) -> Exit | None:
    """Show the text of a contract; with --json its files too."""
    parts = ("contract",) if revision is None else ("contract", "revisions", str(revision))
    with call.client() as client:
        found = client.get(_path(client, partner, *parts)).document()
    if call.output.as_json:
        call.output.document(found)
    else:
        for line in str(found["contract"]).splitlines():
            call.output.line(line)
    return None


def list_revisions(call: Invocation, partner: Slug) -> Exit | None:
    """List what was in force, newest first: when it was applied, and by whom."""
    with call.client() as client:
        items = list(client.pages(_path(client, partner, "contract", "revisions")))
    if call.output.as_json:
        call.output.document({"items": items})
    else:
        call.output.table(_COLUMNS, [[one[name] for name in _COLUMNS] for one in items])
    return None


def show_schema(call: Invocation) -> Exit | None:
    """Print the format of a contract file as a JSON Schema, for editors."""
    call.output.line(json.dumps(contract_schema(), indent=2, ensure_ascii=False))
    return None


def _path(client: Client, partner: str, *parts: str) -> str:
    """Where a partner's contract is for whoever asks: a partner's own key finds nothing under names."""
    mine = client.get(path_of("v1", "me")).document()["partner"]
    is_own = mine is not None and mine["slug"] == partner
    return under(None if is_own else partner, *parts)


def _problems(contract: LocalContract) -> Sequence[Problem]:
    try:
        verify_fitness(contract.file)
    except ContractFileError as error:
        return error.problems
    return ()


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() != text.encode()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _missing(folder: Path, files: Mapping[str, str], own: str) -> dict[str, str]:
    """Those that are to be written. `own`: must not be there, and the others not with other contents."""
    there = sorted(name for name in files if (folder / name).exists())
    taken = [name for name in there if name == own or _differs(folder / name, files[name])]
    if taken:
        text = f"{', '.join(taken)} in {folder}: there already; nothing was written"
        hint = "" if own in taken else "Name a folder of its own: --dir DIR"
        raise UsageError(text, hint=hint)
    return {name: text for name, text in files.items() if name not in there}


def _write(call: Invocation, folder: Path, files: Mapping[str, Any]) -> None:
    for name, text in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error
        call.output.line(str(path))
