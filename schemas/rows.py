"""Tables of schemas. Nothing else may stand here, and only `schemas.store` reads or writes them.

All instants are Unix milliseconds.
"""

from sqlalchemy import BigInteger, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel


class SchemaRow(SQLModel, table=True):
    """One distinct schema, with its global id. Never changed, never deleted: old records must decode.

    `text_sha256`: of the text, and of the references where there are any.
    """

    __tablename__ = "schemas_schema"

    id: int | None = Field(default=None, primary_key=True)
    text_sha256: bytes = Field(sa_type=LargeBinary, unique=True)
    guid: str = Field(index=True, max_length=36)
    name: str = Field(max_length=255)
    fingerprint: bytes = Field(sa_type=LargeBinary)
    text: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)


class ReferenceRow(SQLModel, table=True):
    """One schema that another one's text names: by which name, and which version of which subject it is."""

    __tablename__ = "schemas_reference"
    __table_args__ = (Index("schemas_reference_target", "subject", "number"),)

    schema_id: int = Field(primary_key=True)
    position: int = Field(primary_key=True)
    name: str = Field(max_length=512)
    subject: str = Field(max_length=512)
    number: int


class VersionRow(SQLModel, table=True):
    """A version of a subject: which schema it is. Numbers are never used again.

    `deleted_at`: when it was deleted softly; its schema still decodes. A schema is at most one version of a
    subject that is not deleted.
    """

    __tablename__ = "schemas_version"
    __table_args__ = (
        Index(
            "schemas_version_active",
            "subject",
            "schema_id",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    subject: str = Field(primary_key=True, max_length=512)
    number: int = Field(primary_key=True)
    schema_id: int = Field(index=True)
    created_at: int = Field(sa_type=BigInteger)
    deleted_at: int | None = Field(default=None, sa_type=BigInteger)


class SubjectRow(SQLModel, table=True):
    """What is kept of a subject beside its versions; the empty subject stands for the whole registry.

    `highest`: number of the newest version that was deleted for good. `level`, `mode`: None where the whole
    registry's is meant.
    """

    __tablename__ = "schemas_subject"

    subject: str = Field(primary_key=True, max_length=512)
    highest: int = Field(default=0)
    level: str | None = Field(default=None, max_length=32)
    mode: str | None = Field(default=None, max_length=32)
