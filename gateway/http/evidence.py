"""Everything that proves what happened to an event, in one archive: what `gateway verify` takes."""

from dataclasses import replace
from typing import Final

from sqlmodel import Session
from starlette.responses import Response

from audit.bundle import write_tar
from audit.ref import parse_ref
from gateway.anchoring.opening import anchored_files
from gateway.bundling import Gathered, Whose, gather
from gateway.errors import CallerError
from gateway.http.guard import Call, not_found
from gateway.http.history import ONE_OFFERED, patiently
from gateway.http.shapes import BINARY
from gateway.http.told import WAIT, shows, tells

MEDIA: Final = "application/x-tar"
OFFERED: Final = ONE_OFFERED


@tells(
    "showEvidence",
    "History",
    "Everything that proves what happened to an event",
    shows(
        BINARY,
        "A bundle: the receipt, each entry of the log with evidence and proof, and what they name.",
        media=MEDIA,
        Content_Disposition="`attachment`.",
    ),
    about=(
        "For `gateway verify` and `python -m audit verify`, which say what of it is proved. With `wait`: "
        "once a published checkpoint covers the event."
    ),
    parameters=(WAIT,),
    errors=("proof_pending",),
)
async def show_evidence(call: Call) -> Response:
    """The bundle of an event, once its first entry is under a published checkpoint."""
    ref = parse_ref(call.part("ref"))
    if ref is None:
        raise not_found()
    whose = Whose(call.partner.slug, f"{call.doors.values.log_host}/log/{call.partner.log}")
    keys, cosigned = call.doors.keys(), call.doors.shown.cosigned

    def gathered(session: Session) -> Gathered:
        found = gather(session, whose, ref, keys, cosigned)
        anchored = anchored_files(session, call.doors.values.log_host, whose.log, found.files)
        return replace(found, files={**found.files, **anchored})

    async def look() -> Gathered:
        return await call.doors.database.read(gathered)

    found = await patiently(call, look, lambda one: bool(one.files))
    if not found.is_known:
        raise not_found()
    if not found.files:
        raise CallerError(
            "proof_pending",
            "The log's next published checkpoint will cover this event.",
            hint="Ask again with ?wait=20.",
        )
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{call.part("ref")}.tar"',
    }
    return Response(write_tar(found.files), 200, headers, MEDIA)
