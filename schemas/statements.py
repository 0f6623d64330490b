"""Statements of `schemas.store` that are asked often, put together once: that takes longer than to ask."""

from functools import cache
from typing import Any, Final

from sqlalchemy import Insert, Select, Table, bindparam, exists, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from schemas.rows import ReferenceRow, SchemaRow, SubjectRow, VersionRow


def table_of(row: type[SQLModel]) -> Table:
    """The table behind a row, for statements that are put together once."""
    table: Table = row.__table__  # type: ignore[attr-defined]  # SQLModel does not type its own table
    return table


_SCHEMA: Final = table_of(SchemaRow).c
_SUBJECT: Final = table_of(SubjectRow).c
_VERSION: Final = table_of(VersionRow).c
_HAS_LINKS: Final = exists().where(table_of(ReferenceRow).c.schema_id == _SCHEMA.id).label("has_links")

STORED: Final[Select[Any]] = select(_SCHEMA.id, _SCHEMA.guid, _SCHEMA.text, _HAS_LINKS)
"""What is stored of schemas."""

STORED_OF: Final = STORED.where(_SCHEMA.id.in_(bindparam("ids", expanding=True)))
STORED_VERSIONS: Final = (
    STORED.add_columns(_VERSION.number)
    .join(table_of(VersionRow), _SCHEMA.id == _VERSION.schema_id)
    .where(_VERSION.subject == bindparam("subject"), _VERSION.deleted_at.is_(None))
    .order_by(_VERSION.number.desc())
)
"""Of a subject, newest first; those that are not deleted."""

IDS: Final = select(_SCHEMA.text_sha256, _SCHEMA.id).where(
    _SCHEMA.text_sha256.in_(bindparam("digests", expanding=True))
)
PLACES: Final = select(_VERSION.subject, _VERSION.number, _VERSION.schema_id, _VERSION.deleted_at).where(
    _VERSION.subject.in_(bindparam("subjects", expanding=True))
)
"""Those that were deleted softly too."""

LOCKED: Final = (
    select(_SUBJECT.subject, _SUBJECT.highest)
    .where(_SUBJECT.subject.in_(bindparam("subjects", expanding=True)))
    .order_by(_SUBJECT.subject)
    .with_for_update()
)
NEW_VERSION: Final = insert(table_of(VersionRow))


@cache
def new(table: Table, dialect: str) -> Insert:
    """To insert a row, unless another stands in its way."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


@cache
def new_schema(dialect: str) -> Any:
    """The same of a schema, and its id; no row where another stands in its way."""
    return new(table_of(SchemaRow), dialect).returning(_SCHEMA.id)
