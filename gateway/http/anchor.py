"""The anchor, for anybody: its newest checkpoint with cosignatures, its keys, its tiles.

Source: C2SP tlog-tiles.
"""

from typing import Final

from starlette.responses import Response

from audit import log
from audit.note import VerifierKey
from gateway.anchoring.opening import checkpoint_of, served_anchor
from gateway.http.guard import Call, not_found
from gateway.http.log import epoch_of, tile_response
from gateway.http.shapes import BINARY, TEXT
from gateway.http.told import PLAIN, shows, tells
from gateway.sequencer.territory import anchor_log

_SHORT: Final = {"Cache-Control": "public, max-age=5"}
_PLAIN: Final = "text/plain; charset=utf-8"


@tells(
    "showAnchor",
    "Open",
    "The newest checkpoint of the anchor",
    shows(TEXT, "A signed note (C2SP tlog-checkpoint), with the cosignatures that it has.", media=PLAIN),
    errors=("not_found",),
)
async def show_anchor(call: Call) -> Response:
    """The newest published checkpoint of the anchor, with the cosignatures of witnesses."""
    host = call.doors.values.log_host
    return _note(await call.doors.database.read(lambda session: served_anchor(session, host)))


@tells(
    "showAnchorKeys",
    "Open",
    "The keys that sign the anchor",
    shows(
        TEXT,
        "Verifier keys (C2SP signed-note), a line each: what `gateway witness --log` takes.",
        media=PLAIN,
    ),
)
async def show_anchor_keys(call: Call) -> Response:
    """The keys that sign the anchor, or will soon, in its newest epoch."""
    name = anchor_log(call.doors.values.log_host)
    known = await call.doors.database.read(lambda session: log.epochs(session, name))
    origin = known[-1].head.origin if known else f"{name}/1"
    ring = call.doors.keys()
    # One that was frozen counts for nothing; one that is published signs soon, and may be named before.
    ended = {key.id for key in ring.known if key.state(ring.at) == "retired"}
    keys = [key for key_id, key in ring.trusted("anchor").items() if key_id not in ended]
    return _plain("".join(f"{VerifierKey(origin, key)}\n" for key in keys))


@tells(
    "showAnchorCheckpoint",
    "Open",
    "The newest checkpoint of one epoch of the anchor",
    shows(TEXT, "A signed note (C2SP tlog-checkpoint), with the cosignatures that it has.", media=PLAIN),
    errors=("not_found",),
)
async def show_anchor_checkpoint(call: Call) -> Response:
    """The newest published checkpoint of one epoch of the anchor."""
    origin = _origin(call)
    return _note(await call.doors.database.read(lambda session: checkpoint_of(session, origin)))


@tells(
    "showAnchorTile",
    "Open",
    "A tile of hashes of the anchor, or a bundle of its entries",
    shows(BINARY, "As C2SP tlog-tiles says; its bytes never change.", media="application/octet-stream"),
    errors=("not_found",),
)
async def show_anchor_tile(call: Call) -> Response:
    """A tile of hashes of the anchor, or a bundle of its entries."""
    return await tile_response(call, _origin(call), scope="public")


def _origin(call: Call) -> str:
    return f"{anchor_log(call.doors.values.log_host)}/{epoch_of(call)}"


def _note(text: str | None) -> Response:
    if text is None:
        raise not_found()
    return _plain(text)


def _plain(text: str) -> Response:
    return Response(text, 200, _SHORT, _PLAIN)
