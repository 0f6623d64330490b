"""Tables of exports. Rows only. Times are Unix milliseconds."""

from sqlalchemy import BigInteger, Index, LargeBinary
from sqlmodel import Field, SQLModel


class ExportRow(SQLModel, table=True):
    """A job that makes the files of an export; who asks for it writes, then whoever holds the lease.

    `stretches`: JSON, a list of origin, first index and end. `error`: JSON of a `Failure`. `lease_until` is
    by the database's clock.
    """

    __tablename__ = "gateway_export"
    __table_args__ = (
        Index("ix_gateway_export_state", "state", "lease_until"),
        Index("ix_gateway_export_partner", "partner", "created_at"),
        Index("ix_gateway_export_newest", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    partner: str
    format: str
    content_wanted: bool
    stretches: str
    state: str
    done: int = Field(sa_type=BigInteger)
    parts: int
    erased: int = Field(sa_type=BigInteger)
    size: int = Field(sa_type=BigInteger)
    error: str | None = None
    created_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
    owner: str
    epoch: int = Field(sa_type=BigInteger)
    lease_until: int = Field(sa_type=BigInteger)


class ExportPartRow(SQLModel, table=True):
    """What is known of a file of an export; the file itself is made again whenever it is asked for.

    The lease's owner writes; whoever hands the file out, where it has become another one.
    """

    __tablename__ = "gateway_export_part"

    export_id: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    stretch: int
    first: int = Field(sa_type=BigInteger)
    end: int = Field(sa_type=BigInteger)
    erased: int
    size: int = Field(sa_type=BigInteger)
    sha256: bytes = Field(sa_type=LargeBinary)
    first_at: int | None = Field(default=None, sa_type=BigInteger)
    last_at: int | None = Field(default=None, sa_type=BigInteger)
