"""When a signing key signs, ends and was compromised; which token holds it; secrets of the gateway's own.

Adds only: a program of the revision before works on beside it, with the keys that it has opened.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    with op.batch_alter_table("gateway_key") as batch:
        batch.add_column(sa.Column("signs_from", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("retires_at", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("compromised_at", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("reason", sa.String(), nullable=True))
        batch.add_column(sa.Column("label", sa.String(), nullable=True))
    op.create_table(
        "gateway_secret",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
