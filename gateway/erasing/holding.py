"""Legal holds as they are asked for: set and lifted, each with its entry in the partner's log.

Setting one waits for what is taking evidence of the log away: what is there when it is in force stays there.
"""

from collections.abc import Mapping

from sqlmodel import Session

from audit import expiry, holds
from audit.evidence import Kind
from audit.holds import MOST_IN_FORCE, Hold, Scope, Word
from gateway.administration.evidence import Author, Scribe
from gateway.erasing import store
from gateway.errors import CallerError
from partners import store as partners
from partners.errors import NotFoundError
from partners.partner import Partner


def set_hold(
    session: Session,
    scribe: Scribe,
    partner: Partner,
    asked: tuple[str, Scope, str],
    by: Author,
    *,
    now: int,
) -> Hold:
    """Put a hold into force: its id, what is held, and on which basis.

    Raises:
        CallerError: `limit_reached`.
    """
    hold_id, scope, basis = asked
    partners.lock(session)
    log = _log_of(scribe, partner)
    if holds.count_in_force(session, log) >= MOST_IN_FORCE:
        text = f"{MOST_IN_FORCE} holds of this partner are in force, as many as there may be."
        raise CallerError("limit_reached", text, hint="Lift one of them, or set one that covers more.")
    hold = Hold(hold_id, log, partner.slug, scope, Word(basis, by.role, by.credential, now))
    holds.set_hold(session, hold)
    scribe.say(session, log, Kind.HOLD_SET, _members(hold, basis), by, now=now)
    return hold


def lift_hold(
    session: Session, scribe: Scribe, partner: Partner, asked: tuple[str, str], by: Author, *, now: int
) -> Hold:
    """Take a hold out of force: its id, and why. What waited for that goes on; twice changes nothing.

    Raises:
        NotFoundError: the partner has no such hold.
    """
    hold_id, basis = asked
    partners.lock(session)
    log = _log_of(scribe, partner)
    hold = holds.find(session, hold_id, log, locked=True)
    if hold is None:
        raise NotFoundError("there is no such hold")
    if hold.lifted is not None:
        return hold
    lifted = holds.lift(session, hold, Word(basis, by.role, by.credential, now))
    scribe.say(session, log, Kind.HOLD_LIFTED, _members(hold, basis), by, now=now)
    expiry.go_back(session, log)
    # An event that was sent on stands in two logs: whose job waits for this hold, nobody knows.
    store.resume(session, now=now)
    return lifted


def _members(hold: Hold, basis: str) -> Mapping[str, object]:
    return {"partner": hold.partner, "hold": hold.id, "scope": hold.scope.members(), "basis": basis}


def _log_of(scribe: Scribe, partner: Partner) -> str:
    return f"{scribe.host}/log/{partner.log}"
