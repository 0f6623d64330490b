"""Tables of what the gateway itself keeps secret. Rows only."""

from sqlalchemy import LargeBinary
from sqlmodel import Field, SQLModel


class SecretRow(SQLModel, table=True):
    """A secret of the gateway's own, sealed; the first start and the re-wrap write."""

    __tablename__ = "gateway_secret"

    name: str = Field(primary_key=True)
    sealed: bytes = Field(sa_type=LargeBinary, repr=False)
