"""Tables of partners. Nothing else may stand here, and only `partners.store` reads or writes them.

Lists and values are JSON text: they are read whole into a `Directory`, never searched by SQL.
All instants are Unix milliseconds.
"""

from sqlalchemy import BigInteger, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel, UniqueConstraint


class CounterRow(SQLModel, table=True):
    """One row: a number that grows with every change, so that readers know when to load again.

    Partners and credentials keep the number of their last change in `changed`: a reader has to load only what
    is above the number that it knows.
    """

    __tablename__ = "partners_counter"

    id: int = Field(primary_key=True)
    value: int = Field(sa_type=BigInteger)


class PartnerRow(SQLModel, table=True):
    """A partner. Never deleted: a closed one keeps its slug from being used again."""

    __tablename__ = "partners_partner"

    slug: str = Field(primary_key=True, max_length=63)
    log: str = Field(unique=True, max_length=64)
    name: str = Field(max_length=200)
    inbound: str = Field(max_length=249)
    inbound_partition: int
    outbound: str = Field(max_length=249)
    outbound_partition: int
    state: str = Field(max_length=16)
    revision: int
    changed: int = Field(sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)


class ContractRow(SQLModel, table=True):
    """One revision of a partner's contract. Never changed, never deleted."""

    __tablename__ = "partners_contract"

    partner: str = Field(primary_key=True, max_length=63)
    revision: int = Field(primary_key=True)
    file: str = Field(max_length=255)
    text: str = Field(sa_type=Text)
    files: str = Field(sa_type=Text)
    value: str = Field(sa_type=Text)
    lines: str = Field(sa_type=Text)
    sha256: bytes = Field(sa_type=LargeBinary)
    applied_at: int = Field(sa_type=BigInteger)
    applied_by: str = Field(max_length=255)


class EndpointRow(SQLModel, table=True):
    """A webhook endpoint. `declared`: stands in the contract file, which alone may change or remove it.

    `partner`: the owner, which is a partner, or the house with one.
    `secret_terms`: a list beside `sealed_keys`, null in rows of programs that did not know it. `begins`: a
    topic's id and an offset, null where it is not known, and of partners' endpoints.
    """

    __tablename__ = "partners_endpoint"
    __table_args__ = (UniqueConstraint("partner", "name", name="partners_endpoint_name"),)

    id: str = Field(primary_key=True, max_length=32)
    partner: str = Field(max_length=80)
    name: str = Field(max_length=63)
    url: str = Field(max_length=2048)
    types: str = Field(sa_type=Text)
    ordering: str = Field(max_length=16)
    concurrency: int
    per_second: int | None
    delays: str = Field(sa_type=Text)
    sealed_keys: str = Field(sa_type=Text)
    state: str = Field(max_length=16)
    declared: bool
    created_at: int = Field(sa_type=BigInteger)
    filter: str | None = Field(default=None, sa_type=Text)
    format: str = Field(
        default="cloudevents", max_length=16, sa_column_kwargs={"server_default": "cloudevents"}
    )
    headers: str = Field(default="[]", sa_type=Text, sa_column_kwargs={"server_default": "[]"})
    secret_terms: str | None = Field(default=None, sa_type=Text)
    skips: str = Field(default="[]", sa_type=Text, sa_column_kwargs={"server_default": "[]"})
    begins: str | None = Field(default=None, sa_type=Text)


class EndpointAccessRow(SQLModel, table=True):
    """What an endpoint demands of us: client certificate, client of a token server, headers. Sealed.

    `partner`: the owner, as its endpoint has it.
    """

    __tablename__ = "partners_endpoint_access"

    endpoint: str = Field(primary_key=True, max_length=32)
    partner: str = Field(max_length=80, index=True)
    sealed: bytes = Field(sa_type=LargeBinary, repr=False)
    changed_at: int = Field(sa_type=BigInteger)


class CredentialRow(SQLModel, table=True):
    """A credential: how a request shows it, and what it is checked by (a digest, a public key, ...).

    `send_types`: names with a space between them; null: all that its partner may send.
    """

    __tablename__ = "partners_credential"
    __table_args__ = (
        UniqueConstraint("method", "shown_as", name="partners_credential_shown_as"),
        Index("partners_credential_page", "partner", "id"),
        Index("partners_credential_ended", "partner", "revoked_at", "not_after"),
    )

    id: str = Field(primary_key=True, max_length=32)
    partner: str | None = Field(max_length=63)
    role: str = Field(max_length=16)
    method: str = Field(max_length=32)
    shown_as: str = Field(max_length=512)
    secret: bytes = Field(sa_type=LargeBinary, repr=False)
    scopes: str = Field(max_length=255)
    name: str = Field(max_length=200)
    not_before: int = Field(sa_type=BigInteger)
    not_after: int = Field(sa_type=BigInteger)
    revoked_at: int | None = Field(sa_type=BigInteger)
    revoked_for: str | None = Field(max_length=200)
    changed: int = Field(sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)
    send_types: str | None = Field(default=None, sa_type=Text)
    events_per_second: int | None = None
