"""Credentials: list, show, make, change, revoke. A secret that was made here is in one answer, once."""

from typing import Final

from starlette.responses import Response

from gateway.administration.evidence import Author
from gateway.catalog import STALE_SECONDS
from gateway.http.credential_bodies import CHANGE_MEMBERS, CREATE_MEMBERS, read_narrowing, read_wanted
from gateway.http.credential_items import credential_item
from gateway.http.guard import Call, not_found
from gateway.http.once import ERRORS as ONCE_ERRORS
from gateway.http.once import KEY, REPLAYED, Done, once
from gateway.http.pages import OFFERED, by_id, filtered, sealed_page
from gateway.http.parameters import coming, flag, words
from gateway.http.reading import read_members
from gateway.http.shapes import ref, text
from gateway.http.told import (
    BODY_ERRORS,
    CREDENTIAL_ID,
    DRY_RUN,
    JSON,
    PAGED,
    SPAN,
    TIME,
    Body,
    Parameter,
    shows,
    tells,
)
from gateway.http.words import json_response
from gateway.instants import format_instant
from partners import issuing
from partners.credential import Credential
from partners.issuing import CredentialChange
from partners.pages import CREDENTIAL_STATES, CredentialsWanted, credentials

FILTERS: Final = ("state", "expires_before")
LIST_OFFERED: Final = OFFERED | frozenset(FILTERS)
CREATE_OFFERED: Final = frozenset({"dry_run"})
CHANGE_OFFERED: Final = frozenset({"dry_run"})
REVOKE_OFFERED: Final = frozenset({"dry_run", "reason"})


@tells(
    "listCredentials",
    "Credentials",
    "The credentials",
    shows(ref("CredentialPage"), "By id, revoked and expired ones too; no secret.", Link="The next page."),
    parameters=(
        Parameter(
            "state",
            "One state, or several with commas.",
            text("[a-z]+(,[a-z]+)*"),
            example="active",
        ),
        Parameter(
            "expires_before",
            "Their end is before: RFC 3339, or a span from now on, such as `30d`.",
            text(f"({SPAN}|{TIME})"),
            example="30d",
        ),
        *PAGED,
    ),
    errors=("cursor_invalid",),
)
async def list_credentials(call: Call) -> Response:
    """The partner's credentials; without a partner those of our own side. Revoked and expired ones too."""
    owner, now = call.slug if call.of_all else _owner(call), call.doors.clock()
    states = frozenset(words(call.query, "state", CREDENTIAL_STATES) or ())
    wanted = CredentialsWanted(owner, now, states, coming(call.query, "expires_before", now))
    bound = ("credentials", owner or "", *filtered(call, FILTERS))
    shown, following = await by_id(
        call, bound, lambda session, after, most: credentials(session, wanted, after=after, limit=most)
    )
    used = await call.doors.uses.find(one.id for one in shown)
    items = [credential_item(one, now, used.get(one.id)) for one in shown]
    return sealed_page(call, items, bound, following)


@tells(
    "showCredential",
    "Credentials",
    "One credential",
    shows(ref("Credential"), "What it may do, and for how long."),
    parameters=(CREDENTIAL_ID,),
)
async def show_credential(call: Call) -> Response:
    """One credential."""
    return json_response(await _item(call, await _find(call)))


@tells(
    "createCredential",
    "Credentials",
    "Make a credential",
    shows(
        ref("CredentialMade"),
        "Made; its secret is in this answer, and nowhere else.",
        status=201,
        Location="It.",
        Idempotent_Replayed=REPLAYED,
    ),
    shows(ref("CredentialPreview"), "A dry run: what would be made."),
    parameters=(DRY_RUN, KEY),
    body=Body({JSON: ref("CredentialWanted")}),
    errors=(*BODY_ERRORS, *ONCE_ERRORS, "limit_reached", "state_conflict", "outcome_unknown"),
)
async def create_credential(call: Call) -> Response:
    """Make a credential. Nobody gives one that may do more than its own. A dry run makes none."""
    doors, dry_run = call.doors, flag(call.query, "dry_run")
    members = await read_members(call.request, CREATE_MEMBERS, seconds=doors.values.body_seconds)
    wanted = read_wanted(call, members)
    return await once(
        call,
        members,
        lambda desk: desk.create_credential(wanted, by=_author(call), dry_run=dry_run),
        lambda change: _made(call, change, dry_run=dry_run),
    )


def _made(call: Call, change: CredentialChange, *, dry_run: bool) -> Done:
    item = credential_item(change.credential, call.doors.clock(), None)
    if dry_run:
        # Whoever makes it gets another.
        del item["id"], item["created_at"]
        item.pop("key_id", None)
        return Done({**item, "dry_run": True})
    base = "/v1" if call.owner is None else call.base
    headers = {"Location": f"{base}/credentials/{change.credential.id}"}
    secret = {} if change.text is None else {"secret": change.text}
    return Done({**item, **secret}, 201, headers, frozenset({"secret"}))


@tells(
    "changeCredential",
    "Credentials",
    "Rename a credential, or narrow it",
    shows(ref("Credential"), "As it is now; or, of a dry run, as it would be.", Idempotent_Replayed=REPLAYED),
    parameters=(CREDENTIAL_ID, DRY_RUN, KEY),
    body=Body({JSON: ref("CredentialNarrowed")}),
    errors=(*BODY_ERRORS, *ONCE_ERRORS, "state_conflict", "outcome_unknown"),
)
async def change_credential(call: Call) -> Response:
    """Rename a credential, narrow what it may do, end it earlier. A dry run changes nothing."""
    doors, dry_run = call.doors, flag(call.query, "dry_run")
    found = await _find(call)
    members = await read_members(call.request, CHANGE_MEMBERS, seconds=doors.values.body_seconds)
    wanted, owner, by = read_narrowing(call, members), _owner(call), _author(call)
    used = await doors.uses.find([found.id])
    return await once(
        call,
        members,
        lambda desk: desk.change_credential(found.id, wanted, owner=owner, by=by, dry_run=dry_run),
        lambda change: _changed(call, change, used.get(found.id), dry_run=dry_run),
    )


def _changed(call: Call, change: CredentialChange, used_at: int | None, *, dry_run: bool) -> Done:
    item = credential_item(change.credential, call.doors.clock(), used_at)
    return Done({**item, "dry_run": True} if dry_run else item)


@tells(
    "revokeCredential",
    "Credentials",
    "Revoke a credential",
    shows(ref("Credential"), "Revoked, now or before.", Idempotent_Replayed=REPLAYED),
    parameters=(CREDENTIAL_ID, DRY_RUN, KEY, Parameter("reason", "Why, in your words.", text(most=1_000))),
    errors=(*ONCE_ERRORS, "outcome_unknown", "state_conflict"),
)
async def revoke_credential(call: Call) -> Response:
    """Revoke a credential; one that is revoked already stays as it is. A dry run revokes none.

    `effective_by`: when it opens nothing any more, in the last of all processes.
    """
    found = await _find(call)
    dry_run = flag(call.query, "dry_run")
    owner, by, reason = _owner(call), _author(call), call.query.get("reason", "")
    used = await call.doors.uses.find([found.id])
    return await once(
        call,
        {},
        lambda desk: desk.revoke_credential(found.id, owner=owner, reason=reason, by=by, dry_run=dry_run),
        lambda change: _revoked(call, change, used.get(found.id), dry_run=dry_run),
    )


def _revoked(call: Call, change: CredentialChange, used_at: int | None, *, dry_run: bool) -> Done:
    item = credential_item(change.credential, call.doors.clock(), used_at)
    if change.credential.revoked_at is not None:
        latest = change.credential.revoked_at + int(STALE_SECONDS * 1_000)
        item["effective_by"] = format_instant(latest)
    return Done({**item, "dry_run": True} if dry_run else item)


async def _find(call: Call) -> Credential:
    owner, credential_id = _owner(call), call.part("id")
    found = await call.doors.database.read(
        lambda session: issuing.find_credential(session, credential_id, owner=owner)
    )
    if found is None:
        raise not_found()
    return found


async def _item(call: Call, credential: Credential) -> dict[str, object]:
    used = await call.doors.uses.find([credential.id])
    return credential_item(credential, call.doors.clock(), used.get(credential.id))


def _owner(call: Call) -> str | None:
    return None if call.owner is None else call.owner.slug


def _author(call: Call) -> Author:
    return Author(call.known.role, call.known.credential.id)
