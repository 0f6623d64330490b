"""Changes of credentials into the log, and the one that is never made: to be left without an operator."""

from sqlmodel import Session

from gateway import announcements, happenings
from gateway.administration.evidence import Author, Scribe
from gateway.errors import CallerError
from partners import store
from partners.credential import Credential
from partners.in_force import active_credentials
from partners.issuing import CredentialChange


def witnessed(
    session: Session,
    scribe: Scribe,
    change: CredentialChange,
    by: Author,
    *,
    now: int,
    is_ended: bool = False,
) -> CredentialChange:
    """The change, with its evidence on the way to the log of whose credential it is.

    `is_ended`: it gives the credential an earlier end.

    Raises:
        CallerError: `state_conflict`: nobody would be left who may manage.
    """
    if change.action == "unchanged":
        return change
    if change.action != "created":
        _keep_an_operator(session, change.credential, now, is_ended=is_ended)
    log = _log_of(session, change.credential)
    scribe.credential(session, log, change.credential, change.action, by, now=now)
    if change.action == "revoked" and change.credential.partner is not None:
        told = happenings.credential_revoked(change.credential.partner, change.credential, now=now)
        announcements.announce_once(session, told)
    return change


def _keep_an_operator(session: Session, changed: Credential, now: int, *, is_ended: bool) -> None:
    """Nobody could ever make another key once the last one of an operator is gone."""
    left = [
        one
        for one in active_credentials(session, owner=None, now=now)
        if one.role == "operator" and "manage" in one.scopes
    ]
    # One that is given an end helps nobody for long.
    lasting = [one for one in left if not (is_ended and one.id == changed.id)]
    if changed.role == "operator" and not lasting:
        raise CallerError(
            "state_conflict",
            "This is the last operator's key that may manage: make another one first.",
            hint="On the machine that has the data folder: gateway init --new-operator-key.",
        )


def _log_of(session: Session, credential: Credential) -> str | None:
    found = None if credential.partner is None else store.partner(session, credential.partner)
    return None if found is None else found[0].log
