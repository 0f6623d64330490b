"""Seal secrets of partners anew, some at a time, in the caller's transaction.

Only the sealed bytes change: a secret keeps its id, its terms and its place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import update
from sqlmodel import Session, col, select

from partners import store
from partners.access import access_place
from partners.credential import SEALED, secret_place
from partners.endpoint import key_place, party_of
from partners.rows import CredentialRow, EndpointAccessRow, EndpointRow
from partners.stored_endpoint import endpoint_of, values_of

Renew = Callable[[bytes, str], bytes | None]
"""Takes what is sealed and its place; returns it sealed anew, or None where it may stay as it is."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """What was looked at: how many were sealed anew, and the last key; None: there are no more."""

    count: int
    last: str | None


def reseal_endpoints(session: Session, renew: Renew, *, after: str, limit: int) -> Resealed:
    """Signing secrets of webhook endpoints."""
    store.lock(session)
    some = select(EndpointRow).where(EndpointRow.id > after).order_by(EndpointRow.id).limit(limit)
    rows = session.exec(some).all()
    count = 0
    for row in rows:
        # The id of a secret was made of its sealed form: it is written down before that changes.
        endpoint = endpoint_of(row, None)
        place = key_place(endpoint.id)
        renewed = tuple(renew(key, place) for key in endpoint.keys)
        if any(renewed):
            kept = tuple(new or old for new, old in zip(renewed, endpoint.keys, strict=True))
            values = values_of(replace(endpoint, keys=kept))
            written = {name: values[name] for name in ("sealed_keys", "secret_terms")}
            session.execute(update(EndpointRow).where(col(EndpointRow.id) == row.id).values(**written))
            store.bump_partner(session, party_of(row.partner)[0])
            count += sum(one is not None for one in renewed)
    return Resealed(count, rows[-1].id if len(rows) == limit else None)


def reseal_accesses(session: Session, renew: Renew, *, after: str, limit: int) -> Resealed:
    """What endpoints demand of us."""
    store.lock(session)
    key = col(EndpointAccessRow.endpoint)
    rows = session.exec(select(EndpointAccessRow).where(key > after).order_by(key).limit(limit)).all()
    count = 0
    for row in rows:
        renewed = renew(row.sealed, access_place(row.endpoint))
        if renewed is not None:
            session.execute(update(EndpointAccessRow).where(key == row.endpoint).values(sealed=renewed))
            store.bump_partner(session, party_of(row.partner)[0])
            count += 1
    return Resealed(count, rows[-1].endpoint if len(rows) == limit else None)


def reseal_credentials(session: Session, renew: Renew, *, after: str, limit: int) -> Resealed:
    """Shared secrets of webhooks that come in; those that have ended too."""
    store.lock(session)
    key = col(CredentialRow.id)
    some = select(CredentialRow).where(key > after, CredentialRow.method == "hmac").order_by(key).limit(limit)
    rows = session.exec(some).all()
    count = 0
    for row in rows:
        if not row.secret.startswith(SEALED):
            continue
        renewed = renew(row.secret.removeprefix(SEALED), secret_place(row.id))
        if renewed is not None:
            session.execute(update(CredentialRow).where(key == row.id).values(secret=SEALED + renewed))
            store.bump_credential(session, row.id)
            count += 1
    return Resealed(count, rows[-1].id if len(rows) == limit else None)
