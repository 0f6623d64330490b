"""Tables `gateway_*` that deliveries leave behind: excerpts, breakers, replays, counts of attempts.

Rows only, as in `gateway.rows`, which has the tables that others write or read too.
"""

from sqlalchemy import BigInteger, Index, LargeBinary, text
from sqlmodel import Field, SQLModel


class AttemptRow(SQLModel, table=True):
    """The first bytes of what an attempt was answered with; the relay writes. `id`: as in its evidence."""

    __tablename__ = "gateway_attempt"
    __table_args__ = (Index("ix_gateway_attempt_ref", "ref"), Index("ix_gateway_attempt_at", "at"))

    id: str = Field(primary_key=True)
    endpoint: str
    ref: bytes = Field(sa_type=LargeBinary)
    at: int = Field(sa_type=BigInteger)
    excerpt: bytes = Field(sa_type=LargeBinary)


class BreakerRow(SQLModel, table=True):
    """An endpoint whose last answer was no 2xx, as its lane knows it; the relay writes, and deletes."""

    __tablename__ = "gateway_breaker"

    endpoint: str = Field(primary_key=True)
    failures: int
    probe_at: int = Field(sa_type=BigInteger)
    failing_since: int | None = Field(default=None, sa_type=BigInteger)


class ReplayRow(SQLModel, table=True):
    """A job that hands events to lanes once more; administration makes and cancels it, the relay ends it.

    `partner`: the owner of the endpoints. `types`: a JSON list, empty for all. `endpoint` None: all that the
    owner had when it was made.
    """

    __tablename__ = "gateway_replay"
    __table_args__ = (
        Index("ix_gateway_replay_partner", "partner", "created_at"),
        Index(
            "ix_gateway_replay_newest",
            "created_at",
            "id",
            sqlite_where=text("substr(partner, 1, 6) != 'house/'"),
            postgresql_where=text("substr(partner, 1, 6) != 'house/'"),
        ),
        Index(
            "ix_gateway_replay_house",
            "created_at",
            "id",
            sqlite_where=text("substr(partner, 1, 6) = 'house/'"),
            postgresql_where=text("substr(partner, 1, 6) = 'house/'"),
        ),
        Index("ix_gateway_replay_state", "state"),
    )

    id: str = Field(primary_key=True)
    partner: str
    endpoint: str | None = None
    which: str
    types: str
    since_at: int = Field(sa_type=BigInteger)
    until_at: int = Field(sa_type=BigInteger)
    rate: int | None = None
    dry_run: bool
    state: str
    created_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(default=None, sa_type=BigInteger)


class ReplayRangeRow(SQLModel, table=True):
    """How far a replay is for one endpoint in one partition, and what it found up to there.

    Offsets from `from_offset` up to, not with, `to_offset`; `next_offset`: all before it is done with.
    """

    __tablename__ = "gateway_replay_range"

    replay: str = Field(primary_key=True)
    endpoint: str = Field(primary_key=True)
    topic_id: str = Field(primary_key=True)
    partition: int = Field(primary_key=True)
    topic: str
    from_offset: int = Field(sa_type=BigInteger)
    next_offset: int = Field(sa_type=BigInteger)
    to_offset: int = Field(sa_type=BigInteger)
    handed: int = Field(sa_type=BigInteger)
    delivered: int = Field(sa_type=BigInteger)
    waiting: int = Field(sa_type=BigInteger)
    cancelled: int = Field(sa_type=BigInteger)
    passed: int = Field(sa_type=BigInteger)
    lost: int = Field(sa_type=BigInteger)


class EndpointHourRow(SQLModel, table=True):
    """Attempts of an endpoint in an hour (hours since 1970-01-01 UTC), by outcome and time; the relay adds.

    `within_ms`: the smallest of a few bounds that the attempt kept.
    """

    __tablename__ = "gateway_endpoint_hour"
    __table_args__ = (Index("ix_gateway_endpoint_hour_hour", "hour"),)

    endpoint: str = Field(primary_key=True)
    hour: int = Field(primary_key=True)
    outcome: str = Field(primary_key=True)
    within_ms: int = Field(primary_key=True)
    count: int = Field(sa_type=BigInteger)
