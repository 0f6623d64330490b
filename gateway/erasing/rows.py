"""Table `gateway_erasure`: what was asked to be erased. Rows only, as in `gateway.rows`."""

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel


class ErasureRow(SQLModel, table=True):
    """A job that erases events of a partner; administration makes it, whoever serves works it off.

    `refs`: a JSON list, or null: then those whose entries are of the time from `since_at` up to `until_at`.
    `place`: JSON, how far this walk is. `next_at`: when to go on; null: once a hold is lifted, or never.
    `again_at`: when to look once more for what was under way when it ended. `pending`, `held`: of this walk.
    """

    __tablename__ = "gateway_erasure"
    __table_args__ = (
        Index("ix_gateway_erasure_partner", "partner", "created_at", "id"),
        Index("ix_gateway_erasure_newest", "created_at", "id"),
        Index("ix_gateway_erasure_next", "next_at"),
        Index("ix_gateway_erasure_again", "again_at"),
    )

    id: str = Field(primary_key=True)
    partner: str
    refs: str | None = None
    since_at: int | None = Field(default=None, sa_type=BigInteger)
    until_at: int | None = Field(default=None, sa_type=BigInteger)
    basis: str
    role: str
    credential: str | None = None
    state: str
    place: str
    total: int = Field(sa_type=BigInteger)
    done: int = Field(sa_type=BigInteger)
    erased: int = Field(sa_type=BigInteger)
    held: int = Field(sa_type=BigInteger)
    absent: int = Field(sa_type=BigInteger)
    pending: int = Field(sa_type=BigInteger)
    next_at: int | None = Field(default=None, sa_type=BigInteger)
    again_at: int | None = Field(default=None, sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
