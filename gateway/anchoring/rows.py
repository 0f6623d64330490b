"""Tables of the anchor: its rounds, its cosigned checkpoints, its witnesses. Rows only; one role writes them.

Whoever sequences the house's shard writes. Times are Unix milliseconds.
"""

from sqlalchemy import BigInteger, LargeBinary, Text
from sqlmodel import Field, SQLModel


class AnchorRoundRow(SQLModel, table=True):
    """Heads that one entry of the anchor commits to, and what blinds them.

    `heads`: packed (`audit.heads.pack_heads`). `is_kept`: the first of its hour, which stays when the others
    of the hour are dropped.
    """

    __tablename__ = "gateway_anchor_round"

    at: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    blind: bytes = Field(sa_type=LargeBinary)
    heads: bytes = Field(sa_type=LargeBinary)
    is_kept: bool


class AnchorNoteRow(SQLModel, table=True):
    """A checkpoint of the anchor that at least one witness cosigned.

    `note`: as the log signed it; `lines`: cosignatures, a line each; `is_enough`: they met the policy.
    """

    __tablename__ = "gateway_anchor_note"

    origin: str = Field(primary_key=True, sa_type=Text)
    size: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    note: str = Field(sa_type=Text)
    lines: str = Field(sa_type=Text)
    is_enough: bool
    is_kept: bool
    at: int = Field(sa_type=BigInteger)


class WitnessRow(SQLModel, table=True):
    """How it stands with a witness. `key`: name and key id; `origin`, `size`: what it cosigned last.

    `problem`: why it did not cosign what it was sent last; empty where it did.
    """

    __tablename__ = "gateway_witness"

    key: str = Field(primary_key=True, sa_type=Text)
    origin: str = Field(sa_type=Text)
    size: int = Field(sa_type=BigInteger)
    cosigned_at: int = Field(sa_type=BigInteger)
    asked_at: int = Field(sa_type=BigInteger)
    problem: str = Field(sa_type=Text)
