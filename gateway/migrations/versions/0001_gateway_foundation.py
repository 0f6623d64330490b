"""Tables of the gateway itself: claims, deliveries, positions, leases, keys, facts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    _gateway_backlog()
    _gateway_claim()
    _gateway_delivery()
    _gateway_instance()
    _gateway_key()
    _gateway_lease()
    _gateway_meta()
    _gateway_position()


def _gateway_backlog() -> None:
    op.create_table(
        "gateway_backlog",
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("topic_id", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("from_offset", sa.BigInteger(), nullable=False),
        sa.Column("to_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "topic_id", "partition"),
    )


def _gateway_claim() -> None:
    op.create_table(
        "gateway_claim",
        sa.Column("ref", sa.LargeBinary(), nullable=False),
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("log", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.Column("event_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("receipt", sa.String(), nullable=False),
        sa.Column("schema_id", sa.Integer(), nullable=False),
        sa.Column("framing", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("topic_id", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("offset", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("attributes", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("content_type", sa.String(), nullable=False),
        sa.Column("content_encoding", sa.String(), nullable=False),
        sa.Column("origin_signature", sa.LargeBinary(), nullable=True),
        sa.Column("datum", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("leaf_index", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("ref"),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("ix_gateway_claim_at", "gateway_claim", ["at"])
    op.create_index("ix_gateway_claim_partner_at", "gateway_claim", ["partner", "at"])
    op.create_index(
        "ix_gateway_claim_unlogged",
        "gateway_claim",
        ["topic", "partition", "topic_id", "offset"],
        sqlite_where=sa.text("state = 'confirmed' AND leaf_index IS NULL"),
        postgresql_where=sa.text("state = 'confirmed' AND leaf_index IS NULL"),
    )
    op.create_index(
        "ix_gateway_claim_unconfirmed",
        "gateway_claim",
        ["lease_until"],
        sqlite_where=sa.text("state = 'unconfirmed'"),
        postgresql_where=sa.text("state = 'unconfirmed'"),
    )


def _gateway_delivery() -> None:
    op.create_table(
        "gateway_delivery",
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("ref", sa.LargeBinary(), nullable=False),
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("topic_id", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("order_key", sa.String(), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("schema_id", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "ref"),
    )
    op.create_index("ix_gateway_delivery_due", "gateway_delivery", ["partner", "state", "next_at"])
    op.create_index("ix_gateway_delivery_ref", "gateway_delivery", ["ref"])


def _gateway_instance() -> None:
    op.create_table(
        "gateway_instance",
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("role", "owner"),
    )


def _gateway_key() -> None:
    op.create_table(
        "gateway_key",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )


def _gateway_lease() -> None:
    op.create_table(
        "gateway_lease",
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("role", "shard"),
    )


def _gateway_meta() -> None:
    op.create_table(
        "gateway_meta",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _gateway_position() -> None:
    op.create_table(
        "gateway_position",
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("topic_id", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("role", "topic_id", "partition"),
    )
