"""A partner's log for monitors and verifiers: checkpoint, tiles, entry bundles, byte for byte.

Only what a published checkpoint covers is served; bundles hold leaves, never evidence.
Source: C2SP tlog-tiles.
"""

import gzip
import re
from typing import Final, Literal

from sqlmodel import Session
from starlette.responses import Response

from audit import log
from audit.entry import Entry
from audit.erasure import has_expired
from audit.errors import MalformedError, NotInLogError
from audit.tile import parse_tile_path
from gateway.errors import CallerError
from gateway.http.guard import Call, not_found
from gateway.http.parameters import number
from gateway.http.shapes import ANY, BINARY, TEXT, whole
from gateway.http.told import JSON, PLAIN, Parameter, shows, tells

GROWTH_OFFERED: Final = frozenset({"old", "epoch"})
_EPOCH: Final = re.compile(r"[1-9][0-9]{0,8}|0", re.ASCII)
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)
_FAST: Final = 1
"""Leaves are digests for the most part: what can be saved on them is saved by the lowest level."""
_REFUSED: Final = frozenset({"q=0", "q=0.0", "q=0.00", "q=0.000"})
_FOR_EVER: Final = "max-age=31536000, immutable"


@tells(
    "showCheckpoint",
    "Log",
    "The published checkpoint of a log",
    shows(
        TEXT, "A signed note (C2SP tlog-checkpoint), with the time at which it was the newest.", media=PLAIN
    ),
)
async def show_checkpoint(call: Call) -> Response:
    """The published checkpoint."""
    try:
        note = await call.doors.shown.checkpoint(_origin(call))
    except NotInLogError as error:
        raise not_found() from error
    return Response(note, 200, {"Cache-Control": "no-store"}, "text/plain; charset=utf-8")


@tells(
    "showTile",
    "Log",
    "A tile of hashes, or a bundle of entries",
    shows(BINARY, "As C2SP tlog-tiles says; its bytes never change.", media="application/octet-stream"),
)
async def show_tile(call: Call) -> Response:
    """A tile of hashes, or a bundle of entries. Its bytes never change; those of entries are compressed."""
    return await tile_response(call, _origin(call), scope="private")


async def tile_response(call: Call, origin: str, *, scope: Literal["private", "public"]) -> Response:
    """A tile or a bundle of a log. `scope`: whether caches that many share may keep it."""
    try:
        tile = parse_tile_path("tile/" + call.part("rest"))
        if tile.level is None:
            content = await call.doors.database.read(
                lambda session: log.entries(session, origin, tile.index, tile.width)
            )
        else:
            level = tile.level
            content = await call.doors.database.read(
                lambda session: log.tile(session, origin, level, tile.index, tile.width)
            )
    except (MalformedError, NotInLogError) as error:
        raise not_found() from error
    headers = {"Cache-Control": f"{scope}, {_FOR_EVER}"}
    if tile.level is None:
        headers["Vary"] = "Accept-Encoding"
        if _takes_gzip(call.request.headers.get("accept-encoding", "")):
            headers["Content-Encoding"] = "gzip"
            content = gzip.compress(content, _FAST, mtime=0)
    return Response(content, 200, headers, "application/octet-stream")


@tells(
    "showEntryEvidence",
    "Log",
    "The evidence of an entry",
    shows(ANY, "The exact bytes that the entry's leaf commits to.", media=JSON),
    errors=("content_erased", "content_expired"),
)
async def show_evidence(call: Call) -> Response:
    """The evidence of an entry that a published checkpoint covers, to the byte."""
    origin, text = _origin(call), call.part("index")
    if not _INDEX.fullmatch(text):
        raise not_found()

    def find(session: Session) -> tuple[Entry, bool]:
        if int(text) >= log.state(session, origin).checkpoint_size:
            raise NotInLogError(f"{origin}: no published entry {text}")
        entry = log.entry(session, origin, int(text))
        return entry, has_expired(session, entry)

    try:
        entry, is_past = await call.doors.database.read(find)
    except NotInLogError as error:
        raise not_found() from error
    if is_past:
        text_of = (
            "The evidence is older than the contract keeps it (keep.evidence); its leaf stays in the log."
        )
        raise CallerError("content_expired", text_of)
    if entry.raw is None:
        raise CallerError("content_erased", "The evidence was erased; its leaf stays in the log.")
    return Response(entry.raw, 200, {"Cache-Control": "no-store"}, JSON)


@tells(
    "showConsistency",
    "Log",
    "The proof that the log only grew",
    shows(TEXT, "The published checkpoint, and the consistency proof from `old` to it.", media=PLAIN),
    parameters=(
        Parameter("old", "The size of a checkpoint that you have.", whole(0, 999_999_999), required=True),
        Parameter("epoch", "The epoch that it is of; without it the newest.", whole(0, 999_999_999)),
    ),
    errors=("not_found",),
)
async def show_consistency(call: Call) -> Response:
    """The proof that the newest published checkpoint continues the log as it was with `old` entries."""
    if "old" not in call.query:
        raise CallerError("parameter_invalid", "The query parameter old must name the size of a checkpoint.")
    old = number(call.query, "old", default=0, least=0, most=999_999_999)
    name = f"{call.doors.values.log_host}/log/{call.partner.log}"
    known = await call.doors.database.read(lambda session: log.epochs(session, name))
    if "epoch" in call.query:
        epoch = number(call.query, "epoch", default=0, least=0, most=999_999_999)
        known = tuple(one for one in known if one.head.origin == f"{name}/{epoch}")
    if not known or known[-1].checkpoint is None:
        raise not_found()
    size, origin = known[-1].checkpoint_size, known[-1].head.origin
    if old > size:
        text_of = f"The query parameter old must be at most {size}, the size of the published checkpoint."
        raise CallerError("parameter_invalid", text_of)
    text = await call.doors.shown.consistency(origin, old)
    return Response(text, 200, {"Cache-Control": "no-store"}, "text/plain; charset=utf-8")


def _takes_gzip(accepted: str) -> bool:
    """Whether a client says that it takes gzip. Source: RFC 9110, section 12.5.3."""
    for part in accepted.lower().split(","):
        coding, _, weight = part.strip().partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in _REFUSED
    return False


def _origin(call: Call) -> str:
    """The log's origin, if it is this caller's to read: its own partner's, or for operators any."""
    name, epoch = call.part("name"), epoch_of(call)
    if not _NAME.fullmatch(name):
        raise not_found()
    if call.owner is not None and call.owner.log != name:
        raise not_found()
    return f"{call.doors.values.log_host}/log/{name}/{epoch}"


def epoch_of(call: Call) -> str:
    """The epoch that the path names."""
    epoch = call.part("epoch")
    if not _EPOCH.fullmatch(epoch):
        raise not_found()
    return epoch


def epochs_begun(
    session: Session, name: str, *, are_asked: bool
) -> tuple[tuple[log.LogState, ...], dict[str, int]]:
    """A log in all its epochs, oldest first; and when each began, by origin, where that is asked."""
    known = log.epochs(session, name)
    begun = [one.head.origin for one in known if one.head.size and are_asked]
    return known, {origin: log.entry(session, origin, 0).at for origin in begun}
