"""Lists of all partners' things, newest first, are read along indexes of their own.

Adds only: a program of the revision before works on beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_PLACE = ["created_at", "id"]
_DELIVERY = ["created_at", "endpoint", "ref"]


def upgrade() -> None:
    """Forward only."""
    for name in ("erasure", "export", "import"):
        op.create_index(f"ix_gateway_{name}_newest", f"gateway_{name}", _PLACE)
    op.create_index("audit_hold_newest", "audit_hold", ["set_at", "id"])
    _divide("replay", _PLACE, _PLACE)
    _divide("delivery", _DELIVERY[:1], _DELIVERY)


def _divide(table: str, partners: list[str], house: list[str]) -> None:
    """One index of what is the partners', one of what is the house's."""
    for name, sign, columns in (("newest", "!=", partners), ("house", "=", house)):
        whose = sa.text(f"substr(partner, 1, 6) {sign} 'house/'")
        op.create_index(
            f"ix_gateway_{table}_{name}",
            f"gateway_{table}",
            columns,
            sqlite_where=whose,
            postgresql_where=whose,
        )
