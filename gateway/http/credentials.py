"""Credentials: list, show, make, revoke. A secret is in one answer, once."""

import re
from collections.abc import Mapping
from typing import Any, Final, cast, get_args

from starlette.responses import Response

from gateway.administration.evidence import Author
from gateway.errors import CallerError
from gateway.http.guard import Call, not_found
from gateway.http.pages import page_response
from gateway.http.parameters import flag, parse_instant
from gateway.http.reading import read_members
from gateway.http.shapes import ref, text
from gateway.http.told import BODY_ERRORS, CREDENTIAL_ID, DRY_RUN, JSON, PAGED, Body, Parameter, shows, tells
from gateway.http.words import json_response
from gateway.instants import format_instant
from partners import issuing
from partners.credential import ROLE_SCOPES, Credential, Role, Scope
from partners.issuing import WantedKey

_MEMBERS: Final = ("kind", "role", "name", "scopes", "expires_at")
_PARTNER_ROLES: Final[tuple[Role, ...]] = ("partner", "auditor")
_HOUSE_ROLES: Final[tuple[Role, ...]] = ("team", "operator")
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([smhdy])", re.ASCII)
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "y": 31_536_000_000}
_MAX_NAME: Final = 100

CREATE_OFFERED: Final = frozenset({"dry_run"})
REVOKE_OFFERED: Final = frozenset({"dry_run", "reason"})


@tells(
    "listCredentials",
    "Credentials",
    "The credentials",
    shows(ref("CredentialPage"), "Revoked and expired ones too; no secret.", Link="The next page."),
    parameters=PAGED,
    errors=("cursor_invalid",),
)
async def list_credentials(call: Call) -> Response:
    """The partner's credentials; without a partner those of our own side. Revoked and expired ones too."""
    owner = None if call.owner is None else call.owner.slug
    known = await call.doors.database.read(lambda session: issuing.list_credentials(session, owner=owner))
    rows = [one for one in known if one.partner == owner]
    return page_response(
        call,
        rows,
        key=lambda one: one.id,
        item=lambda one: _item(one, call.doors.clock()),
        bound=("credentials", owner or ""),
    )


@tells(
    "showCredential",
    "Credentials",
    "One credential",
    shows(ref("Credential"), "What it may do, and for how long."),
    parameters=(CREDENTIAL_ID,),
)
async def show_credential(call: Call) -> Response:
    """One credential."""
    return json_response(_item(await _find(call), call.doors.clock()))


@tells(
    "createCredential",
    "Credentials",
    "Make a credential",
    shows(
        ref("CredentialMade"),
        "Made; its secret is in this answer, and nowhere else.",
        status=201,
        Location="It.",
    ),
    shows(ref("CredentialPreview"), "A dry run: what would be made."),
    parameters=(DRY_RUN,),
    body=Body({JSON: ref("CredentialWanted")}),
    errors=(*BODY_ERRORS, "limit_reached", "state_conflict", "outcome_unknown"),
)
async def create_credential(call: Call) -> Response:
    """Make an API key. Nobody gives one that may do more than its own. A dry run makes none."""
    doors, dry_run = call.doors, flag(call.query, "dry_run")
    members = await read_members(call.request, _MEMBERS, seconds=doors.values.body_seconds)
    wanted = _wanted(call, members)
    _verify_scopes(call, wanted)
    change = await doors.administration.create_credential(wanted, by=_author(call), dry_run=dry_run)
    if dry_run:
        item = _item(change.credential, doors.clock())
        del item["id"]  # whoever makes it gets another
        return json_response({**item, "dry_run": True})
    base = "/v1" if call.owner is None else call.base
    headers = {"Location": f"{base}/credentials/{change.credential.id}"}
    return json_response({**_item(change.credential, doors.clock()), "secret": change.text}, 201, headers)


@tells(
    "revokeCredential",
    "Credentials",
    "Revoke a credential",
    shows(ref("Credential"), "Revoked, now or before."),
    parameters=(CREDENTIAL_ID, DRY_RUN, Parameter("reason", "Why, in your words.", text(most=1_000))),
    errors=("outcome_unknown", "state_conflict"),
)
async def revoke_credential(call: Call) -> Response:
    """Revoke a credential; one that is revoked already stays as it is. A dry run revokes none."""
    found = await _find(call)
    owner = None if call.owner is None else call.owner.slug
    dry_run = flag(call.query, "dry_run")
    change = await call.doors.administration.revoke_credential(
        found.id, owner=owner, reason=call.query.get("reason", ""), by=_author(call), dry_run=dry_run
    )
    item = _item(change.credential, call.doors.clock())
    return json_response({**item, "dry_run": True} if dry_run else item)


async def _find(call: Call) -> Credential:
    owner = None if call.owner is None else call.owner.slug
    credential_id = call.part("id")
    known = await call.doors.database.read(lambda session: issuing.list_credentials(session, owner=owner))
    for one in known:
        if one.id == credential_id:
            return one
    raise not_found()


def _author(call: Call) -> Author:
    return Author(call.known.role, call.known.credential.id)


def _wanted(call: Call, members: Mapping[str, Any]) -> WantedKey:
    roles = _HOUSE_ROLES if call.owner is None else _PARTNER_ROLES
    kind, role = (
        members.get("kind", "api_key"),
        members.get("role", None if call.owner is None else "partner"),
    )
    name, scopes = members.get("name", ""), members.get("scopes")
    if kind != "api_key":
        raise _wrong("kind", "api_key")
    if role not in roles:
        raise _wrong("role", f"one of {', '.join(roles)}")
    if not isinstance(name, str) or len(name) > _MAX_NAME or not name.isprintable():
        raise _wrong("name", f"a text of at most {_MAX_NAME} printable characters")
    if scopes is not None:
        offered = get_args(Scope)
        if not isinstance(scopes, list) or not scopes or any(one not in offered for one in scopes):
            raise _wrong("scopes", f"a list of {', '.join(offered)}")
        scopes = frozenset(cast("list[Scope]", scopes))
    else:
        scopes = ROLE_SCOPES[role] & call.known.scopes
    not_after = _expiry(members.get("expires_at"), call.doors.clock())
    return WantedKey(None if call.owner is None else call.owner.slug, role, name, scopes, not_after)


def _verify_scopes(call: Call, wanted: WantedKey) -> None:
    """Whoever may make keys must not come by a wider one that way."""
    if not wanted.scopes or not wanted.scopes <= call.known.scopes:
        own = ", ".join(sorted(call.known.scopes))
        text = f"A new credential may have only scopes that yours has ({own}), and that its role may have."
        raise CallerError("scope_missing", text)


def _expiry(text: object, now: int) -> int | None:
    """A time as RFC 3339, or a span from now on (`30d`; a year has 365 days)."""
    if text is None:
        return None
    span = _SPAN.fullmatch(text) if isinstance(text, str) else None
    if span:
        return now + int(span[1]) * _UNITS_MS[span[2]]
    try:
        return parse_instant(str(text), "expires_at", now)
    except CallerError as error:
        wanted = "an RFC 3339 time such as 2026-11-22T13:00:00Z, or a span from now such as 30d or 1y"
        raise _wrong("expires_at", wanted) from error


def _wrong(member: str, wanted: str) -> CallerError:
    return CallerError("parameter_invalid", f"The member {member} must be {wanted}.")


def _item(credential: Credential, now: int) -> dict[str, object]:
    state = "active" if credential.is_active(now) else "expired"
    revoked_at = credential.revoked_at
    return {
        "id": credential.id,
        "partner": credential.partner,
        "kind": credential.method,
        "role": credential.role,
        "name": credential.name,
        "scopes": sorted(credential.scopes),
        "state": state if revoked_at is None else "revoked",
        "expires_at": format_instant(credential.not_after),
        "revoked_at": None if revoked_at is None else format_instant(revoked_at),
    }
