"""Signing secrets of an endpoint: list, add, remove. A value that was made here is in one answer, once."""

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from gateway.errors import CallerError
from gateway.http.endpoint_items import secret_item
from gateway.http.endpoints import ENDPOINT_ID, IF_MATCH, WRITE_ERRORS, asked_of, dry, endpoints_of, find
from gateway.http.guard import Call
from gateway.http.once import KEY, REPLAYED, Done, once
from gateway.http.pages import page_response
from gateway.http.reading import read_members
from gateway.http.shapes import ref, text
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, PAGED, Body, Parameter, shows, tells
from gateway.standard_webhooks import WebhookSecretError, parse_secret
from partners.endpoint_changes import MOST_OVERLAP_MS, USUAL_OVERLAP_MS, EndpointEdit, etag_of

_SPAN: Final = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SECRET_ID: Final = Parameter(
    "sid", "A secret.", text("sec_[a-z2-7]+"), place="path", example="sec_aaaaaaaaaaaaaaaaaaaaaaaaaa"
)


@tells(
    "listEndpointSecrets",
    "Endpoints",
    "The signing secrets of an endpoint",
    shows(ref("EndpointSecretPage"), "Without their values.", Link="The next page."),
    parameters=(ENDPOINT_ID, *PAGED),
    errors=("cursor_invalid",),
)
async def list_secrets(call: Call) -> Response:
    """The signing secrets of an endpoint; never their values."""
    owner, wanted, now = call.endpoints_owner, call.part("id"), call.doors.clock()

    found = await find(call)
    return page_response(
        call,
        found.secrets,
        key=lambda one: one.id,
        item=lambda one: secret_item(one, now),
        bound=("secrets", owner, wanted),
    )


@tells(
    "createEndpointSecret",
    "Endpoints",
    "Give an endpoint another signing secret",
    shows(
        ref("EndpointSecretMade"),
        "It signs from now on; its value is in this answer, and nowhere else, unless it is yours.",
        status=201,
        ETag="Names the endpoint as it is now.",
        Idempotent_Replayed=REPLAYED,
    ),
    shows(ref("EndpointSecretPreview"), "A dry run: what would be made."),
    about="The older ones sign beside it for as long as `overlap` says, then stop by themselves.",
    parameters=(ENDPOINT_ID, DRY_RUN, KEY, IF_MATCH),
    body=Body({JSON: ref("EndpointSecretWanted")}),
    errors=(*BODY_ERRORS, *WRITE_ERRORS, "precondition_failed"),
)
async def create_secret(call: Call) -> Response:
    """Give an endpoint another signing secret. A dry run gives none."""
    await find(call)
    members = await read_members(call.request, ("overlap", "secret"), seconds=call.doors.values.body_seconds)
    asked, overlap, secret = asked_of(call), _overlap(members), _secret(members)
    return await once(
        call,
        members,
        lambda desk: endpoints_of(call, desk).add_secret(asked, secret, overlap),
        lambda edit: _made(call, edit, dry_run=asked.dry_run),
    )


@tells(
    "removeEndpointSecret",
    "Endpoints",
    "Let a signing secret sign nothing more",
    shows(
        ref("EndpointSecretPage"),
        "Those that are left.",
        ETag="Names the endpoint as it is now.",
        Idempotent_Replayed=REPLAYED,
    ),
    parameters=(ENDPOINT_ID, _SECRET_ID, DRY_RUN, KEY, IF_MATCH),
    errors=(*WRITE_ERRORS, "precondition_failed"),
)
async def remove_secret(call: Call) -> Response:
    """Let a signing secret sign nothing more, at once. A dry run removes none."""
    asked, wanted = asked_of(call), call.part("sid")
    return await once(
        call,
        {},
        lambda desk: endpoints_of(call, desk).remove_secret(asked, wanted),
        lambda edit: _left(call, edit, dry(asked)),
    )


def _made(call: Call, edit: EndpointEdit, *, dry_run: bool) -> Done:
    item = secret_item(edit.endpoint.secrets[0], call.doors.clock())
    if dry_run:
        del item["id"]
        return Done({**item, "dry_run": True})
    headers = {"ETag": etag_of(edit.endpoint)}
    if edit.secret is None:
        return Done(item, 201, headers)
    return Done({**item, "secret": edit.secret}, 201, headers, frozenset({"secret"}))


def _left(call: Call, edit: EndpointEdit, told: Mapping[str, bool]) -> Done:
    now = call.doors.clock()
    items = [secret_item(one, now) for one in edit.endpoint.secrets]
    headers = {} if told else {"ETag": etag_of(edit.endpoint)}
    return Done({"items": items, "next": None, **told}, headers=headers)


def _overlap(members: Mapping[str, Any]) -> int:
    given = members.get("overlap")
    if given is None:
        return USUAL_OVERLAP_MS
    found = _SPAN.fullmatch(given) if isinstance(given, str) else None
    overlap = -1 if found is None else int(found[1]) * _UNITS_MS[found[2]]
    if not 0 <= overlap <= MOST_OVERLAP_MS:
        raise CallerError("parameter_invalid", "The member overlap must be a span up to 7d, such as 24h.")
    return overlap


def _secret(members: Mapping[str, Any]) -> bytes | None:
    given = members.get("secret")
    if given is None:
        return None
    if not isinstance(given, str):
        raise WebhookSecretError("The member secret must be a text that starts with whsec_.")
    return parse_secret(given)
