"""Exports: jobs over a range of the log, and the files that prove it whole."""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from sqlmodel import Session
from starlette.responses import Response

from audit.errors import DamagedLogError, MissingLibraryError
from audit.export_parquet import verify_installed
from audit.manifest import FORMATS, MANIFEST_NAME, Format, file_name
from gateway.administration.desk import Administration
from gateway.administration.looks import Look
from gateway.errors import CallerError
from gateway.exports import store
from gateway.exports.job import Export, Wish
from gateway.exports.planning import Asked, Indexes, Times, plan
from gateway.http import exports_told as telling
from gateway.http.content import note_look
from gateway.http.export_items import export_item
from gateway.http.guard import Call, not_found
from gateway.http.once import ERRORS as ONCE_ERRORS
from gateway.http.once import KEY, REPLAYED, Done, once
from gateway.http.pages import newest_first, sealed_page
from gateway.http.parameters import flag, parse_instant
from gateway.http.reading import read_members
from gateway.http.shapes import ref
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, PAGED, Body, Reply, shows, tells
from gateway.http.words import json_response

CREATE_OFFERED: Final = frozenset({"dry_run"})
CANCEL_OFFERED: Final = frozenset({"dry_run"})
FILES_ROUTE: Final = "GET /v1/partners/{p}/exports/{id}/files/{n}"
"""As the partner's log names it."""

_MEMBERS: Final = ("from", "to", "epoch", "format", "content")
_ID: Final = re.compile(r"exp_[a-z2-7]{26}", re.ASCII)
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,5}", re.ASCII)
_MOST_INDEX: Final = 1 << 62


@tells(
    "createExport",
    "History",
    "Export a range of the log",
    Reply(
        202,
        "It is begun within a second or two.",
        {JSON: ref("Export")},
        {"Location": "The export.", "Idempotent-Replayed": REPLAYED},
    ),
    shows(ref("Export"), "Of a dry run: what would be exported."),
    about=telling.CREATE,
    parameters=(DRY_RUN, KEY),
    body=Body({JSON: ref("ExportWanted")}),
    errors=(
        *BODY_ERRORS, *ONCE_ERRORS, "limit_reached", "outcome_unknown", "proof_pending", "state_conflict",
    ),
)  # fmt: skip
async def create_export(call: Call) -> Response:
    """Find out which range is meant, and make the job."""
    doors = call.doors
    members = await read_members(call.request, _MEMBERS, seconds=doors.values.body_seconds)
    export_id = "exp_" + base64.b32encode(doors.entropy(16)).decode().rstrip("=").lower()
    now, is_dry = doors.clock(), flag(call.query, "dry_run")

    async def begin(administration: Administration) -> Export:
        wish = await _wish(call, members, now)
        if is_dry:
            return Export(export_id, wish, "waiting", 0, 0, 0, 0, now)

        def work(session: Session) -> Export:
            made = store.create(session, export_id, wish, now=now)
            if administration.kept is not None:
                administration.kept(session, made)
            return made

        made = await doors.database.write(work)
        doors.exports.taken()
        return made

    return await once(
        call,
        members,
        begin,
        lambda made: Done(
            _item(call, made, is_dry=is_dry),
            200 if is_dry else 202,
            {} if is_dry else {"Location": f"{call.base}/exports/{made.id}"},
        ),
    )


@tells(
    "listExports",
    "History",
    "The exports, newest first",
    shows(ref("ExportPage"), "Those that have ended too, for as long as they are kept.", Link="Next page."),
    parameters=PAGED,
    errors=("cursor_invalid",),
)
async def list_exports(call: Call) -> Response:
    """Exports of the partner, newest first."""
    slug = call.slug
    bound = ("exports", slug)
    shown, following = await newest_first(
        call, bound, lambda session, after, most: store.page(session, slug, after=after, limit=most)
    )
    return sealed_page(call, [_item(call, one) for one in shown], bound, following)


@tells(
    "showExport",
    "History",
    "One export",
    shows(ref("Export"), "How far it is."),
    parameters=(telling.EXPORT_ID,),
)
async def show_export(call: Call) -> Response:
    """One export."""
    return json_response(_item(call, await _find(call)))


@tells(
    "cancelExport",
    "History",
    "Cancel an export",
    shows(ref("Export"), "Cancelled, now or before.", Idempotent_Replayed=REPLAYED),
    parameters=(telling.EXPORT_ID, DRY_RUN, KEY),
    errors=(*ONCE_ERRORS, "outcome_unknown", "state_conflict"),
)
async def cancel_export(call: Call) -> Response:
    """End an export that has not ended."""
    found, now = await _find(call), call.doors.clock()
    is_dry = flag(call.query, "dry_run")

    async def act(administration: Administration) -> Export:
        _verify_cancellable(found)
        if is_dry:
            return found

        def work(session: Session) -> Export:
            ended = store.cancel(session, found.id, now=now)
            if ended is None:
                raise not_found()
            # It may have come to its end just before.
            _verify_cancellable(ended)
            if administration.kept is not None:
                administration.kept(session, ended)
            return ended

        return await call.doors.database.write(work)

    return await once(call, {}, act, lambda ended: Done({**_item(call, ended), "state": "cancelled"}))


@tells(
    "showExportFile",
    "History",
    "One file of an export",
    Reply(
        200,
        "The file, of the media type of its format.",
        telling.FILE_MEDIA,
        {"Content-Digest": "Of these bytes (RFC 9530).", "Content-Disposition": "Its name in an archive."},
    ),
    about=telling.FILE,
    parameters=(telling.EXPORT_ID, telling.NUMBER),
    errors=("outcome_unknown", "state_conflict"),
)
async def show_file(call: Call) -> Response:
    """A file, made now; of an export with content only once the partner's log tells who of ours looks."""
    found, text = await _find(call), call.part("n")
    if not _NUMBER.fullmatch(text):
        raise not_found()
    if found.state != "done":
        raise CallerError("state_conflict", f"The export has no files: it is {found.state}.")
    number = int(text)
    if number > found.parts:
        raise not_found()
    if found.wish.has_content and number:
        await note_look(call, Look(FILES_ROUTE))
    if number == 0:
        raw = await call.doors.exports.papers.manifest(found)
        return _served(raw, hashlib.sha256(raw).digest(), MANIFEST_NAME, JSON)
    try:
        made = await call.doors.exports.papers.file(found, number)
    except DamagedLogError as error:
        text = f"The log is not whole any more: {error}. The export cannot be handed out."
        raise CallerError("state_conflict", text, hint="Ask the operator to check the log.") from error
    if made is None:
        raise not_found()
    kind = found.wish.format
    epoch = int(found.wish.stretches[made.part.stretch].origin.rpartition("/")[2])
    return _served(made.raw, made.part.sha256, file_name(epoch, number, kind), telling.MEDIA[kind])


def _served(raw: bytes, sha256: bytes, name: str, media_type: str) -> Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Digest": f"sha-256=:{base64.b64encode(sha256).decode()}:",
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Type": media_type,
    }
    return Response(raw, 200, headers)


async def _wish(call: Call, members: Mapping[str, Any], now: int) -> Wish:
    kind, content = members.get("format", "jsonl"), members.get("content", False)
    if kind not in FORMATS:
        raise CallerError("parameter_invalid", f"The member format must be one of {', '.join(FORMATS)}.")
    if type(content) is not bool:
        raise CallerError("parameter_invalid", "The member content must be true or false.")
    if kind == "parquet":
        try:
            verify_installed()
        except MissingLibraryError as error:
            raise CallerError("state_conflict", f"{error}.", hint="Ask for jsonl or avro.") from error
    asked = _asked(members, now)
    name = f"{call.doors.values.log_host}/log/{call.partner.log}"
    stretches = await plan(call.doors.database, name, asked)
    return Wish(call.partner.slug, cast("Format", kind), content, stretches)


def _asked(members: Mapping[str, Any], now: int) -> Asked:
    """Indexes or times: of one kind, as the first that is there."""
    first, end, epoch = (members.get(name) for name in ("from", "to", "epoch"))
    if isinstance(first, str) or isinstance(end, str):
        if not all(one is None or isinstance(one, str) for one in (first, end)) or epoch is not None:
            text = "The members from and to must both be times, without epoch, or both be indexes."
            raise CallerError("parameter_invalid", text)
        since, until = (
            None if one is None else parse_instant(one, name, now)
            for one, name in ((first, "from"), (end, "to"))
        )
        if since is not None and until is not None and since >= until:
            raise CallerError("parameter_invalid", "The member from must be before to.")
        return Times(since, until)
    for name, one in (("from", first), ("to", end), ("epoch", epoch)):
        if one is not None and not (type(one) is int and 0 <= one < _MOST_INDEX):
            raise CallerError("parameter_invalid", f"The member {name} must be a whole number, or a time.")
    return Indexes(first, end, epoch)


def _verify_cancellable(found: Export) -> None:
    if not found.is_open and found.state != "cancelled":
        raise CallerError("state_conflict", f"The export has ended already: it is {found.state}.")


def _item(call: Call, export: Export, *, is_dry: bool = False) -> dict[str, object]:
    base = call.base_of(export.wish.partner)
    return export_item(export, base, call.doors.values.origin, is_dry=is_dry)


async def _find(call: Call) -> Export:
    export_id = call.part("id")
    if not _ID.fullmatch(export_id):
        raise not_found()
    found = await call.doors.database.read(lambda session: store.find(session, export_id))
    if found is None or found.wish.partner != call.partner.slug:
        raise not_found()
    return found
