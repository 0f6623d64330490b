"""What happened: a list, one event's timeline, and the papers that prove it."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from audit.bundle import Bundle, format_bundle
from audit.checkpoint import read_checkpoint
from audit.errors import AuditError
from audit.note import VerifierKey
from audit.papers import Keys
from audit.proof import parse_proof
from audit.receipt import format_jwk, read_jwks
from gateway.cli.client import ALL, Client, listed, under
from gateway.cli.command import Cursor, Invocation, OfPartner, OfPartners, command
from gateway.cli.content import save_content
from gateway.cli.errors import AbsentError, AnswerError
from gateway.cli.evidence import save_evidence
from gateway.cli.exits import Exit
from gateway.cli.found import Ref, find_event
from gateway.cli.growth import save_consistency
from gateway.cli.plain_text import clean
from gateway.cli.verify import write_paper

_COLUMNS: Final = ("at", "direction", "type", "id", "state", "log", "ref")
_ENTRY_COLUMNS: Final = ("at", "kind", "what", "id", "log", "ref")
_TELLING: Final = (
    "action",
    "outcome",
    "code",
    "reason",
    "status",
    "purpose",
    "revision",
    "credential",
    "endpoint",
    "name",
    "replay",
    "consumer",
    "key",
    "number",
)
"""Members of evidence that tell entries of one kind apart, in this order."""
HOUSE: Final = "/v1/house/history"
"""Where the history of our own side lies."""

_WAIT_SECONDS: Final = 20
_SHOWN_OF_A_RECEIPT: Final = 24


@dataclass(frozen=True, slots=True)
class Filters:
    """Which events are listed."""

    id: Annotated[str | None, typer.Option("--id", help="Event id.", show_default=False)] = None
    source: Annotated[
        str | None, typer.Option("--source", help="CloudEvents source.", show_default=False)
    ] = None
    ref: Annotated[str | None, typer.Option("--ref", help="Reference, evt_...", show_default=False)] = None
    direction: Annotated[
        str | None, typer.Option("--direction", help="inbound or outbound.", show_default=False)
    ] = None
    state: Annotated[
        str | None,
        typer.Option(
            "--state", help="accepted, refused, delivered, retry, held, parked, read, ...", show_default=False
        ),
    ] = None
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="Log entries of these kinds, each a row: delivery.attempted,contract.changed, ...; or all.",
            show_default=False,
        ),
    ] = None
    type: Annotated[str | None, typer.Option("--type", help="Event type.", show_default=False)] = None
    search: Annotated[
        str | None,
        typer.Option("--search", help="A value at a search pointer of the contract.", show_default=False),
    ] = None
    digest: Annotated[
        str | None,
        typer.Option("--digest", help="SHA-256 of its content, as received or as sent.", show_default=False),
    ] = None
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", help="Meant for this endpoint, ep_...", show_default=False)
    ] = None
    credential: Annotated[
        str | None,
        typer.Option(
            "--credential",
            help="Sent by it, each use a row; with --kind, asked for with it.",
            show_default=False,
        ),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="Not before: RFC 3339, or so long ago, such as 24h.", show_default=False
        ),
    ] = None
    until: Annotated[str | None, typer.Option("--until", help="Before: likewise.", show_default=False)] = None

    def params(self) -> dict[str, str | int | bool | None]:
        """The query. `--key` is every command's credential, so that the one for `key` has another name."""
        return {"key" if name == "search" else name: getattr(self, name) for name in self.__slots__}


def register(app: typer.Typer) -> None:
    """Add the group history."""
    group = typer.Typer(help="What happened, and its proof.", no_args_is_help=True)
    command(group, "list")(list_history)
    command(group, "show")(show_event)
    command(group, "content")(save_content)
    command(group, "proof")(save_proof)
    command(group, "evidence")(save_evidence)
    command(group, "consistency")(save_consistency)
    app.add_typer(group, name="history")


def list_history(
    call: Invocation,
    *,
    partner: OfPartners = None,
    house: Annotated[
        bool, typer.Option("--house", help="Entries of the house's log instead; for operators.")
    ] = False,
    filters: Filters,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 100,
    cursor: Cursor = None,
) -> Exit | None:
    """List events, newest first: accepted, refused and sent ones, either direction; or entries, by --kind.

    Whose event is it? Of all partners with --partner - and one of --id, --ref, --search, --digest:
    gateway history list --partner - --id A-1001
    """
    with call.client() as client:
        path = HOUSE if house else listed(partner, "history")
        items, following = client.some(path, filters.params(), most=limit, cursor=cursor)
    if call.output.as_json:
        call.output.document({"items": items, "next": following})
        return None
    if any("evidence" in one for one in items):
        rows = map(entry_cells, items)
        call.output.table(_ENTRY_COLUMNS, ([row.get(name) for name in _ENTRY_COLUMNS] for row in rows))
    else:
        call.output.partners_table(_COLUMNS, items, _row, is_all=partner == ALL and not house)
    call.output.tell_more(following)
    return None


def show_event(call: Invocation, ref: Ref, *, partner: OfPartner = None) -> Exit | None:
    """Show what is known of one event: record, deliveries, log entries and its receipt."""
    with call.client() as client:
        _owner, document = find_event(client, ref, partner)
    if call.output.as_json:
        call.output.document(document)
        return None
    shown = dict(document)
    entries, deliveries = shown.pop("entries", []), shown.pop("deliveries", [])
    shown.pop("links", None)
    if isinstance(shown.get("receipt"), str):
        shown["receipt"] = _shortened(shown["receipt"])
    call.output.pairs(shown)
    if deliveries:
        call.output.line()
        columns = ("endpoint", "state", "attempts", "reason", "at")
        call.output.table(columns, ([_cell(one, name) for name in columns] for one in deliveries))
    if entries:
        call.output.line()
        call.output.table(
            ("entry", "at", "kind"), ([one["log"]["index"], one["at"], one["kind"]] for one in entries)
        )
    return None


def save_proof(
    call: Invocation,
    ref: Ref,
    *,
    partner: OfPartner = None,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; else to stdout.")
    ] = None,
    keys_file: Annotated[
        Path | None, typer.Option("--keys-file", metavar="FILE", help="Also save the receipt keys (JWK set).")
    ] = None,
) -> Exit | None:
    """Save receipt, proof and public keys in one file, which `gateway verify` takes."""
    with call.client() as client:
        bundle, jwks = fetch_bundle(client, ref, partner)
    raw = format_bundle(bundle)
    if file is None:
        call.output.out.write(raw.decode())
    else:
        write_paper(file, raw)
    if keys_file is not None:
        write_paper(keys_file, jwks)
    _tell_pins(call, bundle, file, keys_file)
    return None


def fetch_bundle(client: Client, ref: str, partner: str | None) -> tuple[Bundle, bytes]:
    """Everything that verifies one event, and the JWK set as it is published. Waits for the log once.

    Raises:
        AbsentError: the event has no receipt.
        CommandError: another one, or the papers cannot be read.
    """
    owner, document = find_event(client, ref, partner)
    receipt = document.get("receipt")
    if not isinstance(receipt, str):
        raise AbsentError(
            f"{ref} has no receipt: it is {clean(document.get('state'))}",
            hint="Only accepted events have one; gateway history show tells what is recorded.",
        )
    path = under(owner, "history", ref, "proof")
    proof = client.get(path, {"wait": _WAIT_SECONDS}, accept="text/plain").content
    jwks = client.get("/.well-known/jwks.json")
    discovery = client.get("/.well-known/partner-gateway").document()
    try:
        keys = Keys(read_jwks(jwks.document()), tuple(_log_keys(proof, discovery)))
    except AuditError as error:
        raise AnswerError(f"the papers cannot be read: {error}", status=200) from error
    return Bundle(receipt.encode(), proof, keys), jwks.content


def _log_keys(proof: bytes, discovery: dict[str, Any]) -> Iterator[VerifierKey]:
    """The published key that signed the proof's checkpoint."""
    checkpoint, note = read_checkpoint(parse_proof(proof).checkpoint)
    signers = {line.key_id for line in note.lines if line.name == checkpoint.origin}
    for text in discovery.get("checkpoint_keys", []):
        try:
            key = VerifierKey(checkpoint.origin, base64.b64decode(str(text), validate=True))
        except (binascii.Error, ValueError) as error:
            raise AnswerError("the published checkpoint keys are not base64", status=200) from error
        if key.key_id in signers:
            yield key


def _tell_pins(call: Invocation, bundle: Bundle, file: Path | None, keys_file: Path | None) -> None:
    say = call.output.note
    say("To prove it to others, pin these keys; get them by a way that you trust, not only from this file:")
    for key_id, key in bundle.offered.receipts.items():
        say(f"  receipt key  {key_id}  {format_jwk(key)['x']}")
    for log_key in bundle.offered.logs:
        say(f"  log key      {log_key}")
    keys = f" --keys {keys_file}" if keys_file is not None else " --keys KEYS.json"
    pins = "".join(f" --log-key '{log_key}'" for log_key in bundle.offered.logs)
    say(f"  gateway verify {file or 'FILE'}{keys}{pins}")


def _row(item: Mapping[str, Any]) -> list[object]:
    log = item.get("log")
    shown = {**item, "log": None if log is None else log["index"]}
    if item.get("code"):
        shown["state"] = f"{item.get('state')} ({item['code']})"
    return [shown.get(name) for name in _COLUMNS]


def entry_cells(item: dict[str, Any]) -> dict[str, Any]:
    """An entry as a row shows it: by its kind, and the few members that tell it from others of that kind."""
    evidence = item.get("evidence") or {}
    told = [f"{name}={evidence[name]}" for name in _TELLING if isinstance(evidence.get(name), str | int)]
    by = evidence.get("by")
    if isinstance(by, dict):
        told.append(f"by={by.get('credential') or by.get('role')}")
    log = item.get("log")
    return {**item, "what": " ".join(told), "log": None if log is None else log["index"]}


def _cell(delivery: dict[str, Any], column: str) -> object:
    """What stands in a column: an endpoint by its name, if it has one still."""
    if column == "endpoint" and delivery.get("name"):
        return delivery["name"]
    return delivery.get(column)


def _shortened(receipt: str) -> str:
    """A receipt's beginning: nobody reads two thousand letters, and they bury what is around them."""
    if len(receipt) <= _SHOWN_OF_A_RECEIPT:
        return receipt
    return f"{receipt[:_SHOWN_OF_A_RECEIPT]}... ({len(receipt)} letters; --json shows all, proof saves it)"
