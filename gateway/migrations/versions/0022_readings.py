"""Positions say since which contract nothing is read any more, and endpoints of the house where they begin.

Adds only: a program of the revision before works on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.add_column("gateway_position", sa.Column("left_by", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("partners_endpoint", sa.Column("begins", sa.Text(), nullable=True))
