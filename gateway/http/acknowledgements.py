"""A receiver's signed statement that it has a delivery."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from audit.ref import format_ref
from gateway import acknowledging
from gateway.egress.delivery import parse_delivery
from gateway.egress.statement import TOKEN_BYTES, verify_statement
from gateway.errors import CallerError
from gateway.http.deliveries_told import DELIVERY_ID
from gateway.http.guard import Call, not_found
from gateway.http.parameters import flag
from gateway.http.reading import read_body
from gateway.http.shapes import ref, text
from gateway.http.told import BODY_ERRORS, DRY_RUN, Body, shows, tells
from gateway.http.words import json_response
from gateway.instants import format_instant

OFFERED: Final = frozenset({"dry_run"})
JOSE: Final = "application/jose"
ABOUT: Final = (
    "A compact JWS. Header: `alg` (`EdDSA`, `ES256` or `PS512`, as the key has it) and `kid`, the credential "
    "with the public key. Payload: `webhook_id` and `content_sha256`, in hex, of the body as it came. It "
    "becomes an entry of the log (`delivery.acknowledged`) that proves, to anybody and without the gateway, "
    "that you have the event. The first one of a delivery counts; the same again says nothing new."
)


@tells(
    "acknowledgeDelivery",
    "Receive",
    "Prove that you have it",
    shows(ref("DeliveryAcknowledged"), "It is in the log.", status=201),
    shows(ref("DeliveryAcknowledged"), "It was acknowledged before; or as a dry run would have it."),
    about=ABOUT,
    parameters=(DELIVERY_ID, DRY_RUN),
    body=Body({JOSE: text("[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]+", most=TOKEN_BYTES)}),
    errors=(*BODY_ERRORS, "acknowledgement_invalid", "outcome_unknown"),
)
async def acknowledge_delivery(call: Call) -> Response:
    """Take a receiver's statement that it has a delivery."""
    pair, partner = parse_delivery(call.part("id")), call.partner
    log = f"{call.doors.values.log_host}/log/{partner.log}"
    if pair is None or not await call.doors.database.read(
        lambda session: acknowledging.is_known(session, log, partner.slug, pair)
    ):
        raise not_found()
    dry_run = flag(call.query, "dry_run")
    raw = await _read(call.request, seconds=call.doors.values.body_seconds)
    now = call.doors.honest()
    directory = call.doors.catalog.current.directory
    said = verify_statement(raw, directory, partner.slug, endpoint=pair[0], ref=pair[1], now=now)
    found = await call.doors.administration.change(
        lambda session, scribe: acknowledging.acknowledge(session, scribe, partner, pair, said, now=now),
        dry_run=dry_run,
    )
    item: dict[str, object] = {
        "id": call.part("id"),
        "webhook_id": format_ref(pair[1]),
        "endpoint": pair[0],
        "credential": found.credential,
        "acknowledged_at": format_instant(found.at),
    }
    if dry_run:
        item["dry_run"] = True
    return json_response(item, 201 if found.is_new and not dry_run else 200)


async def _read(request: Request, *, seconds: float) -> bytes:
    essence = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if essence != JOSE:
        accepted = {"headers": {"Accept-Post": JOSE}}
        raise CallerError("media_type_unsupported", f"This route takes {JOSE}.", members=accepted)
    body = await read_body(request, cap=TOKEN_BYTES, seconds=seconds)
    return body.plain.strip()
