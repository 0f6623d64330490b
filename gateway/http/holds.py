"""Legal holds: what must neither be erased nor go with its time."""

import base64
import re
from typing import Final

from starlette.responses import Response

from audit import holds
from audit.holds import Hold, Scope, Word
from audit.kinds import MOST_HELD_REFS
from gateway.administration.evidence import Author
from gateway.erasing import holding
from gateway.errors import CallerError
from gateway.http import erasures_told as telling
from gateway.http.erasures import read_basis, read_refs, read_span, refs_shown
from gateway.http.guard import Call, not_found
from gateway.http.once import ERRORS as ONCE_ERRORS
from gateway.http.once import KEY, REPLAYED, Done, once
from gateway.http.pages import newest_first, sealed_page
from gateway.http.parameters import flag
from gateway.http.reading import read_members
from gateway.http.shapes import ref
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, PAGED, Body, Reply, shows, tells
from gateway.http.words import json_response
from gateway.instants import format_instant

SET_OFFERED: Final = frozenset({"dry_run"})
LIFT_OFFERED: Final = frozenset({"dry_run", "basis"})
_MEMBERS: Final = ("refs", "since", "until", "basis")
_ID: Final = re.compile(r"hld_[a-z2-7]{26}", re.ASCII)


@tells(
    "setHold",
    "Operator",
    "Put a legal hold on events of a partner",
    Reply(
        201,
        "It is in force.",
        {JSON: ref("Hold")},
        {"Location": "The hold.", "Idempotent-Replayed": REPLAYED},
    ),
    about=telling.SET,
    parameters=(DRY_RUN, KEY),
    body=Body({JSON: ref("HoldWanted")}),
    errors=(*BODY_ERRORS, *ONCE_ERRORS, "limit_reached", "outcome_unknown"),
)
async def set_hold(call: Call) -> Response:
    """Put a hold into force."""
    members = await read_members(call.request, _MEMBERS, seconds=call.doors.values.body_seconds)
    hold_id = "hld_" + base64.b32encode(call.doors.entropy(16)).decode().rstrip("=").lower()
    partner, now, is_dry = call.partner, call.doors.clock(), flag(call.query, "dry_run")
    refs = read_refs(members, MOST_HELD_REFS)
    since, until = read_span(members, now)
    if refs and (since is not None or until is not None):
        raise CallerError("parameter_invalid", "Name either refs, or a time by since and until.")
    asked, author = (hold_id, Scope(refs, since, until), read_basis(members)), _author(call)
    return await once(
        call,
        members,
        lambda administration: administration.change(
            lambda session, scribe: holding.set_hold(session, scribe, partner, asked, author, now=now),
            dry_run=is_dry,
        ),
        lambda made: _done(made, call.base, 201, is_dry=is_dry),
    )


@tells(
    "listHolds",
    "Operator",
    "The legal holds of a partner, newest first",
    shows(ref("HoldPage"), "Those that were lifted too.", Link="Next page."),
    parameters=PAGED,
    errors=("cursor_invalid",),
)
async def list_holds(call: Call) -> Response:
    """Holds on the partner's events, newest first."""
    log, bound = None if call.of_all else _log_of(call), ("holds", call.slug)
    shown, following = await newest_first(
        call, bound, lambda session, after, most: holds.page(session, log, after=after, limit=most)
    )
    items = [hold_item(one, call.base_of(one.partner)) for one in shown]
    return sealed_page(call, items, bound, following)


@tells(
    "showHold",
    "Operator",
    "One legal hold",
    shows(ref("Hold"), "In force, or lifted."),
    parameters=(telling.HOLD_ID,),
)
async def show_hold(call: Call) -> Response:
    """One hold."""
    hold_id, log = _id(call), _log_of(call)
    found = await call.doors.database.read(lambda session: holds.find(session, hold_id, log))
    if found is None:
        raise not_found()
    return json_response(hold_item(found, call.base))


@tells(
    "liftHold",
    "Operator",
    "Lift a legal hold",
    shows(ref("Hold"), "Lifted, now or before.", Idempotent_Replayed=REPLAYED),
    about=telling.LIFT,
    parameters=(telling.HOLD_ID, telling.BASIS, DRY_RUN, KEY),
    errors=(*ONCE_ERRORS, "outcome_unknown"),
)
async def lift_hold(call: Call) -> Response:
    """Take a hold out of force."""
    asked, author = (_id(call), read_basis(call.query)), _author(call)
    partner, now, is_dry = call.partner, call.doors.clock(), flag(call.query, "dry_run")
    return await once(
        call,
        {},
        lambda administration: administration.change(
            lambda session, scribe: holding.lift_hold(session, scribe, partner, asked, author, now=now),
            dry_run=is_dry,
        ),
        lambda lifted: _done(lifted, call.base, 200, is_dry=is_dry),
    )


def hold_item(hold: Hold, base: str) -> dict[str, object]:
    """A hold as it stands."""
    scope, lifted = hold.scope, hold.lifted
    return {
        "id": hold.id,
        "partner": hold.partner,
        "scope": {
            "refs": refs_shown(scope.refs),
            "since": None if scope.since is None else format_instant(scope.since),
            "until": None if scope.until is None else format_instant(scope.until),
        },
        "basis": hold.set.basis,
        "by": _by(hold.set),
        "set_at": format_instant(hold.set.at),
        "lifted_at": None if lifted is None else format_instant(lifted.at),
        "lifted_for": None if lifted is None else lifted.basis,
        "lifted_by": None if lifted is None else _by(lifted),
        "links": {"self": f"{base}/holds/{hold.id}"},
    }


def _done(hold: Hold, base: str, status: int, *, is_dry: bool) -> Done:
    item = hold_item(hold, base)
    if is_dry:
        return Done({**item, "dry_run": True}, status)
    return Done(item, status, {"Location": f"{base}/holds/{hold.id}"} if status == 201 else {})  # noqa: PLR2004 - made


def _by(word: Word) -> dict[str, object]:
    return {"role": word.role, "credential": word.credential}


def _id(call: Call) -> str:
    hold_id = call.part("id")
    if not _ID.fullmatch(hold_id):
        raise not_found()
    return hold_id


def _log_of(call: Call) -> str:
    return f"{call.doors.values.log_host}/log/{call.partner.log}"


def _author(call: Call) -> Author:
    return Author(call.known.role, call.known.credential.id)
