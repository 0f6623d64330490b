"""A credential as its row holds it, there and back."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import ColumnElement, and_, func, or_
from sqlmodel import col

from partners.credential import Credential, Method, Role, Scope
from partners.credential_index import LEAVING
from partners.rows import CredentialRow


def columns_of(new: Credential, *, now: int) -> dict[str, object]:
    """What is written of a new credential, by column."""
    return {
        "id": new.id,
        "partner": new.partner,
        "role": new.role,
        "method": new.method,
        "shown_as": new.match,
        "secret": new.secret,
        "scopes": " ".join(sorted(new.scopes)),
        "name": new.name,
        "not_before": new.not_before,
        "not_after": new.not_after,
        "revoked_at": new.revoked_at,
        "revoked_for": None,
        "changed": 0,
        "created_at": now,
        **allowance_of(new),
    }


def allowance_of(credential: Credential) -> dict[str, object]:
    """What it may send, by column."""
    types = credential.send_types
    return {
        "send_types": None if types is None else " ".join(sorted(types)),
        "events_per_second": credential.events_per_second,
    }


def is_held(before: int) -> ColumnElement[bool]:
    """Those that do not leave, or ended not before this instant, Unix milliseconds: `is_left` in SQL."""
    revoked_at = func.coalesce(col(CredentialRow.revoked_at), col(CredentialRow.not_after))
    return or_(
        col(CredentialRow.method).not_in(sorted(LEAVING)),
        and_(col(CredentialRow.not_after) >= before, revoked_at >= before),
    )


def credential_of(row: CredentialRow) -> Credential:
    """The credential of a row."""
    return Credential(
        id=row.id,
        partner=row.partner,
        role=cast("Role", row.role),
        method=cast("Method", row.method),
        match=row.shown_as,
        secret=row.secret,
        scopes=frozenset(cast("Sequence[Scope]", row.scopes.split())),
        not_before=row.not_before,
        not_after=row.not_after,
        revoked_at=row.revoked_at,
        name=row.name,
        revoked_for=row.revoked_for,
        send_types=None if row.send_types is None else frozenset(row.send_types.split()),
        events_per_second=row.events_per_second,
        created_at=row.created_at,
    )
