"""Which event types a credential may send, and at which rate of its own.

Adds only: a program of the revision before works on beside it, and knows of neither.
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.add_column("partners_credential", sa.Column("send_types", sa.Text(), nullable=True))
    op.add_column("partners_credential", sa.Column("events_per_second", sa.Integer(), nullable=True))
