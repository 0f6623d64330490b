"""Tables of the audit log: pending evidence, heads, nodes, entries."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    _audit_entry()
    _audit_head()
    _audit_node()
    _audit_pending()


def _audit_entry() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ref", sa.LargeBinary(), nullable=True),
        sa.Column("partner", sa.Text(), nullable=True),
        sa.Column("direction", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("event_type", sa.Text(), nullable=True),
        sa.Column("endpoint", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("is_first", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("log", "epoch", "index"),
    )
    op.create_index("audit_entry_id", "audit_entry", ["log", "event_id"])
    op.create_index(
        "audit_entry_page",
        "audit_entry",
        ["log", "at", "epoch", "index"],
        sqlite_where=sa.text("is_first = 1"),
        postgresql_where=sa.text("is_first"),
    )
    op.create_index("audit_entry_ref", "audit_entry", ["ref", "log"])


def _audit_head() -> None:
    op.create_table(
        "audit_head",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("edge", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=True),
        sa.Column("checkpoint_size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log", "epoch"),
    )


def _audit_node() -> None:
    op.create_table(
        "audit_node",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log", "epoch", "level", "index"),
        sqlite_with_rowid=False,
    )


def _audit_pending() -> None:
    op.create_table(
        "audit_pending",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_pending_log", "audit_pending", ["log", "at", "id"])
