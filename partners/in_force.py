"""Which credentials of an owner are in force, and how many ended lately, however many there ever were.

Never commits: the caller owns the transaction.
"""

from sqlalchemy import and_, func, or_, select
from sqlmodel import Session, col

from partners.credential import Credential
from partners.credential_index import LEAVING
from partners.rows import CredentialRow
from partners.stored_credential import credential_of


def active_credentials(session: Session, *, owner: str | None, now: int) -> tuple[Credential, ...]:
    """List a partner's credentials that are in force, by id; with `owner` None, the house's.

    `now`: Unix milliseconds. One that is valid only later counts as in force.
    """
    rows = select(CredentialRow).where(
        col(CredentialRow.partner) == owner,
        col(CredentialRow.revoked_at).is_(None),
        col(CredentialRow.not_after) > now,
    )
    found = session.execute(rows).scalars()
    return tuple(sorted(map(credential_of, found), key=lambda one: one.id))


def count_ended(session: Session, partner: str, *, since: int, now: int) -> int:
    """Count a partner's credentials that ended since then, of those that leave: `credential_index.LEAVING`.

    Both in Unix milliseconds. What was revoked ended then, though it may have expired before.
    """
    revoked_at, not_after = col(CredentialRow.revoked_at), col(CredentialRow.not_after)
    rows = select(func.count()).where(
        col(CredentialRow.partner) == partner,
        col(CredentialRow.method).in_(sorted(LEAVING)),
        or_(revoked_at >= since, and_(revoked_at.is_(None), not_after >= since, not_after <= now)),
    )
    return int(session.execute(rows).scalar_one())
