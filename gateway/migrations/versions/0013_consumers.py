"""Named readers of streams, and how far each has them.

Adds only: a program of the revision before works on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "gateway_consumer",
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("types", sa.String(), nullable=False),
        sa.Column("topic_id", sa.String(), nullable=False),
        sa.Column("offsets", sa.String(), nullable=False),
        sa.Column("credential", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partner", "side", "direction", "name"),
    )
