"""POST events: from a request to a submission, from outcomes to an answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from starlette.responses import Response

from audit.ref import format_ref
from gateway.errors import AwayError, CallerError
from gateway.event import Content, Direction
from gateway.http import events_told as telling
from gateway.http.doors import event_cap
from gateway.http.guard import Call
from gateway.http.once import KEY_RULE, read_key
from gateway.http.parameters import flag
from gateway.http.problems import trouble_of_refusal
from gateway.http.reading import Body, read_body
from gateway.http.receipts import Manner, batch_trouble, preview_body, receipt_body, status_of, summarize
from gateway.http.told import tells
from gateway.http.words import json_response, plain_response
from gateway.ingress.accept import Submission
from gateway.ingress.content import TYPED, UNTYPED, Reading, Received
from gateway.ingress.draft import Unread
from gateway.ingress.form import NAMES, read_form
from gateway.ingress.outcome import Accepted, Failed, Outcome, Refused, Valid
from gateway.ingress.quotas import Entry
from gateway.ingress.refusals import Early

OFFERED = frozenset({"dry_run", "credential"}) | NAMES
BATCH_TYPES = frozenset({"application/x-ndjson", "application/cloudevents-batch+json"})
_ONCE = ("content-type", "content-length", "idempotency-key", "traceparent")


@dataclass(frozen=True, slots=True)
class _Prefer:
    lenient: bool
    minimal: bool


@tells(
    "sendEventOfType",
    "Send",
    "Send the data of events of one type",
    *telling.REPLIES,
    about=telling.OF_TYPE,
    parameters=telling.OF_TYPE_PARAMETERS,
    body=telling.OF_TYPE_BODY,
    errors=telling.ERRORS,
)
async def post_event_of_type(call: Call) -> Response:
    """The type is in the path: the body is the data."""
    return await _post(call, call.part("type"))


@tells(
    "sendEvent",
    "Send",
    "Send CloudEvents",
    *telling.REPLIES,
    about=telling.CLOUDEVENTS,
    parameters=telling.CLOUDEVENTS_PARAMETERS,
    body=telling.CLOUDEVENTS_BODY,
    errors=telling.ERRORS,
)
async def post_event(call: Call) -> Response:
    """No type in the path: the request is a CloudEvent."""
    return await _post(call, None)


async def _post(call: Call, event_type: str | None) -> Response:
    """Take events; what is refused before any of them is read is an entry of the partner's log too."""
    try:
        return await _take_within_quota(call, event_type)
    except CallerError as error:
        await _note(call, event_type, error.code)
        raise


async def _note(call: Call, event_type: str | None, code: str) -> None:
    if call.query.get("dry_run", "false") != "false":
        return
    partner, direction = call.partner.slug, _direction(call)
    # Any number of types can be invented.
    is_known = event_type is not None and call.snapshot.channel(partner, event_type, direction) is not None
    known = event_type if is_known else None
    await call.doors.refused(
        Early(partner, direction, known, code, call.known.method, call.known.credential.id)
    )


def _direction(call: Call) -> Direction:
    return "outbound" if call.named else "inbound"


async def _take_within_quota(call: Call, event_type: str | None) -> Response:
    """Our own side has no quota, but a credential of it may have a rate of its own."""
    verify_sendable(call)
    headers = read_headers(call)
    contract = call.snapshot.directory.contract(call.partner.slug)
    limits, rates = None if call.named or contract is None else contract.limits, call.known.rates
    if limits is None and not rates:
        return await _take(call, event_type, headers, Entry(None, 0.0))
    quotas, partner = call.doors.quotas, call.partner.slug
    most = call.doors.values.batch_events if essence_of(headers) in BATCH_TYPES else 1
    with quotas.enter(partner, limits, most=most, rates=rates) as entry:
        response = await _take(call, event_type, headers, entry)
    if told := quotas.headers(partner, limits, rates):
        response.headers.update(told)
    return response


async def _take(call: Call, event_type: str | None, headers: dict[str, str], entry: Entry) -> Response:
    prefer = _prefer(call.request.headers.getlist("prefer"))
    essence = essence_of(headers)
    form = read_form(essence, call.query)
    if isinstance(form, Refused):
        raise CallerError(form.code, form.detail)
    values = call.doors.values
    cap = event_cap(values, call.snapshot, call.partner.slug, is_batch=essence in BATCH_TYPES)
    with call.doors.arriving.body((call.partner.slug, call.named)) as arriving:

        def seen(piece: bytes) -> None:
            arriving.receive(piece)
            entry.receive(piece)

        body = await read_body(
            call.request, cap=cap.size, seconds=values.body_seconds, seen=seen, whose=cap.whose
        )
    received = Received(
        event_type,
        headers.get("content-type", ""),
        headers,
        body.plain,
        body.sent,
        body.coding,
        most=values.batch_events,
        form=form,
    )
    try:
        place = call.doors.crowd.place()
    except AwayError:
        # What is turned away now costs nothing of what was agreed.
        entry.spend(0, 0)
        raise
    with place:
        return await _take_whole(call, received, body, prefer, entry)


async def _take_whole(call: Call, received: Received, body: Body, prefer: _Prefer, entry: Entry) -> Response:
    """Take events whose body is here."""
    reading = await call.doors.ingress.read(received)
    # What is small on its way is as large as it becomes: that is what we check, keep and publish.
    size = max(len(body.sent), len(body.plain))
    entry.spend(1 if isinstance(reading, Refused) else max(1, len(reading.items)), size)
    if isinstance(reading, Refused):
        return await _refuse_whole(call, reading, received, body)
    if reading.batch and call.known.message_id is not None:
        # Its name is that of one event: without it, each replay of a captured message would be new.
        raise CallerError("media_type_unsupported", "A signed webhook brings one event.")
    if not reading.items:
        raise CallerError("body_malformed", "The batch holds no event.")
    origin = call.doors.values.origin
    manner = Manner(call.base, origin, prefer.minimal, prefer.lenient, flag(call.query, "dry_run"))
    submission = _submission(call, reading, manner, read_key(call.request))
    outcomes = await call.doors.ingress.accept(submission)
    return _answer(call, outcomes, manner, is_batch=reading.batch)


def _submission(call: Call, reading: Reading, manner: Manner, key: str | None) -> Submission:
    return Submission(
        partner=call.partner.slug,
        direction=_direction(call),
        items=reading.items,
        strict=reading.batch and not manner.lenient,
        dry_run=manner.dry_run,
        method=call.known.method,
        credential=call.known.credential.id,
        # A key names one request: it is no name of a batch's events, but those without one are told by it.
        idempotency_key=None if reading.batch else key,
        batch_key=key if reading.batch else None,
        # What our own side sends has our receipt; only a partner's signature proves something against it.
        signed=None if call.named else call.known.origin,
        message_id=None if reading.batch else call.known.message_id,
        send_types=call.known.send_types,
    )


def _answer(call: Call, outcomes: Sequence[Outcome], manner: Manner, *, is_batch: bool) -> Response:
    failed = next((one for one in outcomes if isinstance(one, Failed)), None)
    if failed is not None:
        return trouble_of_refusal(failed).response(manner.origin, call.request_id)
    applied = ["handling=lenient"] if manner.lenient and is_batch else []
    applied += ["return=minimal"] if manner.minimal else []
    headers = {"Preference-Applied": ", ".join(applied)} if applied else {}
    if is_batch:
        summary = summarize(outcomes, manner)
        if summary.status == 422:  # noqa: PLR2004 - nothing was taken
            return batch_trouble(summary).response(manner.origin, call.request_id)
        return json_response(summary.body, summary.status, headers)
    return _single(call, outcomes[0], manner, headers)


def _single(call: Call, outcome: Outcome, manner: Manner, headers: dict[str, str]) -> Response:
    status = status_of(outcome, dry_run=manner.dry_run)
    match outcome:
        case Accepted():
            ref = format_ref(outcome.ref)
            headers["Location"] = f"{manner.base}/history/{ref}"
            if manner.minimal:
                headers |= {"Gateway-Receipt": outcome.receipt, "Cache-Control": "no-store"}
                return Response(None, status, headers)
            body = receipt_body(outcome, ref, manner.base)
            return plain_response({**body, "dry_run": True} if manner.dry_run else body, status, headers)
        case Valid():
            if manner.minimal:
                return Response(None, status, headers)
            return json_response(preview_body(outcome), status, headers)
        case _:
            return trouble_of_refusal(outcome).response(manner.origin, call.request_id)


async def _refuse_whole(call: Call, refused: Refused, received: Received, body: Body) -> Response:
    """Answer for a body that holds no readable event; the refusal is an entry of the partner's log too."""
    trouble = trouble_of_refusal(refused)
    if refused.code == "media_type_unsupported":
        offered = UNTYPED if received.event_type is None else TYPED
        trouble = replace(trouble, headers={"Accept-Post": ", ".join(offered)})
        await _note(call, received.event_type, refused.code)
    elif not flag(call.query, "dry_run"):
        media_type = received.media_type[:128] or "application/json"
        unread = Unread(refused, Content(body.sent, media_type, body.coding))
        manner = Manner(call.base, "", minimal=False, lenient=True, dry_run=False)
        await call.doors.ingress.accept(_submission(call, Reading((unread,), batch=True), manner, None))
    return trouble.response(call.doors.values.origin, call.request_id)


def verify_sendable(call: Call) -> None:
    """Refuse what nobody may send now, or not like this.

    Raises:
        CallerError: `partner_suspended`, `signature_invalid`.
    """
    if call.partner.state in {"suspended", "closed"}:
        # Our own side's events: the guard lets none of the partner's come here.
        text = f"The partner is {call.partner.state}; nothing is taken for it."
        raise CallerError("partner_suspended", text)
    contract = call.snapshot.directory.contract(call.partner.slug)
    is_due = contract is not None and contract.authentication.require_signature and not call.named
    if is_due and call.known.origin is None:
        text = "The contract takes events only with the sender's own signature: RFC 9421, or webhooks' v1a."
        raise CallerError("signature_invalid", text, hint="Sign the request with a registered public key.")


def read_headers(call: Call) -> dict[str, str]:
    """Header fields by lower-case name; those that make an event stand once, and can be read."""
    found: dict[str, str] = {}
    for raw_name, raw in call.request.headers.raw:
        name = raw_name.decode("latin-1")
        if name in found and (name.startswith("ce-") or name in _ONCE):
            raise CallerError("request_malformed", f"The header {name[:40]} stands more than once.")
        if name == "idempotency-key" and not raw.isascii():
            # Read as two encodings it would be two keys, and a repeat another event.
            raise CallerError("request_malformed", KEY_RULE)
        if name == "content-type" and not raw.isascii():
            # And two media types: what is refused in one reading must not be taken in the other.
            raise CallerError("request_malformed", "The header content-type is not ASCII.")
        try:
            found[name] = raw.decode()
        except UnicodeDecodeError as error:
            if name.startswith("ce-"):
                text = f"The header {name[:40]} is not ASCII; percent-encode it as UTF-8."
                raise CallerError("request_malformed", text) from error
    return found


def essence_of(headers: dict[str, str]) -> str:
    """The media type of the body, without its parameters."""
    return headers.get("content-type", "").split(";", 1)[0].strip(" \t").lower()


def _prefer(headers: Sequence[str]) -> _Prefer:
    """The preferences that we know; the first of a kind wins. Source: RFC 7240, sections 2 and 4."""
    wanted: dict[str, str] = {}
    for header in headers:
        for preference in header.split(","):
            name, _, value = preference.split(";", 1)[0].partition("=")
            wanted.setdefault(name.strip().lower(), value.strip().strip('"').lower())
    return _Prefer(wanted.get("handling") == "lenient", wanted.get("return") == "minimal")
