"""`gateway doctor`: look at everything that the gateway stands on, and say how to mend it."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from gateway.cli.command import Invocation, command
from gateway.cli.exits import Exit
from gateway.cli.plain_text import clean
from gateway.cli.run import Config, Folder, read_settings
from gateway.errors import SettingsError

if TYPE_CHECKING:
    from gateway.doctor.finding import Finding


def register(app: typer.Typer) -> None:
    """Add doctor."""
    command(app, "doctor", is_local=True)(doctor)


def doctor(call: Invocation, *, folder: Folder = "", config: Config = None) -> Exit | None:
    """Check clock, TLS, broker, database, disk, ports, egress, and say how to mend each; changes nothing."""
    from gateway.bootstrap.examination import examine, refusals  # noqa: PLC0415 - clients load no server
    from gateway.doctor.finding import Level, count  # noqa: PLC0415 - as above

    try:
        settings = read_settings(call, config, {"data": folder} if folder else {}).settings
    except SettingsError as error:
        findings = refusals(error)
    else:
        findings = asyncio.run(examine(settings, call.around.environ))
    faults, warnings = count(findings, Level.FAULT), count(findings, Level.WARNING)
    if call.output.as_json:
        call.output.document(
            {
                "faults": faults,
                "warnings": warnings,
                "findings": [
                    {"level": str(one.level), "area": one.area, "what": one.what, "mend": one.mend}
                    for one in findings
                ],
            }
        )
    else:
        _show(call, findings)
        call.output.line(f"{faults} fault(s), {warnings} warning(s)")
    return Exit.CONFLICT if faults else None


def _show(call: Invocation, findings: "Sequence[Finding]") -> None:
    from gateway.doctor.finding import format_line  # noqa: PLC0415 - clients load no server

    if call.output.out.isatty():
        rows = [[str(one.level), one.area, one.what, one.mend] for one in findings]
        call.output.table(("", "area", "what", "how to mend"), rows)
    else:
        for one in findings:
            call.output.line(clean(format_line(one)))
