"""What a start says on the terminal, and leaves in the data folder for commands on this machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.bootstrap.ground import OPERATOR_KEY, Ground
from gateway.errors import SetupError
from gateway.settings import Settings

ADDRESS_FILE: Final = "address"

Announce = Callable[[str], None]


def announce_doors(ground: Ground, ca_file: Path | None, announce: Announce) -> None:
    """Say where everything is, with one command that works; the CLI finds the same in a file.

    Raises:
        SetupError: the data folder cannot be written.
    """
    settings = ground.settings
    operators = operator_url(settings)
    address = {"url": operators, "cacert": None if ca_file is None else str(ca_file)}
    _write(settings.data / ADDRESS_FILE, json.dumps(address))
    key_file = settings.data / OPERATOR_KEY
    trust = "" if ca_file is None else f" --cacert {ca_file}"
    lines = [f"data       {settings.data.resolve()}", f"origin     {settings.origin}"]
    if settings.listen.public.is_loopback:
        lines.append("egress     endpoints on this machine are allowed, since we listen on loopback only")
    lines += operator_lines(ground)
    lines.append(f'try        curl{trust} -H "Authorization: Bearer $(cat {key_file})" {operators}/v1/status')
    for line in lines:
        announce(line)


def operator_url(settings: Settings) -> str:
    """Where operators reach this gateway: the private listener, where it is one of its own."""
    listen = settings.listen
    if listen.private == listen.public:
        return settings.origin
    scheme = "http" if settings.tls.cert is None else "https"
    return f"{scheme}://{listen.private}"


def operator_lines(ground: Ground) -> list[str]:
    """Where the operator's key is; the key itself at the first start only."""
    path = ground.settings.data / OPERATOR_KEY
    if ground.new_operator_key is None and not path.exists():
        return [
            f"operator   {path} is not here; where it is lost (no backup has it), another one is made by",
            f"           gateway init --new-operator-key --data {ground.settings.data}",
        ]
    if ground.new_operator_key is None:
        return [f"operator   {path}"]
    return [
        f"operator   {ground.new_operator_key}",
        f"           (shown this once; also in {path}, readable by you alone)",
    ]


def _write(path: Path, text: str) -> None:
    """Put a file in the data folder, which a role on another machine has not made yet."""
    draft = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_text(text)
        draft.replace(path)
    except OSError as error:
        raise SetupError(
            f"the data folder {path.parent} cannot be written ({error.strerror}): give this user the right, "
            "or name another with --data"
        ) from error
