"""Pages of endpoints and credentials, of one partner or of all: by id, along the key of the table.

Never commits: the caller owns the transaction.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select
from sqlmodel import Session, col

from partners.credential import Credential
from partners.endpoint import ALL, Endpoint
from partners.owners import is_of
from partners.rows import CredentialRow, EndpointAccessRow, EndpointRow
from partners.stored_credential import credential_of
from partners.stored_endpoint import endpoint_of, written_states

CREDENTIAL_STATES: Final = ("active", "expired", "revoked")
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class EndpointsWanted:
    """Which. `owner`: as in `is_of`. `states` empty: in any. `among`: ids; None: any."""

    owner: str
    states: frozenset[str] = frozenset()
    among: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class CredentialsWanted:
    """Which. `owner`: a partner, or `ALL`; None: the house. `states` empty: in any, as they are at `now`.

    `expires_before`: those whose end is before it. Both in Unix milliseconds.
    """

    owner: str | None
    now: int
    states: frozenset[str] = frozenset()
    expires_before: int | None = None


def endpoints(session: Session, wanted: EndpointsWanted, *, after: str, limit: int) -> list[Endpoint]:
    """The next endpoints behind an id, at most so many."""
    if wanted.among is None:
        return _endpoints(session, wanted, (col(EndpointRow.id) > after,), limit)
    ids, found = sorted(one for one in wanted.among if one > after), list[Endpoint]()
    for start in range(0, len(ids), _CHUNK):
        some = col(EndpointRow.id).in_(ids[start : start + _CHUNK])
        found += _endpoints(session, wanted, (some,), limit - len(found))
        if len(found) >= limit:
            break
    return found


def credentials(session: Session, wanted: CredentialsWanted, *, after: str, limit: int) -> list[Credential]:
    """The next credentials behind an id, at most so many."""
    conditions = [col(CredentialRow.id) > after]
    if wanted.owner == ALL:
        conditions.append(col(CredentialRow.partner).is_not(None))
    else:
        conditions.append(col(CredentialRow.partner) == wanted.owner)
    if wanted.states:
        conditions.append(or_(*(_is_in(one, wanted.now) for one in sorted(wanted.states))))
    if wanted.expires_before is not None:
        conditions.append(col(CredentialRow.not_after) < wanted.expires_before)
    query = select(CredentialRow).where(*conditions).limit(limit)
    if wanted.owner is None:
        # The same order; without it PostgreSQL does not see that the index has it, where the first is null.
        query = query.order_by(col(CredentialRow.partner))
    query = query.order_by(col(CredentialRow.id))
    return [credential_of(row) for row in session.execute(query).scalars()]


def _endpoints(
    session: Session, wanted: EndpointsWanted, conditions: tuple[ColumnElement[bool], ...], limit: int
) -> list[Endpoint]:
    query = select(EndpointRow).where(is_of(col(EndpointRow.partner), wanted.owner), *conditions)
    if wanted.states:
        query = query.where(col(EndpointRow.state).in_(sorted(written_states(wanted.states))))
    rows = session.execute(query.order_by(col(EndpointRow.id)).limit(limit)).scalars().all()
    access = _accesses(session, [row.id for row in rows])
    return [endpoint_of(row, access.get((row.id, row.partner))) for row in rows]


def _accesses(session: Session, ids: Sequence[str]) -> dict[tuple[str, str], bytes]:
    """What endpoints demand of us, by id and owner. Apart: a page that is joined is sorted once more."""
    its = select(EndpointAccessRow).where(col(EndpointAccessRow.endpoint).in_(ids))
    return {(row.endpoint, row.partner): row.sealed for row in session.execute(its).scalars()} if ids else {}


def _is_in(state: str, now: int) -> ColumnElement[bool]:
    """Whether a credential is in a state, as `credential_item` shows it."""
    is_revoked = col(CredentialRow.revoked_at).is_not(None)
    if state == "revoked":
        return is_revoked
    is_over = col(CredentialRow.not_after) <= now
    return and_(~is_revoked, is_over if state == "expired" else ~is_over)
