"""`--stopped`: a change made in the data folder itself, before its gateway starts again, as after a restore.

Without it the same commands ask the gateway. The server's modules are loaded only here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.command import Invocation
from gateway.cli.errors import UsageError
from gateway.cli.run import read_settings

if TYPE_CHECKING:
    from gateway.settings import Settings

_MOST_REASON: Final = 1_000


@dataclass(frozen=True, slots=True)
class Stopped:
    """Whether the gateway is not to be asked, and whose settings are read then."""

    stopped: Annotated[
        bool,
        typer.Option(
            "--stopped", help="No gateway is asked: change its data folder, as before it starts again."
        ),
    ] = False
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="With --stopped: settings file.", show_default=False),
    ] = None


def freeze(
    call: Invocation, wanted: Stopped, members: dict[str, str | None], purpose: str, label: str | None
) -> dict[str, Any]:
    """Freeze keys; the answer as the API gives it. `members`: reason, since, key.

    Raises:
        UsageError: what is asked for is nothing that can be done.
        CallerError, SetupError, AwayError: as `gateway.bootstrap.stopped`.
    """
    from gateway.administration.key_changes import Freeze  # noqa: PLC0415 - clients start without the server
    from gateway.bootstrap import stopped  # noqa: PLC0415 - as above
    from gateway.bootstrap.ground import clock  # noqa: PLC0415 - as above
    from gateway.errors import CallerError  # noqa: PLC0415 - as above
    from gateway.http.parameters import parse_instant  # noqa: PLC0415 - as above
    from gateway.http.signing_keys import changed_keys  # noqa: PLC0415 - as above
    from gateway.keys import PURPOSES  # noqa: PLC0415 - as above

    reason, since = (members["reason"] or "").strip(), members["since"]
    found = next((one for one in PURPOSES if one == purpose), None)
    if found is None:
        raise UsageError(f"--purpose takes one of {', '.join(PURPOSES)}")
    if not 0 < len(reason) <= _MOST_REASON:
        raise UsageError(f"--reason takes 1 to {_MOST_REASON} characters")
    try:
        at = None if since is None else parse_instant(since, "since", clock())
    except CallerError as error:
        raise UsageError(
            "--since takes an RFC 3339 time such as 2026-11-22T13:00:00Z, a date (UTC), or a span such as 24h"
        ) from error
    asked = Freeze(found, reason, at, members["key"])
    change = stopped.freeze_keys(_settings(call, wanted), asked, label, is_rehearsal=call.dry_run)
    return changed_keys(change, is_dry=call.dry_run)


def revoke(call: Invocation, wanted: Stopped, credential: str, partner: str | None, reason: str) -> None:
    """Revoke a credential, and show it as the API does, but for when it was used last.

    Raises:
        UsageError, CallerError, SetupError, AwayError: as `freeze`.
    """
    from gateway.bootstrap import stopped  # noqa: PLC0415 - clients start without loading the server
    from gateway.bootstrap.ground import clock  # noqa: PLC0415 - as above
    from gateway.http.credential_items import credential_item  # noqa: PLC0415 - as above

    settings = _settings(call, wanted)
    if not call.dry_run:
        call.confirm(f"Revoke {credential}, for ever?")
    change = stopped.revoke_credential(
        settings, credential, owner=partner, reason=reason, is_rehearsal=call.dry_run
    )
    item = credential_item(change.credential, clock(), None)
    del item["last_used_at"]
    if call.output.as_json:
        call.output.document({**item, "dry_run": True} if call.dry_run else item)
    elif call.dry_run:
        call.output.line(f"Would revoke {credential}.")
    else:
        call.output.pairs(item)


def _settings(call: Invocation, wanted: Stopped) -> "Settings":
    if call.wanted.url or call.wanted.key or call.wanted.cacert:
        raise UsageError("--stopped asks no gateway: --url, --key and --cacert do not go with it")
    folder = call.wanted.folder
    return read_settings(call, wanted.config, {"data": folder} if folder else {}).settings
