"""What the gateway says in words of HTTP, in words of the command line.

The API's hints name routes and parameters; whoever types commands is told of commands and options instead.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

_BY_CODE: Final[Mapping[str, str]] = {
    "credential_missing": "Name your key's file: --key FILE, or GATEWAY_KEY_FILE; gateway login keeps it.",
    "credential_invalid": "Is the key of this gateway, and whole? --key FILE and --url say which are used.",
    "event_id_missing": "For one event, --id ID gives it.",
    "proof_pending": "Repeat the command in a moment.",
    "cursor_expired": "Start again with --from earliest; what is gone stands in the history.",
    "cursor_invalid": "Repeat the command from its beginning.",
    "change_destructive": (
        "Say --prune for what a file no longer names, --allow destructive for what changes, if that is meant."
    ),
    "schema_incompatible": "Change the schema, or say --allow incompatible if that is meant.",
    "precondition_failed": "Look with gateway plan at what it would change now, then repeat the command.",
}
"""By the code alone; what is not here, or below, is told as the gateway tells it."""

_NAME_THE_PARTNER: Final[Mapping[str, str]] = {
    "events": "Name the partner: gateway send PARTNER TYPE @FILE",
    "stream": "Name the partner: gateway stream PARTNER",
}
"""For our own side, which has no events of its own, by what was asked for; elsewhere an option does it."""

_PARAMETER: Final = re.compile(r"^The (?:query parameter|member) ([a-z_]+) (must be|takes|stands)\b")
_OPTIONS: Final[Mapping[str, str]] = {"expires_at": "--expires", "old": "--old"} | {
    name: f"--{name}"
    for name in (
        "allow", "as", "audience", "consumer", "credential", "direction", "from", "id", "issuer", "kind",
        "limit", "name", "ref", "role", "scopes", "since", "source", "state", "subject", "type", "types",
        "until", "uri",
    )
}  # fmt: skip


def hint_for(code: str, hint: str, path: str) -> str:
    """How to mend it on the command line; empty: nothing to say. `path`: the route that refused."""
    parts = [unquote(part) for part in path.split("/")[2:]]
    partner = parts[1] if len(parts) > 1 and parts[0] == "partners" else None
    if code == "scope_missing" and partner is None and hint:
        return _NAME_THE_PARTNER.get(parts[0] if parts else "", "Name the partner: --partner NAME")
    if code == "precondition_failed" and "consumers" in parts:
        return "Another reader under this name is further on: give each a name of its own."
    if code == "schema_incompatible" and hint and "allow" not in hint:
        return hint  # of an external registry, which no option of ours overrules
    if code == "event_invalid":
        shown = re.search(r"/types/([^/ ]+)/sample", hint)
        if shown is not None:
            whose = "" if partner is None else f" --partner {partner} --direction outbound"
            return f"gateway types sample {unquote(shown[1])}{whose} shows what is expected."
    return _BY_CODE.get(code, hint)


def detail_in_words(detail: str) -> str:
    """What is wrong, with an option in the place of the parameter or member that it became."""
    found = _PARAMETER.match(detail)
    if found is None or found[1] not in _OPTIONS:
        return detail
    return f"{_OPTIONS[found[1]]} {found[2]}{detail[found.end() :]}"
