"""Who I am, and what was agreed: `/v1/me` and the contract."""

import re
from typing import Any, Final

from starlette.responses import Response

from audit.note import VerifierKey
from gateway.administration.standing import etag_of
from gateway.http.guard import Call, not_found
from gateway.http.log import epochs_begun
from gateway.http.pages import page_response
from gateway.http.shapes import ref
from gateway.http.told import PAGED, shows, tells
from gateway.http.words import json_response
from gateway.instants import format_instant
from gateway.keys import KeyRing
from partners import store
from partners.contract import ContractFile, Limits
from partners.credential import FOR_EVER
from partners.endpoint_changes import MOST_ENDPOINTS
from partners.partner import Partner

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_NEWEST: Final = 9_999_999_999


@tells(
    "showMe",
    "Contract and types",
    "Who am I",
    shows(ref("Me"), "The caller, its partner and log, and the server's time."),
)
async def show_me(call: Call) -> Response:
    """The caller: role, scopes, what it may send, partner, its log; and the server's time, for clocks."""
    caller = call.known
    credential = caller.credential
    body: dict[str, object] = {
        "role": caller.role,
        "scopes": sorted(caller.scopes),
        "send_types": None if caller.send_types is None else sorted(caller.send_types),
        "events_per_second": caller.events_per_second,
        "credential": {
            "id": credential.id,
            "name": credential.name,
            "expires_at": None if credential.not_after >= FOR_EVER else format_instant(credential.not_after),
        },
        "server_time": format_instant(call.doors.clock()),
        "origin": call.doors.values.origin,
        "partner": None,
    }
    if call.owner is not None:
        body |= await _partner(call, call.owner)
    return json_response(body)


@tells(
    "showContract",
    "Contract and types",
    "The contract in force",
    shows(
        ref("ContractShown"),
        "The contract file, and the files that it names; for our own side the partner's topics, too.",
        ETag="The partner's state, and its revision.",
    ),
    errors=("not_found",),
)
async def show_contract(call: Call) -> Response:
    """The contract in force, with the files it names."""
    contract = call.snapshot.directory.contract(call.partner.slug)
    if contract is None:
        raise not_found()
    slug, revision = call.partner.slug, contract.revision
    found = await call.doors.database.read(lambda session: store.contract_file(session, slug, revision))
    if found is None:
        raise not_found()
    body = _whole(slug, revision, found[0])
    if call.known.role in {"team", "operator"}:
        topics = call.partner.topics
        body["topics"] = {"inbound": topics.inbound, "outbound": topics.outbound}
    return json_response(body, headers={"ETag": etag_of(call.partner, revision)})


@tells(
    "listRevisions",
    "Contract and types",
    "The contracts that were in force",
    shows(ref("RevisionPage"), "Newest first.", Link="The next page."),
    parameters=PAGED,
    errors=("cursor_invalid",),
)
async def list_revisions(call: Call) -> Response:
    """Every contract that was in force, newest first."""
    slug = call.partner.slug
    rows = await call.doors.database.read(lambda session: store.contract_revisions(session, slug))
    return page_response(
        call,
        rows,
        # Newest first, though pages go by growing keys.
        key=lambda one: f"{_NEWEST - one.number:010}",
        item=_revision,
        bound=("revisions", slug),
    )


@tells(
    "showRevision",
    "Contract and types",
    "One contract that was in force",
    shows(ref("ContractShown"), "The contract file of then, and the files that it names."),
)
async def show_revision(call: Call) -> Response:
    """One contract that was in force, with its files."""
    text, slug = call.part("revision"), call.partner.slug
    number = int(text) if _NUMBER.fullmatch(text) else 0
    found = await call.doors.database.read(lambda session: store.contract_file(session, slug, number))
    if found is None:
        raise not_found()
    return json_response(_whole(slug, number, found[0]))


def _revision(one: store.Revision) -> dict[str, object]:
    return {
        "revision": one.number,
        "applied_at": format_instant(one.applied_at),
        "applied_by": one.applied_by,
        "file_name": one.file_name,
        "sha256": one.sha256.hex(),
    }


def _whole(slug: str, revision: int, file: ContractFile) -> dict[str, object]:
    return {
        "partner": slug,
        "revision": revision,
        "file_name": file.name,
        "contract": file.text,
        "files": dict(file.files),
        "sha256": file.sha256().hex(),
    }


async def _partner(call: Call, partner: Partner) -> dict[str, object]:
    name = f"{call.doors.values.log_host}/log/{partner.log}"
    ring = call.doors.keys()
    have_ended = any(key.purpose == "checkpoint" and key.retired_at is not None for key in ring.known)
    known, begun = await call.doors.database.read(
        lambda session: epochs_begun(session, name, are_asked=have_ended)
    )
    # A later epoch is named once its first entry can be seen, which says how it goes on from the one before.
    epochs = [one for one in known if one.checkpoint is not None or one is known[0]]
    contract = call.snapshot.directory.contract(partner.slug)
    return {
        "partner": {"slug": partner.slug, "name": partner.name, "state": partner.state},
        "contract": None if contract is None else contract.revision,
        "limits": None if contract is None else _limits(call, contract.limits),
        "logs": [_log(call, one.head.origin, ring, begun.get(one.head.origin, 0)) for one in epochs],
    }


def _log(call: Call, origin: str, ring: KeyRing, begun_at: int) -> dict[str, object]:
    """One epoch, the keys that are to be trusted, and apart from them those that signed it and leaked.

    Of those that are to be trusted the first signs now; which ones have ended is told besides. One that had
    ended before the epoch began has nothing to do with it.
    """
    path = origin.removeprefix(call.doors.values.log_host)
    trusted, revoked = (
        [key for key in some if key.retired_at is None or key.retired_at > begun_at]
        for some in (ring.ordered("checkpoint"), ring.compromised("checkpoint"))
    )
    shown: dict[str, object] = {
        "origin": origin,
        "url": call.doors.values.origin + path,
        "keys": [str(VerifierKey(origin, key.public_key)) for key in trusted],
    }
    if ended := [key for key in trusted if key.state(ring.at) == "retired"]:
        shown["ended_keys"] = [str(VerifierKey(origin, key.public_key)) for key in ended]
    if revoked:
        shown["revoked_keys"] = [
            {"key": str(VerifierKey(origin, key.public_key)), "revoked": key.mark()} for key in revoked
        ]
    return shown


def _limits(call: Call, limits: Limits) -> dict[str, Any]:
    values = call.doors.values
    standing = call.doors.quotas.standing(call.partner.slug, limits, call.known.rates)
    return {
        "left": {one.name: {"left": one.left, "reset_seconds": one.reset} for one in standing},
        "events_per_second": limits.events_per_second,
        "bytes_per_day": limits.bytes_per_day,
        "streams": call.doors.stream_turns.each if limits.streams is None else limits.streams,
        "endpoints": MOST_ENDPOINTS if limits.endpoints is None else limits.endpoints,
        "event_bytes": limits.event_bytes or values.body_bytes,
        "batch_events": values.batch_events,
        "batch_bytes": values.batch_bytes,
    }
