"""Imports: a body of many events is received, becomes a job, and tells what became of each."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Final

from starlette.responses import Response

from gateway.errors import CallerError
from gateway.event import Direction
from gateway.http import imports_told as telling
from gateway.http.body_stream import read_stream
from gateway.http.cursor import open_cursor
from gateway.http.doors import event_cap
from gateway.http.events import essence_of, read_headers, verify_sendable
from gateway.http.guard import Call, find_surely, not_found
from gateway.http.import_items import import_item, result_item
from gateway.http.once import read_key
from gateway.http.pages import newest_first, sealed_page
from gateway.http.parameters import choice, flag, limit
from gateway.http.shapes import ref
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, PAGED, Body, Reply, shows, tells
from gateway.http.words import json_response
from gateway.imports import store
from gateway.imports.job import CONTAINER, NDJSON, Import, Sender, Wish
from gateway.imports.results import KINDS
from gateway.ingress.wording import beyond_allowance
from schemas.likeness import likeness
from schemas.schema import Schema

CREATE_OFFERED: Final = frozenset({"type", "dry_run"})
RESULTS_OFFERED: Final = frozenset({"state", "limit", "cursor"})
CANCEL_OFFERED: Final = frozenset({"dry_run"})
_TAKEN: Final = (NDJSON, CONTAINER)
_ID: Final = re.compile(r"imp_[a-z2-7]{26}", re.ASCII)


@tells(
    "createImport",
    "Send",
    "Import a file of events",
    Reply(
        202,
        "All of the body is kept, and taken from now on.",
        {JSON: ref("Import")},
        {"Location": "The import."},
    ),
    shows(ref("Import"), "The import that this key has made before.", Location="The import."),
    about=telling.CREATE,
    parameters=(telling.TYPE, DRY_RUN, telling.KEY),
    body=Body(telling.MEDIA, "Data or a CloudEvent a line, or an Avro object container file."),
    errors=(*BODY_ERRORS, *telling.CREATE_ERRORS),
)
async def create_import(call: Call) -> Response:
    """Receive a body, piece by piece; answered once all of it is durable."""
    verify_sendable(call)
    headers = read_headers(call)
    wish, call = await find_surely(call, lambda known: (_wish(known, headers), known))
    announced = headers.get("content-length", "")
    is_told = announced.isascii() and announced.isdigit()
    values, intake = call.doors.values, call.doors.intake
    cap = intake.limits.import_bytes
    upload = await intake.begin(
        wish,
        partial(_match, call, wish),
        announced=min(int(announced[:19]), cap) if is_told else 0,
        event_bytes=event_cap(values, call.snapshot, call.partner.slug, is_batch=False).size,
    )
    try:
        async for data in read_stream(call.request, cap=cap, seconds=values.body_seconds):
            await upload.feed(data)
        made, is_new = await upload.finish()
    finally:
        await upload.close()
    location = {"Location": f"{call.base}/imports/{made.id}"}
    return json_response(import_item(call, made), 202 if is_new else 200, location)


@tells(
    "listImports",
    "Send",
    "The imports, newest first",
    shows(ref("ImportPage"), "Those that have ended too, for as long as they are kept.", Link="Next page."),
    parameters=PAGED,
    errors=("cursor_invalid",),
)
async def list_imports(call: Call) -> Response:
    """Imports of the partner, newest first; our side also sees those that it sent."""
    slug = call.slug
    bound = ("imports", slug, str(call.named))
    shown, following = await newest_first(
        call,
        bound,
        lambda session, after, most: store.page(session, slug, _directions(call), after=after, limit=most),
    )
    return sealed_page(call, [import_item(call, one) for one in shown], bound, following)


@tells(
    "showImport",
    "Send",
    "One import",
    shows(ref("Import"), "How far it is, and what became of it."),
    parameters=(telling.IMPORT_ID,),
)
async def show_import(call: Call) -> Response:
    """One import."""
    return json_response(import_item(call, await _find(call)))


@tells(
    "listImportResults",
    "Send",
    "What became of each item",
    shows(ref("ImportResultPage"), "In the order of the file, as far as it is done.", Link="Next page."),
    about=telling.RESULTS,
    parameters=(telling.IMPORT_ID, telling.STATE, *PAGED),
    errors=("cursor_invalid",),
)
async def list_results(call: Call) -> Response:
    """Results of an import, in order; of one state alone where that is asked for."""
    found = await _find(call)
    state, most = choice(call.query, "state", KINDS, None), limit(call.query)
    kind = next((one for one in KINDS if one == state), None)
    bound = ("import results", call.partner.slug, found.id, kind or "")
    token = call.query.get("cursor")
    since = 0 if token is None else int(open_cursor(call.doors.values.cursor_key, bound, token)[0])

    database = call.doors.database
    some = await database.read(
        lambda session: store.results(session, found.id, since=since, limit=most + 1, kind=kind)
    )
    shown = some[:most]
    following = (shown[-1].index + 1,) if len(some) > most else None
    refs = [] if found.wish.dry_run else [one.ref for one in shown if one.ref is not None]
    receipts = await database.read(lambda session: store.receipts(session, refs)) if refs else {}
    items = [result_item(call, found, one, receipts) for one in shown]
    return sealed_page(call, items, bound, following)


@tells(
    "cancelImport",
    "Send",
    "Cancel an import",
    shows(ref("Import"), "Cancelled, now or before; what was taken stays taken."),
    parameters=(telling.IMPORT_ID, DRY_RUN),
    errors=("outcome_unknown", "state_conflict"),
)
async def cancel_import(call: Call) -> Response:
    """End an import where it is. What was taken of it stays taken. A dry run ends none."""
    found = await _find(call)
    _verify_cancellable(found)
    if flag(call.query, "dry_run"):
        return json_response({**import_item(call, found), "state": "cancelled"})
    now = call.doors.clock()
    ended = await call.doors.database.write(lambda session: store.cancel(session, found.id, now=now))
    if ended is None:
        raise not_found()
    # It may have come to its end just before.
    _verify_cancellable(ended)
    return json_response(import_item(call, ended))


def _verify_cancellable(found: Import) -> None:
    if not found.is_open and found.state != "cancelled":
        text = f"The import has ended already: it is {found.state}."
        raise CallerError("state_conflict", text)


def _wish(call: Call, headers: Mapping[str, str]) -> Wish:
    media_type, event_type = essence_of(dict(headers)), call.query.get("type")
    if media_type not in _TAKEN:
        offered = ", ".join(_TAKEN)
        accepted = {"headers": {"Accept-Post": offered}}
        text = f"Imports are {offered}."
        raise CallerError("media_type_unsupported", text, members=accepted)
    direction: Direction = "outbound" if call.named else "inbound"
    if media_type == CONTAINER and event_type is None:
        text = "An Avro container file holds data: name their event type with ?type=."
        raise CallerError("event_type_missing", text)
    known = call.snapshot.types(call.partner.slug, direction)
    if event_type is not None and event_type not in known:
        listed = ", ".join(sorted(known)[:20]) or "none"
        text = f"The contract knows no such type; the types are: {listed}."
        raise CallerError("event_type_unknown", text)
    allowed = call.known.send_types
    if event_type is not None and allowed is not None and event_type not in allowed:
        refused = beyond_allowance(event_type, allowed)
        raise CallerError(refused.code, refused.detail, hint=refused.hint or "")
    is_dry = flag(call.query, "dry_run")
    sender = Sender(call.known.method, call.known.credential.id, None if call.named else call.known.origin)
    # A dry run changes nothing: its key stays free for the import that follows it.
    key = read_key(call.request)
    return Wish(call.partner.slug, direction, event_type, media_type, sender, is_dry, None if is_dry else key)


def _match(call: Call, wish: Wish, schema: Schema) -> int:
    """The accepted version that the schema of a file is; documentation and the like may differ."""
    channel = call.snapshot.channel(wish.partner, wish.event_type or "", wish.direction)
    versions = () if channel is None else channel.versions
    wanted = likeness(schema.root)
    for version in versions:
        if likeness(version.schema.root) == wanted:
            return version.schema_id
    listed = ", ".join(f"{one.number} (id {one.schema_id})" for one in versions)
    text = f"The schema of the file is no accepted version of {wish.event_type}; accepted: {listed}."
    raise CallerError("schema_version_unknown", text)


def _directions(call: Call) -> tuple[Direction, ...]:
    """A partner sees what it sent; our side what both sent."""
    return ("inbound", "outbound") if call.named or call.of_all else ("inbound",)


async def _find(call: Call) -> Import:
    import_id = call.part("id")
    if not _ID.fullmatch(import_id):
        raise not_found()
    found = await call.doors.database.read(lambda session: store.find(session, import_id))
    if (
        found is None
        or found.wish.partner != call.partner.slug
        or found.wish.direction not in _directions(call)
    ):
        raise not_found()
    return found
