"""Tables of schemas. Nothing else may stand here, and only `schemas.store` reads or writes them.

All instants are Unix milliseconds.
"""

from sqlalchemy import BigInteger, LargeBinary, Text
from sqlmodel import Field, SQLModel, UniqueConstraint


class SchemaRow(SQLModel, table=True):
    """One distinct schema text, with its global id. Never changed, never deleted: old records must decode."""

    __tablename__ = "schemas_schema"

    id: int | None = Field(default=None, primary_key=True)
    text_sha256: bytes = Field(sa_type=LargeBinary, unique=True)
    guid: str = Field(index=True, max_length=36)
    name: str = Field(max_length=255)
    fingerprint: bytes = Field(sa_type=LargeBinary)
    text: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)


class VersionRow(SQLModel, table=True):
    """A version of a subject: which schema it is. Numbers are never used again."""

    __tablename__ = "schemas_version"
    __table_args__ = (UniqueConstraint("subject", "schema_id", name="schemas_version_schema"),)

    subject: str = Field(primary_key=True, max_length=512)
    number: int = Field(primary_key=True)
    schema_id: int = Field(index=True)
    created_at: int = Field(sa_type=BigInteger)
