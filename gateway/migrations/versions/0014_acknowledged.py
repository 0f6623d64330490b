"""What endpoints demand of us, and which deliveries their receivers have acknowledged.

Adds only: a program of the revision before works on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "partners_endpoint_access",
        sa.Column("endpoint", sa.String(length=32), nullable=False),
        sa.Column("partner", sa.String(length=63), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint"),
    )
    op.create_index("ix_partners_endpoint_access_partner", "partners_endpoint_access", ["partner"])
    op.create_table(
        "gateway_acknowledgement",
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("ref", sa.LargeBinary(), nullable=False),
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("credential", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "ref"),
    )
    op.create_index("ix_gateway_acknowledgement_at", "gateway_acknowledgement", ["at"])
