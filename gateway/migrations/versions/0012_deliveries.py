"""What is asked of deliveries, what they were answered with, breakers that outlive a relay, and replays.

Adds only: a program of the revision before works on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.add_column("gateway_delivery", sa.Column("asked_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_gateway_delivery_page", "gateway_delivery", ["partner", "created_at", "endpoint", "ref"]
    )
    op.create_index(
        "ix_gateway_delivery_asked",
        "gateway_delivery",
        ["asked_at"],
        sqlite_where=sa.text("asked_at IS NOT NULL"),
        postgresql_where=sa.text("asked_at IS NOT NULL"),
    )
    for name, default in (("events", "1"), ("began_at", "0")):
        column = sa.Column(name, sa.BigInteger(), nullable=False, server_default=default)
        op.add_column("gateway_backlog", column)
    op.create_table(
        "gateway_attempt",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("ref", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("excerpt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_gateway_attempt_ref", "gateway_attempt", ["ref"])
    op.create_index("ix_gateway_attempt_at", "gateway_attempt", ["at"])
    op.create_table(
        "gateway_breaker",
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("probe_at", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("endpoint"),
    )
    _create_replays()


def _create_replays() -> None:
    op.create_table(
        "gateway_replay",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=True),
        sa.Column("which", sa.String(), nullable=False),
        sa.Column("types", sa.String(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=True),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_gateway_replay_partner", "gateway_replay", ["partner", "created_at"])
    op.create_index("ix_gateway_replay_state", "gateway_replay", ["state"])
    numbers = ("from_offset", "next_offset", "to_offset")
    counts = ("handed", "delivered", "waiting", "cancelled", "passed", "lost")
    op.create_table(
        "gateway_replay_range",
        sa.Column("replay", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("topic_id", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in (*numbers, *counts)),
        sa.PrimaryKeyConstraint("replay", "endpoint", "topic_id", "partition"),
    )
