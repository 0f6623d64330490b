"""Tables `gateway_*`: claims, deliveries, endpoints, positions, leases, keys, callers, facts.

And what is yet to be told. Rows only: they validate nothing (SQLModel classes with `table=True` never do).
Each table has one writing role, named in its docstring. Times are Unix milliseconds.
"""

from sqlalchemy import BigInteger, Index, LargeBinary, text
from sqlmodel import Field, SQLModel


class ClaimRow(SQLModel, table=True):
    """One event identity and the receipt that answers for it; ingress writes, the sequencer confirms.

    `datum` is kept until the claim is confirmed, so that a restart can publish; `content` until its retention
    ends. `lease_until` is by the database's clock. `state`: `unconfirmed`, `confirmed` or `erased`: then only
    the ref says which event it was, and `lease_until` when it was erased. `search`: hashes of what finds it.
    PostgreSQL does not try to compress `receipt` (revision 0023).
    """

    __tablename__ = "gateway_claim"
    __table_args__ = (
        Index("ix_gateway_claim_partner_at", "partner", "at"),
        Index(
            "ix_gateway_claim_unconfirmed",
            "lease_until",
            sqlite_where=text("state = 'unconfirmed'"),
            postgresql_where=text("state = 'unconfirmed'"),
        ),
        Index(
            "ix_gateway_claim_erased",
            "lease_until",
            sqlite_where=text("state = 'erased'"),
            postgresql_where=text("state = 'erased'"),
        ),
        # Few rows are in it at any time; without it, the look for lost records reads every claim there is.
        Index(
            "ix_gateway_claim_unlogged",
            "topic",
            "partition",
            "topic_id",
            "offset",
            sqlite_where=text("state = 'confirmed' AND leaf_index IS NULL"),
            postgresql_where=text("state = 'confirmed' AND leaf_index IS NULL"),
        ),
        # A claim changes twice soon after it was made: with room on its page the table stays a fifth smaller.
        {"postgresql_with": {"fillfactor": 70}},
    )

    ref: bytes = Field(primary_key=True, sa_type=LargeBinary)
    partner: str
    log: str
    direction: str
    source: str
    event_id: str
    event_type: str
    event_sha256: bytes = Field(sa_type=LargeBinary)
    content_sha256: bytes = Field(sa_type=LargeBinary)
    receipt: str
    schema_id: int
    framing: str
    topic: str
    topic_id: str
    partition: int
    key: bytes | None = Field(default=None, sa_type=LargeBinary)
    offset: int | None = Field(default=None, sa_type=BigInteger)
    at: int = Field(sa_type=BigInteger)
    attributes: str
    content: bytes | None = Field(default=None, sa_type=LargeBinary)
    content_type: str
    content_encoding: str
    origin_signature: bytes | None = Field(default=None, sa_type=LargeBinary)
    datum: bytes | None = Field(default=None, sa_type=LargeBinary)
    state: str
    lease_until: int = Field(sa_type=BigInteger)
    owner: str
    leaf_index: int | None = Field(default=None, sa_type=BigInteger)
    search: bytes | None = Field(default=None, sa_type=LargeBinary)


class DeliveryRow(SQLModel, table=True):
    """An event that an endpoint still waits for, payload copied; the relay writes.

    Administration sets `asked_at` where somebody had it tried at once or given up; the relay unsets it.
    `state`: `pending`, `held`, `parked` or `cancelled`. `search`: as in `ClaimRow`.
    """

    __tablename__ = "gateway_delivery"
    __table_args__ = (
        Index("ix_gateway_delivery_due", "partner", "state", "next_at"),
        Index("ix_gateway_delivery_ref", "ref"),
        Index("ix_gateway_delivery_page", "partner", "created_at", "endpoint", "ref"),
        # Of all partners: each row is in one of the two. By its time alone, which sorts all but a few; the
        # house's, of which PostgreSQL guesses that there are next to none, in the whole order: it sorts none.
        Index(
            "ix_gateway_delivery_newest",
            "created_at",
            sqlite_where=text("substr(partner, 1, 6) != 'house/'"),
            postgresql_where=text("substr(partner, 1, 6) != 'house/'"),
        ),
        Index(
            "ix_gateway_delivery_house",
            "created_at",
            "endpoint",
            "ref",
            sqlite_where=text("substr(partner, 1, 6) = 'house/'"),
            postgresql_where=text("substr(partner, 1, 6) = 'house/'"),
        ),
        # Few rows are in it at any time: each relay looks for them every second.
        Index(
            "ix_gateway_delivery_asked",
            "asked_at",
            sqlite_where=text("asked_at IS NOT NULL"),
            postgresql_where=text("asked_at IS NOT NULL"),
        ),
    )

    endpoint: str = Field(primary_key=True)
    ref: bytes = Field(primary_key=True, sa_type=LargeBinary)
    partner: str
    source: str
    event_id: str
    event_type: str
    topic: str
    topic_id: str
    partition: int
    offset: int = Field(sa_type=BigInteger)
    order_key: str | None = None
    payload: bytes = Field(sa_type=LargeBinary)
    schema_id: int
    attempts: int
    next_at: int = Field(sa_type=BigInteger)
    state: str
    reason: str | None = None
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
    asked_at: int | None = Field(default=None, sa_type=BigInteger)
    search: bytes | None = Field(default=None, sa_type=LargeBinary)


class BacklogRow(SQLModel, table=True):
    """What a closed or full lane has yet to read: offsets from `from_offset` up to, not with, `to_offset`.

    `events`: how many of them at least are the endpoint's, perhaps none; `began_at`: when the first came.
    """

    __tablename__ = "gateway_backlog"

    endpoint: str = Field(primary_key=True)
    topic_id: str = Field(primary_key=True)
    partition: int = Field(primary_key=True)
    topic: str
    from_offset: int = Field(sa_type=BigInteger)
    to_offset: int = Field(sa_type=BigInteger)
    events: int = Field(default=1, sa_type=BigInteger, sa_column_kwargs={"server_default": "1"})
    began_at: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class PositionRow(SQLModel, table=True):
    """How far a role has read a partition; the lease's owner writes. `finished`: a JSON list of offsets.

    `left_by`: as in `gateway.positions.Progress`.
    """

    __tablename__ = "gateway_position"

    role: str = Field(primary_key=True)
    topic_id: str = Field(primary_key=True)
    partition: int = Field(primary_key=True)
    topic: str
    next: int = Field(sa_type=BigInteger)
    finished: str
    left_by: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


class LeaseRow(SQLModel, table=True):
    """Who works on a shard, until when by the database's clock. The epoch grows with each change of owner."""

    __tablename__ = "gateway_lease"

    role: str = Field(primary_key=True)
    shard: int = Field(primary_key=True)
    owner: str
    epoch: int = Field(sa_type=BigInteger)
    until: int = Field(sa_type=BigInteger)


class InstanceRow(SQLModel, table=True):
    """A running instance of a role, so that shards can be shared fairly with one that holds none yet."""

    __tablename__ = "gateway_instance"

    role: str = Field(primary_key=True)
    owner: str = Field(primary_key=True)
    until: int = Field(sa_type=BigInteger)


class KeyRow(SQLModel, table=True):
    """One of our signing keys; see `gateway.keys.PublicKey`. `sealed` empty: its token holds it."""

    __tablename__ = "gateway_key"

    id: str = Field(primary_key=True)
    purpose: str
    sealed: bytes = Field(sa_type=LargeBinary)
    public_key: bytes = Field(sa_type=LargeBinary)
    created_at: int = Field(sa_type=BigInteger)
    retired_at: int | None = Field(default=None, sa_type=BigInteger)
    signs_from: int | None = Field(default=None, sa_type=BigInteger)
    retires_at: int | None = Field(default=None, sa_type=BigInteger)
    compromised_at: int | None = Field(default=None, sa_type=BigInteger)
    reason: str | None = None
    label: str | None = None


class NonceRow(SQLModel, table=True):
    """A nonce of a signed request, so that nobody sends it twice; whoever serves writes."""

    __tablename__ = "gateway_nonce"
    __table_args__ = (Index("ix_gateway_nonce_until", "until"),)

    credential: str = Field(primary_key=True)
    nonce: str = Field(primary_key=True)
    until: int = Field(sa_type=BigInteger)


class CredentialUseRow(SQLModel, table=True):
    """When a credential was used last, to within a minute; whoever serves writes."""

    __tablename__ = "gateway_credential_use"

    credential: str = Field(primary_key=True)
    used_at: int = Field(sa_type=BigInteger)


class DemandRow(SQLModel, table=True):
    """Events a second that a process is asked to take of a partner, and `until` when that is believed.

    That process writes. Where `partner` is the id of a credential, it is of that one, which has a rate of its
    own.
    """

    __tablename__ = "gateway_demand"

    partner: str = Field(primary_key=True)
    owner: str = Field(primary_key=True)
    wanted: float
    until: int = Field(sa_type=BigInteger)


class UsageRow(SQLModel, table=True):
    """Bytes that a partner has sent on a day of UTC (days since 1970-01-01); whoever serves adds."""

    __tablename__ = "gateway_usage"

    partner: str = Field(primary_key=True)
    day: int = Field(primary_key=True)
    bytes: int = Field(sa_type=BigInteger)


class LookRow(SQLModel, table=True):
    """Until when an entry tells of looks at a partner's content by one of ours; whoever serves writes."""

    __tablename__ = "gateway_look"
    __table_args__ = (Index("ix_gateway_look_until", "until"),)

    credential: str = Field(primary_key=True)
    partner: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    until: int = Field(sa_type=BigInteger)


class ConsumerRow(SQLModel, table=True):
    """How far a named reader of a stream has it; whoever serves writes.

    `side`: `partner` or `house`: whose reader it is. `offsets`: JSON, the next offset by partition; `types`:
    those of its last word, with commas between; empty: all.
    """

    __tablename__ = "gateway_consumer"

    partner: str = Field(primary_key=True)
    side: str = Field(primary_key=True)
    direction: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    types: str
    topic_id: str
    offsets: str
    credential: str
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)


class RepeatRow(SQLModel, table=True):
    """A request under an `Idempotency-Key`, and its answer once it was carried out; whoever serves writes.

    `token`: whose turn it is, until `open_until`. Both times by the database's clock.
    """

    __tablename__ = "gateway_repeat"
    __table_args__ = (Index("ix_gateway_repeat_until", "until"),)

    credential: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    digest: bytes = Field(sa_type=LargeBinary)
    token: bytes = Field(sa_type=LargeBinary)
    answer: bytes | None = Field(default=None, sa_type=LargeBinary)
    open_until: int = Field(sa_type=BigInteger)
    until: int = Field(sa_type=BigInteger)


class AcknowledgementRow(SQLModel, table=True):
    """A delivery whose receiver has said by a signature of its own that it has it; whoever serves writes."""

    __tablename__ = "gateway_acknowledgement"
    __table_args__ = (Index("ix_gateway_acknowledgement_at", "at"),)

    endpoint: str = Field(primary_key=True)
    ref: bytes = Field(primary_key=True, sa_type=LargeBinary)
    partner: str
    credential: str
    at: int = Field(sa_type=BigInteger)


class AnnouncementRow(SQLModel, table=True):
    """An event of the gateway's own that is decided and not published yet; administration writes.

    `data`: JSON text. `until`: whoever serves and publishes it has it so long, by the database's clock; it
    deletes the row once the event is on the partner's topic. `number` gives the order in which they came.
    """

    __tablename__ = "gateway_announcement"
    __table_args__ = (Index("ix_gateway_announcement_event", "partner", "event_id", unique=True),)

    number: int | None = Field(default=None, primary_key=True)
    partner: str
    event_id: str
    event_type: str
    data: str
    at: int = Field(sa_type=BigInteger)
    until: int = Field(sa_type=BigInteger)


class MetaRow(SQLModel, table=True):
    """A named fact about this installation that must never change unnoticed, such as its frozen origin."""

    __tablename__ = "gateway_meta"

    name: str = Field(primary_key=True)
    value: str
