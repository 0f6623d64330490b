"""Tables of imports. Rows only. Times are Unix milliseconds."""

from sqlalchemy import BigInteger, Index, LargeBinary
from sqlmodel import Field, SQLModel


class ImportRow(SQLModel, table=True):
    """A job over a body of many events; who receives the body writes, then whoever holds the lease.

    `header`: of a container file, with which each piece is read. `broken`, `error`: JSON of a `Failure`.
    `fingerprint`: what a repeat under the same key must have. `lease_until` is by the database's clock.
    """

    __tablename__ = "gateway_import"
    __table_args__ = (
        Index("ix_gateway_import_key", "partner", "direction", "idempotency_key", unique=True),
        Index("ix_gateway_import_state", "state", "created_at"),
        Index("ix_gateway_import_partner", "partner", "created_at"),
        Index("ix_gateway_import_newest", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    partner: str
    direction: str
    event_type: str | None = None
    media_type: str
    schema_id: int | None = None
    header: bytes | None = Field(default=None, sa_type=LargeBinary)
    method: str
    credential: str
    origin: bytes | None = Field(default=None, sa_type=LargeBinary)
    idempotency_key: str | None = None
    fingerprint: bytes | None = Field(default=None, sa_type=LargeBinary)
    dry_run: bool
    state: str
    bytes: int = Field(sa_type=BigInteger)
    total: int | None = Field(default=None, sa_type=BigInteger)
    done: int = Field(sa_type=BigInteger)
    accepted: int = Field(sa_type=BigInteger)
    duplicates: int = Field(sa_type=BigInteger)
    refused: int = Field(sa_type=BigInteger)
    waits_for: str | None = None
    broken: str | None = None
    error: str | None = None
    created_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
    owner: str
    epoch: int = Field(sa_type=BigInteger)
    lease_until: int = Field(sa_type=BigInteger)


class ImportPieceRow(SQLModel, table=True):
    """A part of an import's body, whole lines or whole blocks; gone once its items have their results.

    `first`: index of its first item; `line`, `offset`: where it starts in the body.
    """

    __tablename__ = "gateway_import_piece"

    import_id: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    first: int = Field(sa_type=BigInteger)
    count: int
    line: int = Field(sa_type=BigInteger)
    offset: int = Field(sa_type=BigInteger)
    raw: bytes = Field(sa_type=LargeBinary)


class ImportResultRow(SQLModel, table=True):
    """What became of some items of an import, from `first` on, packed; the lease's owner writes."""

    __tablename__ = "gateway_import_result"

    import_id: str = Field(primary_key=True)
    first: int = Field(primary_key=True, sa_type=BigInteger)
    count: int
    duplicates: int
    refused: int
    raw: bytes = Field(sa_type=LargeBinary)
