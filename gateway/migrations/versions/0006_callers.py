"""Nonces of signed requests, when each credential was used last, and which entries each has made.

Adds only: a program of the revision before works on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "gateway_nonce",
        sa.Column("credential", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("credential", "nonce"),
    )
    op.create_index("ix_gateway_nonce_until", "gateway_nonce", ["until"])
    op.create_table(
        "gateway_credential_use",
        sa.Column("credential", sa.String(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("credential"),
    )
    op.add_column("audit_entry", sa.Column("credential", sa.Text(), nullable=True))
    op.create_index(
        "audit_entry_credential",
        "audit_entry",
        ["credential", "at"],
        sqlite_where=sa.text("credential IS NOT NULL"),
        postgresql_where=sa.text("credential IS NOT NULL"),
    )
