"""Try an endpoint: prove its owner, or send it a sample and show the answer."""

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.responses import Response

from gateway import operational
from gateway.administration.desk import Administration
from gateway.administration.endpoints import Asked
from gateway.administration.evidence import ProbeSeen
from gateway.channels import Channel
from gateway.egress.probing import VERIFICATION, Probe, Purpose, Sample, echoed
from gateway.errors import CallerError
from gateway.event import Direction
from gateway.http.endpoint_items import probe_item
from gateway.http.endpoints import ENDPOINT_ID, WRITE_ERRORS, asked_of, done_of, endpoints_of, find
from gateway.http.guard import Call, find_surely, not_found
from gateway.http.once import ERRORS as ONCE_ERRORS
from gateway.http.once import KEY, REPLAYED, Done, once
from gateway.http.reading import read_members
from gateway.http.shapes import ref
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, Body, shows, tells
from partners.endpoint import Endpoint
from partners.endpoint_changes import EndpointEdit
from schemas.sample import sample


@tells(
    "verifyEndpoint",
    "Endpoints",
    "Prove whose an endpoint is",
    shows(
        ref("Endpoint"), "Active, now or before.", ETag="Names it as it is now.", Idempotent_Replayed=REPLAYED
    ),
    about=f"Without a `challenge` a signed `{VERIFICATION}` event is sent to it. It proves its owner by "
    "sending `data.challenge` back in the body of its 2xx answer, as the member `challenge` of a JSON object "
    "or as plain text; or whoever finds the challenge in the receiver's log posts it here. A challenge is "
    "good for a day, and for this URL.",
    parameters=(ENDPOINT_ID, DRY_RUN, KEY),
    body=Body({JSON: ref("VerifyWanted")}, required=False),
    errors=(*BODY_ERRORS, *WRITE_ERRORS, "endpoint_verification_failed"),
)
async def verify_endpoint(call: Call) -> Response:
    """Ask whoever is at the URL to prove it, or take the proof. A dry run sends nothing."""
    endpoint = await find(call)
    seconds = call.doors.values.body_seconds
    members = await read_members(call.request, ("challenge",), seconds=seconds, may_lack=True)
    challenge = members.get("challenge")
    if challenge is not None and not isinstance(challenge, str):
        raise CallerError("parameter_invalid", "The member challenge must be the text that was sent.")
    asked = asked_of(call)
    return await once(
        call,
        members,
        lambda desk: _verify(call, desk, endpoint, asked, challenge),
        lambda edit: done_of(call, edit, dry_run=asked.dry_run),
    )


async def _verify(
    call: Call, desk: Administration, endpoint: Endpoint, asked: Asked, challenge: str | None
) -> EndpointEdit:
    doors = call.doors
    if endpoint.state != "unverified" or (asked.dry_run and challenge is None):
        return EndpointEdit("unchanged", endpoint, endpoint)
    if challenge is None:
        probe = await _ask(call, endpoint, asked)
        challenge = echoed(probe.answer)
        failed = {"probe": probe_item(probe)}
    else:
        failed = {}
    if not doors.probing.challenges.is_met(endpoint, challenge, doors.clock()):
        text = (
            "The challenge is not that of this endpoint and URL, or is more than a day old."
            if not failed
            else "The endpoint did not send the challenge back; it may be posted here as well."
        )
        raise CallerError("endpoint_verification_failed", text, members=failed)
    return await endpoints_of(call, desk).mark_verified(asked, endpoint.url)


async def _ask(call: Call, endpoint: Endpoint, asked: Asked) -> Probe:
    doors, origin = call.doors, call.doors.values.origin
    data = {
        "endpoint": endpoint.id,
        "challenge": doors.probing.challenges.make(endpoint, doors.clock()),
        "verify": f"{origin}/v1/endpoints/{endpoint.id}/verify",
    }
    text = json.dumps(data, separators=(",", ":")).encode()
    return await _probe(call, endpoint, "verification", Sample(VERIFICATION, text), asked)


@tells(
    "testEndpoint",
    "Endpoints",
    "Send an endpoint a sample, and see the answer",
    shows(ref("Probe"), "What was sent, and what came back within its time.", Idempotent_Replayed=REPLAYED),
    shows(ref("ProbePreview"), "A dry run: what would be sent.", status=202),
    about="A sample of the type, in the endpoint's format and with its signatures, marked by the attribute "
    "`gatewayprobe: test`; to an endpoint in any state, its filter not asked. It is tried once, changes "
    "nothing, and is an entry of the log.",
    parameters=(ENDPOINT_ID, DRY_RUN, KEY),
    body=Body({JSON: ref("TestWanted")}, required=False),
    errors=(*BODY_ERRORS, *ONCE_ERRORS, "outcome_unknown", "event_type_unknown", "schema_invalid"),
)
async def try_endpoint(call: Call) -> Response:
    """Send a sample of a type, and show the answer. A dry run sends nothing."""
    endpoint = await find(call)
    seconds = call.doors.values.body_seconds
    members = await read_members(call.request, ("type",), seconds=seconds, may_lack=True)
    asked = asked_of(call)
    made = await _sample(call, endpoint, members)
    if asked.dry_run:
        body = {"purpose": "test", "type": made.event_type, "dry_run": True}
        return Done(body, 202).response()
    return await once(
        call,
        members,
        lambda _: _probe(call, endpoint, "test", made, asked),
        lambda probe: Done({**probe_item(probe), "endpoint": endpoint.id}),
    )


async def _probe(call: Call, endpoint: Endpoint, purpose: Purpose, made: Sample, asked: Asked) -> Probe:
    """Send, and enter what came of it into the partner's log before anybody hears of it."""
    doors = call.doors
    doors.honest()  # what is sent is signed with the time
    with doors.probing.turns.turn(endpoint.owner, endpoint.id):
        probe = await doors.probing.prober.probe(endpoint, purpose, made)
    answer = probe.answer
    seen = ProbeSeen(
        endpoint=endpoint,
        purpose=purpose,
        webhook_id=probe.webhook_id,
        event_type=probe.event_type,
        content_sha256=probe.content_sha256,
        content_length=probe.content_length,
        status=answer.status,
        failure=answer.failure,
        ms=answer.ms,
        answer_sha256=answer.body_sha256 or None,
    )
    await endpoints_of(call, doors.administration).note_probe(call.partner, seen, asked.by)
    return probe


async def _sample(call: Call, endpoint: Endpoint, members: Mapping[str, Any]) -> Sample:
    """A sample of the type that is asked for, else of the first that goes there."""
    wanted, channel = await find_surely(call, lambda known: _type_of_sample(known, endpoint, members))
    kind = operational.kind_of(wanted)
    address = ""
    if channel is not None:
        newest = channel.versions[0]
        make = partial(sample, newest.schema.root, flavour=channel.line.terms.json)
        address = f"{call.doors.values.origin}/v1/schemas/{newest.schema_id}"
    elif kind is not None:
        make = partial(sample, kind.schema.root, flavour="plain")
    else:
        raise not_found()
    # On a thread: the largest schema that is taken keeps one busy for half a second.
    written = await asyncio.get_running_loop().run_in_executor(None, make)
    data = json.dumps(json.loads(written), ensure_ascii=False, separators=(",", ":")).encode()
    return Sample(wanted, data, address)


def _type_of_sample(call: Call, endpoint: Endpoint, members: Mapping[str, Any]) -> tuple[str, Channel | None]:
    """The type, and its channel; None: one of the gateway's own."""
    direction: Direction = "inbound" if call.of_house else "outbound"
    known = {one.event_type: one for one in call.snapshot.channels(call.partner.slug, direction)}
    names = [*sorted(known), *operational.types()]
    wanted = members.get("type") or next((name for name in names if endpoint.listens_to(name)), None)
    if not isinstance(wanted, str) or wanted not in names:
        text = f"There is no such type to be sent; those that it may get are: {', '.join(names)}."
        raise CallerError("event_type_unknown", text)
    return wanted, known.get(wanted)
