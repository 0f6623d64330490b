"""Credentials of one owner are read along indexes: a page of them, those in force, those that ended lately.

A program of the revision before works on beside it.
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_TABLE = "partners_credential"


def upgrade() -> None:
    """Forward only."""
    op.create_index(f"{_TABLE}_page", _TABLE, ["partner", "id"])
    op.create_index(f"{_TABLE}_ended", _TABLE, ["partner", "revoked_at", "not_after"])
    # Both begin with what it is of.
    op.drop_index(f"ix_{_TABLE}_partner", _TABLE)
