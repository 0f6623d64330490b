"""For operators: suspend, resume and close a partner."""

from typing import Any, Final

from starlette.responses import Response

from gateway.administration.evidence import Author
from gateway.administration.standing import Action, Move, Moved, etag_of
from gateway.errors import CallerError
from gateway.http.guard import Call
from gateway.http.once import ERRORS as ONCE_ERRORS
from gateway.http.once import KEY, REPLAYED, Done, once
from gateway.http.operator import partner_item
from gateway.http.parameters import flag
from gateway.http.preconditions import IF_MATCH, TAG, read_if_match
from gateway.http.reading import read_members
from gateway.http.shapes import ref, text
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, Body, Parameter, shows, tells

OFFERED: Final = frozenset({"dry_run"})
CLOSE_OFFERED: Final = frozenset({"dry_run", "reason"})
MOST_REASON: Final = 1_000
_ERRORS: Final = (*ONCE_ERRORS, "outcome_unknown", "precondition_failed", "state_conflict")


@tells(
    "suspendPartner",
    "Operator",
    "Suspend a partner",
    shows(ref("PartnerMoved"), "Suspended, now or before.", ETag=TAG, Idempotent_Replayed=REPLAYED),
    about="Nothing is taken from it or sent to it until it is resumed; what is owed to it waits. Its "
    "history, log and evidence stay readable to it. Effective in every process within two seconds.",
    parameters=(DRY_RUN, KEY, IF_MATCH),
    body=Body({JSON: ref("MoveWanted")}),
    errors=(*BODY_ERRORS, *_ERRORS),
)
async def suspend_partner(call: Call) -> Response:
    """Take nothing from a partner and send it nothing, until it is resumed."""
    return await _move_by_body(call, "suspend")


@tells(
    "resumePartner",
    "Operator",
    "Resume a suspended partner",
    shows(ref("PartnerMoved"), "Active, now or before.", ETag=TAG, Idempotent_Replayed=REPLAYED),
    about="What waited meanwhile is sent now, in its order; see `waiting`.",
    parameters=(DRY_RUN, KEY, IF_MATCH),
    body=Body({JSON: ref("MoveWanted")}),
    errors=(*BODY_ERRORS, *_ERRORS),
)
async def resume_partner(call: Call) -> Response:
    """Go on with a suspended partner, and with what waited."""
    return await _move_by_body(call, "resume")


@tells(
    "closePartner",
    "Operator",
    "Close a partner, for ever",
    shows(ref("PartnerMoved"), "Closed, now or before.", ETag=TAG, Idempotent_Replayed=REPLAYED),
    about="Final: nothing is taken or delivered any more, and the name is never used again. Its history, log "
    "and evidence stay readable to it and to us.",
    parameters=(
        DRY_RUN,
        IF_MATCH,
        Parameter("reason", "Why; kept in both logs.", text(least=1, most=MOST_REASON)),
    ),
    errors=_ERRORS,
)
async def close_partner(call: Call) -> Response:
    """End with a partner. There is no way back."""
    return await _move(call, "close", call.query.get("reason"))


async def _move_by_body(call: Call, action: Action) -> Response:
    members = await read_members(call.request, ("reason",), seconds=call.doors.values.body_seconds)
    return await _move(call, action, members.get("reason"))


async def _move(call: Call, action: Action, reason: object) -> Response:
    slug, dry_run = call.partner.slug, flag(call.query, "dry_run")
    wanted = Move(action, _reason(reason), read_if_match(call))
    author = Author(call.known.role, call.known.credential.id)
    return await once(
        call,
        {"reason": reason},
        lambda desk: desk.move_partner(slug, wanted, by=author, dry_run=dry_run),
        lambda moved: _answer(call, moved, dry_run=dry_run),
    )


def _answer(call: Call, moved: Moved, *, dry_run: bool) -> Done:
    item: dict[str, Any] = partner_item(call, moved.partner)
    item |= {"before": moved.before, "changed": moved.has_changed, "waiting": moved.waiting}
    if dry_run:
        return Done({**item, "dry_run": True})
    return Done(item, headers={"ETag": etag_of(moved.partner, item["contract"] or 0)})


def _reason(reason: object) -> str:
    # Logs are shown to people and searched with tools that end a text there.
    words = reason.strip() if isinstance(reason, str) and "\x00" not in reason else ""
    if not words or len(str(reason)) > MOST_REASON:
        text = (
            f"Say why, in the member (of DELETE: the query parameter) reason: 1 to {MOST_REASON} characters, "
            "NUL not among them."
        )
        raise CallerError("parameter_invalid", text)
    return words
