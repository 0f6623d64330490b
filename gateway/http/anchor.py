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
from gateway.http.parameters import flag
from gateway.http.shapes import BINARY, FLAG, TEXT
from gateway.http.told import PLAIN, Parameter, shows, tells
from gateway.sequencer.territory import anchor_log

KEYS_OFFERED: Final = frozenset({"ended"})
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
    parameters=(
        Parameter(
            "ended",
            "Those that have ended, too, and of earlier epochs: what the lines `log` of a policy take.",
            {**FLAG, "default": False},
        ),
    ),
)
async def show_anchor_keys(call: Call) -> Response:
    """The keys that sign the anchor, or will soon, in its newest epoch; asked for, all that ever did."""
    name, is_whole = anchor_log(call.doors.values.log_host), flag(call.query, "ended")
    known = await call.doors.database.read(lambda session: log.epochs(session, name))
    epochs = [one.head.origin for one in reversed(known)] or [f"{name}/1"]
    ring = call.doors.keys()
    # One that was frozen counts for nothing; one that is published signs soon, and may be named before.
    ended = {key.id for key in ring.known if key.state(ring.at) == "retired"}
    keys = [key for key_id, key in ring.trusted("anchor").items() if is_whole or key_id not in ended]
    shown = [VerifierKey(origin, key) for origin in epochs for key in keys]
    return _plain("".join(f"{key}\n" for key in (shown if is_whole else shown[: len(keys)])))


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
