"""What endpoints have beside a URL: filter, format, headers, secrets that end; and how they are doing.

Adds only: a program of the revision before works on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.add_column("partners_endpoint", sa.Column("filter", sa.Text(), nullable=True))
    op.add_column(
        "partners_endpoint",
        sa.Column("format", sa.String(length=16), nullable=False, server_default="cloudevents"),
    )
    op.add_column("partners_endpoint", sa.Column("headers", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("partners_endpoint", sa.Column("secret_terms", sa.Text(), nullable=True))
    op.add_column("partners_endpoint", sa.Column("skips", sa.Text(), nullable=False, server_default="[]"))
    op.create_table(
        "gateway_endpoint_hour",
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("within_ms", sa.Integer(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "hour", "outcome", "within_ms"),
    )
    op.create_index("ix_gateway_endpoint_hour_hour", "gateway_endpoint_hour", ["hour"])
