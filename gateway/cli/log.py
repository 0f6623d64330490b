"""The logs themselves, on the machine that has the database: examine them, repair their tree, begin anew."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.plain_text import clean
from gateway.cli.run import Config, Folder, read_settings

if TYPE_CHECKING:
    from audit.checkpoint import Checkpoint
    from audit.fsck import Fault
    from gateway.bootstrap.upkeep import Begun
    from gateway.settings import Settings

Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log", metavar="NAME", help="This log alone; may come more than once.", show_default=False
    ),
]

_MOST_REASON: Final = 500


def register(app: typer.Typer) -> None:
    """Add the group log."""
    group = typer.Typer(help="The logs, on the machine that has the database.", no_args_is_help=True)
    command(group, "fsck", is_local=True)(fsck)
    command(group, "rebuild", is_local=True, writes=True, asks=True)(rebuild)
    command(group, "new-epoch", is_local=True, writes=True, asks=True)(new_epoch)
    app.add_typer(group, name="log")


def fsck(
    call: Invocation,
    *,
    log: Log = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", min=1, max=64, metavar="N", help="Processes for large logs: one for each core."
        ),
    ] = None,
    folder: Folder = "",
    config: Config = None,
) -> Exit | None:
    """Derive every entry, node, head and checkpoint anew and compare; changes nothing, runs beside a gateway.

    Ends with 1 where anything is not as it must be, each fault named.
    """
    from gateway.bootstrap import upkeep  # noqa: PLC0415 - clients start without loading the server

    settings = _settings(call, config, folder)
    faults = []
    with (
        upkeep.examining(settings, log or (), jobs=jobs) as found,
        call.output.progress("entries", found.total) as bar,
    ):
        for fault in found.faults(bar.advance):
            faults.append(fault)
            if not call.output.as_json:
                call.output.line(clean(_words(fault)))
    if found.unread:
        call.output.warn(f"The checkpoint topic was not compared: {clean(found.unread)}")
    if call.output.as_json:
        call.output.document(
            {
                "logs": found.logs,
                "entries": found.total,
                "checkpoint_topic": "compared" if not found.unread else found.unread,
                "faults": [
                    {
                        "what": one.what,
                        "origin": one.origin,
                        "first": one.first,
                        "last": one.last,
                        "detail": one.detail,
                    }
                    for one in faults
                ],
            }
        )
    else:
        call.output.line(f"{found.logs} log(s), {found.total} entries, {len(faults)} fault(s)")
    return Exit.FAULT if faults else None


def rebuild(call: Invocation, *, log: Log = None, folder: Folder = "", config: Config = None) -> Exit | None:
    """Make the nodes and heads of logs anew from their entries; the gateway must be stopped.

    A log whose entries do not give what was published of it is left as it is, and refused.
    """
    from gateway.bootstrap import upkeep  # noqa: PLC0415 - clients start without loading the server

    settings = _settings(call, config, folder)
    if not call.dry_run:
        call.confirm("Make the nodes and heads of these logs anew from their entries?")
    with call.output.progress("entries", None) as bar:
        done = upkeep.rebuild_logs(settings, log or (), bar.advance, is_rehearsal=call.dry_run)
    if call.output.as_json:
        call.output.document(
            [
                {
                    "origin": one.origin,
                    "entries": one.entries,
                    "written": one.written,
                    "removed": one.removed,
                    "head": "new" if one.is_head_new else "as it was",
                }
                for one in done
            ]
        )
        return None
    for one in done:
        head = ", head written" if one.is_head_new else ""
        call.output.line(
            f"{one.origin}: {one.entries} entries, {one.written} nodes written, {one.removed} removed{head}"
        )
    if call.dry_run:
        call.output.note("Nothing was changed.")
    return None


@dataclass(frozen=True, slots=True)
class Which:
    """Which logs begin anew."""

    log: Log = None
    everyone: Annotated[
        bool, typer.Option("--all", help="Every log, as after a leaked key or a lost database.")
    ] = False
    unsigned: Annotated[
        bool,
        typer.Option("--unsigned", help="Follow checkpoints that no key of this database signed, too."),
    ] = False
    disown: Annotated[
        bool,
        typer.Option("--disown", help="Those that no key of this database signed are not ours: follow none."),
    ] = False


def new_epoch(
    call: Invocation,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is in the log for ever.")],
    which: Which,
    folder: Folder = "",
    config: Config = None,
) -> Exit | None:
    """Begin a new epoch of each log whose database is behind what was published; the gateway must be stopped.

    Its first entry names the old head, as it was published. What the old epoch showed stays true.
    """
    from gateway.bootstrap import upkeep  # noqa: PLC0415 - clients start without loading the server
    from gateway.upkeep.epochs import Wish  # noqa: PLC0415 - as above

    if which.log and which.everyone:
        raise UsageError("--log names some, --all means every log: say one of them")
    if which.unsigned and which.disown:
        raise UsageError("--unsigned follows checkpoints of unknown keys, --disown does not: say one of them")
    if not reason.strip() or len(reason) > _MOST_REASON:
        raise UsageError(f"--reason takes 1 to {_MOST_REASON} characters")
    settings, names = _settings(call, config, folder), frozenset(which.log or ())
    wish = upkeep.drawn(
        Wish(
            reason.strip(),
            names,
            is_for_all=which.everyone,
            takes_unsigned=which.unsigned,
            disowns=which.disown,
        )
    )
    if not call.dry_run and not call.yes:
        planned = upkeep.new_epochs(settings, wish, is_rehearsal=True)
        for step in planned.steps:
            call.output.note(_followed(step.origin, step.previous, is_behind=step.is_behind))
        if planned.steps or planned.adopted:
            call.confirm("Begin these epochs? This cannot be undone.")
    begun = upkeep.new_epochs(settings, wish, is_rehearsal=call.dry_run)
    _show_begun(call, begun)
    return None


def _show_begun(call: Invocation, begun: "Begun") -> None:
    shown = [(one.origin, one.previous, one.is_behind, 0) for one in begun.steps]
    shown += [(one.origin, one.previous, one.is_behind, one.moved) for one in begun.opened]
    if call.output.as_json:
        epochs = [
            {"origin": origin, "previous": _previous(previous), "was_behind": is_behind, "moved": moved}
            for origin, previous, is_behind, moved in shown
        ]
        call.output.document({"adopted": begun.adopted, "epochs": epochs})
        return
    if begun.adopted:
        call.output.line(f"The house's log is {begun.adopted} now.")
    for origin, previous, is_behind, moved in shown:
        more = f"; {moved} entries went into it" if moved else ""
        call.output.line(_followed(origin, previous, is_behind=is_behind) + more)
    if not shown:
        call.output.line("No log is behind what was published: no epoch is needed. For every log, say --all.")
    if call.dry_run:
        call.output.note("Nothing was changed.")


def _settings(call: Invocation, config: "Config", folder: str) -> "Settings":
    return read_settings(call, config, {"data": folder} if folder else {}).settings


def _words(fault: "Fault") -> str:
    place = ""
    if fault.first is not None:
        place = f" {fault.first}" if fault.first == fault.last else f" {fault.first} to {fault.last}"
    detail = f": {fault.detail}" if fault.detail else ""
    return f"{fault.what} {fault.origin}{place}{detail}"


def _followed(origin: str, previous: "Checkpoint | None", *, is_behind: bool) -> str:
    if previous is None:
        return f"{origin} follows nothing that was published"
    lost = " (this database does not have all of that)" if is_behind else ""
    return f"{origin} follows {previous.origin}, published with {previous.size} entries{lost}"


def _previous(previous: "Checkpoint | None") -> dict[str, object] | None:
    if previous is None:
        return None
    return {"origin": previous.origin, "size": previous.size, "root": previous.root.hex()}
