"""Endpoints of the house, and what they demand, stand under an owner's name, which is longer than a slug.

A program of the revision before knows no such owner, and leaves them alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    for table in ("partners_endpoint", "partners_endpoint_access"):
        with op.batch_alter_table(table) as batch:
            batch.alter_column(
                "partner", existing_type=sa.String(63), type_=sa.String(80), existing_nullable=False
            )
