"""Rows of the registry to values and back. Never commits, never decides.

Every function takes the caller's session and works in its transaction, on SQLite and on PostgreSQL.
"""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from schemas.rows import SchemaRow, VersionRow
from schemas.schema import Schema

_LARGEST_ID = (1 << 31) - 1
"""Of the column. On the wire an id has 32 bits: PostgreSQL refuses to look for the larger half."""


def load_text(session: Session, schema_id: int) -> str | None:
    """The text of a schema id."""
    if schema_id > _LARGEST_ID:
        return None
    return session.execute(select(col(SchemaRow.text)).where(col(SchemaRow.id) == schema_id)).scalar()


def load_text_by_guid(session: Session, guid: UUID) -> str | None:
    """The text whose GUID this is; of several with one GUID (MD5 can be forged) the first registered."""
    query = select(col(SchemaRow.text)).where(col(SchemaRow.guid) == str(guid))
    return session.execute(query.order_by(col(SchemaRow.id)).limit(1)).scalar()


def load_id(session: Session, text: str) -> int | None:
    """The id of exactly this text."""
    query = select(col(SchemaRow.id)).where(col(SchemaRow.text_sha256) == _digest(text))
    return session.execute(query).scalar()


def save_schema(session: Session, schema: Schema, *, now: int) -> int:
    """The id of a schema text, new or as it was; two writers at once get the same one."""
    values = {
        "text_sha256": _digest(schema.text),
        "guid": str(schema.guid),
        "name": schema.name,
        "fingerprint": schema.fingerprint,
        "text": schema.text,
        "created_at": now,
    }
    known = load_id(session, schema.text)
    if known is not None:
        return known
    if session.get_bind().dialect.name == "postgresql":
        session.execute(postgresql.insert(SchemaRow).on_conflict_do_nothing(), [values])
    else:
        session.execute(sqlite.insert(SchemaRow).on_conflict_do_nothing(), [values])
    query = select(col(SchemaRow.id)).where(col(SchemaRow.text_sha256) == values["text_sha256"])
    return int(session.execute(query).scalar_one() or 0)


def load_versions(session: Session, subject: str) -> Sequence[tuple[int, int, str]]:
    """Number, schema id and text of each version of a subject, newest first."""
    query = (
        select(col(VersionRow.number), col(VersionRow.schema_id), col(SchemaRow.text))
        .join(SchemaRow, col(SchemaRow.id) == col(VersionRow.schema_id))
        .where(col(VersionRow.subject) == subject)
        .order_by(col(VersionRow.number).desc())
    )
    return [(number, schema_id, text) for number, schema_id, text in session.execute(query)]


def load_number(session: Session, subject: str, schema_id: int) -> int | None:
    """The version number of a schema under a subject."""
    query = select(col(VersionRow.number)).where(
        col(VersionRow.subject) == subject, col(VersionRow.schema_id) == schema_id
    )
    return session.execute(query).scalar()


def save_version(session: Session, subject: str, schema_id: int, *, now: int) -> int:
    """The number of a new version, one more than the highest so far."""
    query = select(func.max(col(VersionRow.number))).where(col(VersionRow.subject) == subject)
    number = int(session.execute(query).scalar() or 0) + 1
    row = {"subject": subject, "number": number, "schema_id": schema_id, "created_at": now}
    session.execute(insert(VersionRow), [row])
    return number


def load_uses(session: Session, schema_id: int) -> Sequence[tuple[str, int]]:
    """Subject and number of each version that has this schema, by subject."""
    if schema_id > _LARGEST_ID:
        return []
    query = (
        select(col(VersionRow.subject), col(VersionRow.number))
        .where(col(VersionRow.schema_id) == schema_id)
        .order_by(col(VersionRow.subject), col(VersionRow.number))
    )
    return [(subject, number) for subject, number in session.execute(query)]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
