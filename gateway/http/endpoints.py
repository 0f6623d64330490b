"""Endpoints: list, show, make, change, remove, pause, resume. A new one's secret is in one answer, once."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, get_args

from starlette.responses import Response

from gateway.administration.desk import Administration
from gateway.administration.endpoints import Asked, Backlog, Endpoints
from gateway.administration.evidence import Author
from gateway.egress import health, traces
from gateway.errors import CallerError
from gateway.http import pages
from gateway.http.endpoint_items import endpoint_item, health_item, listed_item
from gateway.http.guard import Call, not_found
from gateway.http.once import ERRORS as ONCE_ERRORS
from gateway.http.once import KEY, REPLAYED, Done, once
from gateway.http.parameters import flag, parse_instant, words
from gateway.http.reading import read_members
from gateway.http.shapes import FLAG, ref, text
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, PAGED, Body, Parameter, shows, tells
from gateway.http.words import json_response
from partners import store
from partners.endpoint import Endpoint, EndpointState
from partners.endpoint_changes import EndpointEdit, etag_of
from partners.pages import EndpointsWanted, endpoints

OFFERED: Final = frozenset({"dry_run"})
FILTERS: Final = ("state", "failing")
LIST_OFFERED: Final = pages.OFFERED | frozenset(FILTERS)
MEMBERS: Final = (
    "name",
    "url",
    "events",
    "filter",
    "format",
    "headers",
    "order",
    "concurrency",
    "rate",
    "retry",
    "auth",
)
ENDPOINT_ID: Final = Parameter(
    "id", "An endpoint.", text("ep_[a-z2-7]+"), place="path", example="ep_aaaaaaaaaaaaaaaaaaaaaaaaaa"
)
IF_MATCH: Final = Parameter(
    "If-Match", "The endpoint's `ETag` that you have seen.", text('(\\*|"[0-9a-f]{16}")'), place="header"
)
WRITE_ERRORS: Final = (*ONCE_ERRORS, "outcome_unknown", "state_conflict")
_ETAG: Final = re.compile(r'"[0-9a-f]{16}"', re.ASCII)
_TAG: Final = "Names it as it is now, for `If-Match`."
_INVALID: Final = ("endpoint_invalid", "endpoint_address_denied")


@tells(
    "listEndpoints",
    "Endpoints",
    "The endpoints",
    shows(ref("EndpointPage"), "By id, those of the contract file too.", Link="The next page."),
    about="`failing_since`: since when no attempt has succeeded; null: the last one did, or there was none.",
    parameters=(
        Parameter(
            "state", "One state, or several with commas.", text("[a-z]+(,[a-z]+)*"), example="paused,disabled"
        ),
        Parameter("failing", "Only those that are failing.", {**FLAG, "default": False}),
        *PAGED,
    ),
    errors=("cursor_invalid",),
)
async def list_endpoints(call: Call) -> Response:
    """The partner's endpoints, by id."""
    owner, unseal = call.endpoints_owner, call.doors.probing.unseal
    states = frozenset(words(call.query, "state", get_args(EndpointState)) or ())
    failing = await call.doors.database.read(traces.load_failing) if flag(call.query, "failing") else None
    wanted = EndpointsWanted(owner, states, failing)
    bound = ("endpoints", owner, *pages.filtered(call, FILTERS))
    shown, following = await pages.by_id(
        call, bound, lambda session, after, most: endpoints(session, wanted, after=after, limit=most)
    )
    if failing is None:
        ids = [one.id for one in shown]
        failing = await call.doors.database.read(lambda session: traces.load_failing(session, ids))
    items = [listed_item(one, unseal, failing.get(one.id)) for one in shown]
    return pages.sealed_page(call, items, bound, following)


@tells(
    "showEndpoint",
    "Endpoints",
    "One endpoint, and how it is doing",
    shows(ref("EndpointShown"), "What was asked of it, its state, and its health.", ETag=_TAG),
    about="`health` counts attempts of the last 24 hours by what became of them; these numbers are told, not "
    "proved: each attempt is an entry of the log.",
    parameters=(ENDPOINT_ID,),
)
async def show_endpoint(call: Call) -> Response:
    """One endpoint, with its health."""
    owner, wanted, now = call.endpoints_owner, call.part("id"), call.doors.clock()

    found = await call.doors.database.read(lambda session: health.look(session, owner, wanted, now=now))
    if found is None:
        raise not_found()
    endpoint, how = found
    body = {**endpoint_item(endpoint, call.doors.probing.unseal), "health": health_item(how)}
    return json_response(body, headers={"ETag": etag_of(endpoint)})


@tells(
    "createEndpoint",
    "Endpoints",
    "Make an endpoint",
    shows(
        ref("EndpointMade"),
        "Made; its signing secret is in this answer, and nowhere else.",
        status=201,
        Location="It.",
        ETag=_TAG,
        Idempotent_Replayed=REPLAYED,
    ),
    shows(ref("EndpointPreview"), "A dry run: what would be made."),
    about="It is `unverified` and gets nothing until its owner is proved, unless the contract says "
    "`verification: none`; what comes meanwhile waits.",
    parameters=(DRY_RUN, KEY),
    body=Body({JSON: ref("EndpointWanted")}),
    errors=(*BODY_ERRORS, *WRITE_ERRORS, *_INVALID, "limit_reached"),
)
async def create_endpoint(call: Call) -> Response:
    """Make an endpoint. A dry run makes none."""
    members = await read_members(call.request, MEMBERS, seconds=call.doors.values.body_seconds)
    asked = asked_of(call, "")
    return await once(
        call,
        members,
        lambda desk: endpoints_of(call, desk).create(asked, members),
        lambda edit: _made(call, edit, dry_run=asked.dry_run),
    )


def _made(call: Call, edit: EndpointEdit, *, dry_run: bool) -> Done:
    item = endpoint_item(edit.endpoint, call.doors.probing.unseal)
    if dry_run:
        # Whoever makes it gets another.
        del item["id"]
        return Done({**item, "dry_run": True})
    headers = {
        "Location": f"{call.base}/{'house-' * call.of_house}endpoints/{edit.endpoint.id}",
        "ETag": etag_of(edit.endpoint),
    }
    return Done({**item, "secret": edit.secret}, 201, headers, frozenset({"secret"}))


@tells(
    "changeEndpoint",
    "Endpoints",
    "Change an endpoint",
    shows(
        ref("Endpoint"),
        "As it is now; or, of a dry run, as it would be.",
        ETag=_TAG,
        Idempotent_Replayed=REPLAYED,
    ),
    about="Members that are not there stay as they are; null is as if nothing were said. Another `url` makes "
    "it `unverified`, where owners are to be proved. What stands in the contract file is changed there.",
    parameters=(ENDPOINT_ID, DRY_RUN, KEY, IF_MATCH),
    body=Body({JSON: ref("EndpointChange")}),
    errors=(*BODY_ERRORS, *WRITE_ERRORS, *_INVALID, "precondition_failed"),
)
async def change_endpoint(call: Call) -> Response:
    """Change some of what is asked of an endpoint. A dry run changes nothing."""
    await find(call)
    members = await read_members(call.request, MEMBERS, seconds=call.doors.values.body_seconds)
    if not members:
        raise CallerError("parameter_invalid", f"Say what changes: {', '.join(MEMBERS)}.")
    asked = asked_of(call)
    return await once(
        call,
        members,
        lambda desk: endpoints_of(call, desk).change(asked, members),
        lambda edit: done_of(call, edit, dry_run=asked.dry_run),
    )


@tells(
    "removeEndpoint",
    "Endpoints",
    "Remove an endpoint",
    shows(ref("Endpoint"), "As it was.", Idempotent_Replayed=REPLAYED),
    about="What waits for it is parked, and told in the history; it is never sent.",
    parameters=(ENDPOINT_ID, DRY_RUN, KEY, IF_MATCH),
    errors=(*WRITE_ERRORS, "precondition_failed"),
)
async def remove_endpoint(call: Call) -> Response:
    """Remove an endpoint, for ever. A dry run removes none."""
    asked = asked_of(call)
    return await once(
        call,
        {},
        lambda desk: endpoints_of(call, desk).remove(asked),
        lambda edit: Done({**endpoint_item(edit.endpoint, call.doors.probing.unseal), **dry(asked)}),
    )


@tells(
    "pauseEndpoint",
    "Endpoints",
    "Pause an endpoint",
    shows(ref("EndpointMoved"), "Paused, now or before.", ETag=_TAG, Idempotent_Replayed=REPLAYED),
    about="Nothing is sent to it until it is resumed; what comes meanwhile waits.",
    parameters=(ENDPOINT_ID, DRY_RUN, KEY, IF_MATCH),
    errors=(*WRITE_ERRORS, "precondition_failed"),
)
async def pause_endpoint(call: Call) -> Response:
    """Send nothing until it is resumed. A dry run pauses nothing."""
    asked = asked_of(call)
    return await once(
        call,
        {},
        lambda desk: endpoints_of(call, desk).pause(asked),
        lambda edit: _moved(call, edit, asked),
    )


@tells(
    "resumeEndpoint",
    "Endpoints",
    "Resume an endpoint",
    shows(ref("EndpointMoved"), "Active again.", ETag=_TAG, Idempotent_Replayed=REPLAYED),
    about="`backlog` says what becomes of what waits: `deliver` sends all of it, `skip` gives up what was "
    "recorded before now, `{since}` what was recorded before then. What is given up is cancelled, each "
    "delivery with an entry in the log. `skipped`: how many that are, at most.",
    parameters=(ENDPOINT_ID, DRY_RUN, KEY, IF_MATCH),
    body=Body({JSON: ref("ResumeWanted")}),
    errors=(*BODY_ERRORS, *WRITE_ERRORS, "precondition_failed", "broker_unavailable"),
)
async def resume_endpoint(call: Call) -> Response:
    """Go on with an endpoint, with its backlog or without it. A dry run resumes nothing."""
    await find(call)
    members = await read_members(call.request, ("backlog",), seconds=call.doors.values.body_seconds)
    asked, backlog, partner = asked_of(call), _backlog(members, call.doors.clock()), call.partner
    return await once(
        call,
        members,
        lambda desk: endpoints_of(call, desk).resume(asked, partner, backlog),
        lambda edit: _moved(call, edit, asked),
    )


def _moved(call: Call, edit: EndpointEdit, asked: Asked) -> Done:
    before = edit.endpoint.state if edit.before is None else edit.before.state
    counts = {"before": before, "waiting": edit.waiting, "skipped": edit.skipped}
    done = done_of(call, edit, dry_run=asked.dry_run)
    return replace(done, body={**done.body, **counts})


def done_of(call: Call, edit: EndpointEdit, *, dry_run: bool) -> Done:
    """The endpoint as it is after a change."""
    item = endpoint_item(edit.endpoint, call.doors.probing.unseal)
    if dry_run:
        return Done({**item, "dry_run": True})
    return Done(item, headers={"ETag": etag_of(edit.endpoint)})


async def find(call: Call) -> Endpoint:
    """The endpoint in the path: before the body is judged, so that a foreign one is just not found.

    Raises:
        CallerError: `not_found`.
    """
    owner, wanted = call.endpoints_owner, call.part("id")
    for one in await call.doors.database.read(lambda session: store.endpoints(session, owner)):
        if one.id == wanted:
            return one
    raise not_found()


def asked_of(call: Call, endpoint_id: str | None = None) -> Asked:
    """Which endpoint a change is asked of, and under which conditions.

    Raises:
        CallerError: `request_malformed`, `parameter_invalid`.
    """
    given = call.request.headers.get("if-match", "*").strip()
    if given != "*" and _ETAG.fullmatch(given) is None:
        raise CallerError("request_malformed", "If-Match must be the ETag of the endpoint, as it was told.")
    return Asked(
        call.endpoints_owner,
        call.part("id") if endpoint_id is None else endpoint_id,
        Author(call.known.role, call.known.credential.id),
        None if given == "*" else given,
        flag(call.query, "dry_run"),
    )


def endpoints_of(call: Call, desk: Administration) -> Endpoints:
    """The endpoints' part of a desk."""
    return Endpoints(desk, call.doors.probing.policy)


def dry(asked: Asked) -> dict[str, bool]:
    """What a dry run says of itself."""
    return {"dry_run": True} if asked.dry_run else {}


def _backlog(members: Mapping[str, Any], now: int) -> Backlog:
    match members.get("backlog"):
        case "deliver":
            return Backlog("deliver")
        case "skip":
            return Backlog("skip")
        case {"since": str(since), **rest} if not rest:
            return Backlog("since", parse_instant(since, "since", now))
        case _:
            wanted = 'Say what becomes of what waits: {"backlog": "deliver"}, "skip", or {"since": time}.'
            raise CallerError("parameter_invalid", wanted)
