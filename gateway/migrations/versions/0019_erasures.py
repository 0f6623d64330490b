"""Erasures, legal holds, what was erased and why, and how far evidence was looked at for its time.

Adds only: a program of the revision before works on beside it. Such a one takes an erased event's claim for
one of another event, and refuses its repeat as that; the event is not taken a second time.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "audit_erasure",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("erasure", sa.Text(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("log", "epoch", "first"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audit_expiry",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("held_epoch", sa.BigInteger(), nullable=True),
        sa.Column("held_next", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("log"),
    )
    _holds()
    _jobs()
    is_erased = sa.text("state = 'erased'")
    op.create_index(
        "ix_gateway_claim_erased",
        "gateway_claim",
        ["lease_until"],
        sqlite_where=is_erased,
        postgresql_where=is_erased,
    )


def _holds() -> None:
    op.create_table(
        "audit_hold",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("is_listed", sa.Boolean(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=True),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("set_role", sa.Text(), nullable=False),
        sa.Column("set_credential", sa.Text(), nullable=True),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.Column("lifted_at", sa.BigInteger(), nullable=True),
        sa.Column("lifted_basis", sa.Text(), nullable=True),
        sa.Column("lifted_role", sa.Text(), nullable=True),
        sa.Column("lifted_credential", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    is_in_force = sa.text("lifted_at IS NULL")
    op.create_index(
        "audit_hold_in_force",
        "audit_hold",
        ["log"],
        sqlite_where=is_in_force,
        postgresql_where=is_in_force,
    )
    op.create_index("audit_hold_page", "audit_hold", ["log", "set_at", "id"])
    op.create_table(
        "audit_hold_ref",
        sa.Column("ref", sa.LargeBinary(), nullable=False),
        sa.Column("hold", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("ref", "hold"),
    )


def _jobs() -> None:
    op.create_table(
        "gateway_erasure",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("refs", sa.String(), nullable=True),
        sa.Column("since_at", sa.BigInteger(), nullable=True),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.Column("basis", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("credential", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("total", "done", "erased", "held", "absent", "pending")
        ),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("again_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_gateway_erasure_partner", "gateway_erasure", ["partner", "created_at", "id"])
    op.create_index("ix_gateway_erasure_next", "gateway_erasure", ["next_at"])
    op.create_index("ix_gateway_erasure_again", "gateway_erasure", ["again_at"])
